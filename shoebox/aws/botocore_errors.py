"""What small clients raise, as botocore would: ports and routes then need not know which of them they talk to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from botocore import exceptions
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    EndpointConnectionError,
    ReadTimeoutError,
)
from botocore.parsers import ResponseParserError

from shoebox.aws import errors
from shoebox.aws.json_service import AwsError, AwsRefused

_UNANSWERED: dict[str, type[BotoCoreError]] = {"Timeout": ReadTimeoutError, "ConnectionLost": EndpointConnectionError}


def as_botocore(error: AwsError, operation: str, endpoint: str) -> ClientError | BotoCoreError:
    """ClientError for a refusal; where there was no answer, the error that botocore has for that."""
    if isinstance(error, AwsRefused):
        return ClientError(_response(error), operation)
    return _UNANSWERED.get(error.code, ConnectionClosedError)(endpoint_url=endpoint, error=error)


def _response(refused: AwsRefused) -> Any:
    """What a ClientError holds: Code and Message, HTTP's status, and all other members, such as CancellationReasons."""
    more = {name: value for name, value in refused.content.items() if name not in ("__type", "message", "Message")}
    error = {"Code": refused.code, "Message": str(refused)}
    return {**more, "Error": error, "ResponseMetadata": {"HTTPStatusCode": refused.status}}


def failed_with(error: ClientError, *codes: str) -> bool:
    """Whether AWS's error has one of these codes; older ones come with a namespace before a dot."""
    return str(error.response["Error"].get("Code", "")).rpartition(".")[2] in {c.rpartition(".")[2] for c in codes}


@contextmanager
def aws_errors() -> Iterator[None]:
    """Raise as an `AwsError` what aiobotocore's clients raise in this block."""
    try:
        yield
    except ClientError as error:
        raise _refusal(error) from error
    except (BotoCoreError, ResponseParserError) as error:
        raise _unreachable(error) from error


def _refusal(error: ClientError) -> errors.AwsRefused:
    response: dict[str, Any] = dict(error.response)
    described = response.get("Error", {})
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    code, message = str(described.get("Code", "Unknown")), str(described.get("Message", ""))
    return errors.AwsRefused(code, message, status, response, operation=error.operation_name)


def _unreachable(error: Exception) -> errors.AwsUnreachable:
    match error:
        case exceptions.ConnectTimeoutError() | exceptions.ReadTimeoutError():
            return errors.ResponseTimeout(str(error))
        case exceptions.ConnectionError() | exceptions.HTTPClientError():
            return errors.ConnectionLost(str(error))
        case ResponseParserError():
            return errors.InvalidResponse(str(error))
    return errors.AwsUnreachable(type(error).__name__, str(error), retryable=False)  # such as NoCredentialsError
