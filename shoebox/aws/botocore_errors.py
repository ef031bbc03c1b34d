"""What aiobotocore's clients raise, as `shoebox.aws.errors` has it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from botocore import exceptions
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from shoebox.aws.errors import AwsRefused, AwsUnreachable, ConnectionLost, InvalidResponse, ResponseTimeout


@contextmanager
def aws_errors() -> Iterator[None]:
    """Raise as an `AwsError` what aiobotocore's clients raise in this block."""
    try:
        yield
    except ClientError as error:
        raise _refusal(error) from error
    except (BotoCoreError, ResponseParserError) as error:
        raise _unreachable(error) from error


def _refusal(error: ClientError) -> AwsRefused:
    response: dict[str, Any] = dict(error.response)
    described = response.get("Error", {})
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    code, message = str(described.get("Code", "Unknown")), str(described.get("Message", ""))
    return AwsRefused(code, message, status, response, operation=error.operation_name)


def _unreachable(error: Exception) -> AwsUnreachable:
    match error:
        case exceptions.ConnectTimeoutError() | exceptions.ReadTimeoutError():
            return ResponseTimeout(str(error))
        case exceptions.ConnectionError() | exceptions.HTTPClientError():
            return ConnectionLost(str(error))
        case ResponseParserError():
            return InvalidResponse(str(error))
    return AwsUnreachable(type(error).__name__, str(error), retryable=False)  # such as NoCredentialsError
