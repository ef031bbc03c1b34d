"""When to try again, and after how long: back-off with jitter, or what the other side asks for."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar

import stamina

from shoebox.client.errors import ClientError, Expired, Passing

PASSING_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})
_LONGEST = 120.0
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Up to `attempts` tries; pauses in seconds double from `first` to `longest`, plus up to `jitter`."""

    attempts: int = 7
    first: float = 0.25
    longest: float = 20.0
    jitter: float = 1.0

    async def run(self, work: Callable[[ClientError | None], Awaitable[Result]]) -> Result:
        """`await work(None)`; after a passing fault, and a pause, `await work(fault)`.

        Raises:
            ClientError: the last one, marked as `exhausted`.
        """
        fault: ClientError | None = None
        tries = stamina.retry_context(
            on=pause_after,
            attempts=self.attempts,
            timeout=None,
            wait_initial=self.first,
            wait_max=self.longest,
            wait_jitter=self.jitter,
        )
        try:
            async for attempt in tries:
                with attempt:
                    try:
                        return await work(fault)
                    except ClientError as error:
                        fault = error
                        raise
        except ClientError as error:
            error.exhausted = True
            raise
        raise AssertionError("unreachable: the last try returns or raises")


def pause_after(error: Exception) -> bool | float:
    """False: do not try again; True: after the usual pause; a number: after so many seconds."""
    match error:
        case ClientError(exhausted=True):
            return False
        case Expired():
            return 0.0
        case Passing(retry_after=float(seconds)):
            return seconds
        case Passing():
            return True
    return False


def retry_after(value: str | None, now: datetime | None = None) -> float | None:
    """Seconds that a Retry-After header asks for (RFC 9110, 10.2.3: a number or a date), two minutes at most."""
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        seconds = _seconds_until(value, now or datetime.now(UTC))
    return min(max(seconds, 0.0), _LONGEST) if math.isfinite(seconds) else None


def _seconds_until(value: str, now: datetime) -> float:
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return math.nan
    return (moment.replace(tzinfo=moment.tzinfo or UTC) - now).total_seconds()
