"""What adapters make of the faults of AWS."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError

from shoebox.aws.errors import AwsError, AwsRefused
from shoebox.errors import Unavailable
from shoebox.files.faults import retryable_as_unavailable


@retryable_as_unavailable
async def call(error: Exception | None) -> str:
    """Fail with an error, if there is one."""
    if error:
        raise error
    return "done"


def client_error(code: str, status: int) -> ClientError:
    """Return what botocore raises."""
    response = {"Error": {"Code": code, "Message": "secret"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(response, "GetItem")


@pytest.mark.parametrize(
    "error",
    [
        client_error("ProvisionedThroughputExceededException", 400),
        client_error("ThrottlingException", 400),
        client_error("SlowDown", 503),
        client_error("InternalServerError", 500),
        client_error("Whatever", 502),
        AwsRefused("SlowDown", "secret", 503),
        EndpointConnectionError(endpoint_url="http://secret"),
        ReadTimeoutError(endpoint_url="http://secret"),
    ],
)
async def test_what_may_pass_is_unavailable(error: Exception) -> None:
    """Throttles, time-outs and 5xx may be tried again; the public text has no address and no cause."""
    with pytest.raises(Unavailable) as raised:
        await call(error)

    assert "secret" not in raised.value.detail
    assert isinstance(raised.value.__cause__, AwsError)


async def test_a_missing_permission_stays_what_it_is() -> None:
    """It is a fault of ours, which nobody should try again."""
    with pytest.raises(AwsRefused, match="AccessDenied"):
        await call(client_error("AccessDeniedException", 400))


async def test_success_is_passed_on() -> None:
    """What a call returns is returned."""
    assert await call(None) == "done"
