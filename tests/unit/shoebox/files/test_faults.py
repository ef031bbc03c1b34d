"""What adapters make of the faults of AWS."""

from __future__ import annotations

import pytest

from shoebox.aws.errors import AwsError, AwsRefused, ConnectionLost, ResponseTimeout
from shoebox.errors import Unavailable
from shoebox.files.faults import retryable_as_unavailable


@retryable_as_unavailable
async def call(error: Exception | None) -> str:
    """Fail with an error, if there is one."""
    if error:
        raise error
    return "done"


@pytest.mark.parametrize(
    "error",
    [
        AwsRefused("ProvisionedThroughputExceededException", "secret", 400),
        AwsRefused("ThrottlingException", "secret", 400),
        AwsRefused("SlowDown", "secret", 503),
        AwsRefused("InternalServerError", "secret", 500),
        AwsRefused("Whatever", "secret", 502),
        ConnectionLost("http://secret"),
        ResponseTimeout("http://secret"),
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
        await call(AwsRefused("AccessDeniedException", "secret", 400))


async def test_success_is_passed_on() -> None:
    """What a call returns is returned."""
    assert await call(None) == "done"
