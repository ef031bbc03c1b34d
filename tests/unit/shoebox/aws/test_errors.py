"""The errors of AWS calls: which are retryable, and what botocore's become."""

from typing import Any

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    EndpointConnectionError,
    HTTPClientError,
    NoCredentialsError,
    ReadTimeoutError,
)
from botocore.parsers import ResponseParserError

from shoebox.aws.botocore_errors import aws_errors
from shoebox.aws.errors import (
    AwsError,
    AwsRefused,
    AwsUnreachable,
    BodyTooLarge,
    ConnectionLost,
    InvalidResponse,
    ResponseTimeout,
)

URL = "http://127.0.0.1:4566"


@pytest.mark.parametrize(
    ("error", "retryable"),
    [
        (AwsRefused("InternalFailure", "", 500), True),
        (AwsRefused("ThrottlingException", "", 400), True),
        (AwsRefused("RequestTimeout", "", 400), True),
        (AwsRefused("AccessDenied", "", 403), False),
        (AwsRefused("ConditionalCheckFailedException", "", 400), False),
        (ConnectionLost("closed"), True),
        (ResponseTimeout("slow"), True),
        (InvalidResponse("no JSON"), True),
        (BodyTooLarge(200, {b"content-length": b"9"}), False),
    ],
    ids=lambda value: value.code if isinstance(value, AwsError) else "",
)
def test_an_error_knows_whether_the_same_call_may_succeed(error: AwsError, retryable: bool) -> None:
    """Faults of the server, throttling and lost responses are retryable, refusals are not."""
    assert error.retryable is retryable


@pytest.mark.parametrize(
    ("code", "asked", "found"),
    [
        ("QueueDoesNotExist", "QueueDoesNotExist", True),
        ("AWS.SimpleQueueService.NonExistentQueue", "NonExistentQueue", True),
        ("NonExistentQueue", "AWS.SimpleQueueService.NonExistentQueue", True),
        ("QueueDoesNotExist", "NonExistentQueue", False),
    ],
)
def test_codes_are_compared_without_their_namespace(code: str, asked: str, found: bool) -> None:
    """SQS has the same code with and without a namespace, by protocol and age."""
    assert AwsRefused(code, "", 400).has_code("Other", asked) is found


def test_a_refusal_says_what_was_called_and_what_came() -> None:
    """Operation, status, code and the service's message, in one line of a log."""
    assert str(AwsRefused("AccessDenied", "no", 403, operation="GetItem")) == "GetItem failed with 403 AccessDenied: no"
    assert str(AwsRefused("SlowDown", "", 503)) == "failed with 503 SlowDown"


def test_a_client_error_becomes_a_refusal() -> None:
    """Code, message, status and operation are kept, and so are members such as CancellationReasons."""
    response: Any = {
        "Error": {"Code": "TransactionCanceledException", "Message": "no"},
        "ResponseMetadata": {"HTTPStatusCode": 400},
        "CancellationReasons": [{"Code": "ConditionalCheckFailed"}],
    }
    with pytest.raises(AwsRefused) as caught, aws_errors():
        raise ClientError(response, "TransactWriteItems")
    error = caught.value
    assert (error.code, error.message, error.status) == ("TransactionCanceledException", "no", 400)
    assert error.operation == "TransactWriteItems"
    assert error.content["CancellationReasons"] == [{"Code": "ConditionalCheckFailed"}]


@pytest.mark.parametrize(
    ("raised", "kind", "retryable"),
    [
        (ReadTimeoutError(endpoint_url=URL), ResponseTimeout, True),
        (EndpointConnectionError(endpoint_url=URL), ConnectionLost, True),
        (ConnectionClosedError(endpoint_url=URL), ConnectionLost, True),
        (HTTPClientError(error=OSError()), ConnectionLost, True),
        (ResponseParserError("no XML"), InvalidResponse, True),
        (NoCredentialsError(), AwsUnreachable, False),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_botocores_other_errors_are_missing_responses(raised: Exception, kind: type[AwsError], retryable: bool) -> None:
    """No response came: retryable, but where no request could be made at all."""
    with pytest.raises(AwsUnreachable) as caught, aws_errors():
        raise raised
    assert type(caught.value) is kind
    assert caught.value.retryable is retryable
    assert caught.value.__cause__ is raised


def test_other_errors_stay_what_they_are() -> None:
    """Only AWS's are translated, and each once."""
    with pytest.raises(KeyError), aws_errors():
        raise KeyError
    refused = AwsRefused("AccessDenied", "", 403)
    with pytest.raises(AwsRefused) as caught, aws_errors(), aws_errors():
        raise refused
    assert caught.value is refused
