"""When to try again, and after how long: pauses that grow, with jitter, and never shorter than the other side asks."""

from __future__ import annotations

import asyncio
import math
import random
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeAlias, TypeVar

from shoebox_client.errors import ClientError, TransientError, UrlExpired

TRANSIENT_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})
_MAX_RETRY_AFTER = 120.0
_DOUBLINGS = 30  # more exceed every `max_pause`, and in the end what a float can hold
_EXPIRED_IN_A_ROW = 3
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Retry:
    """A try failed and another follows in `pause` seconds; `since` is the seconds since the first one failed."""

    error: ClientError
    pause: float
    since: float


RetryListener: TypeAlias = Callable[[Retry], None]


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Up to `max_attempts` tries; pauses in seconds double from `first_pause` to `max_pause`, plus up to `jitter`.

    The pauses of the default add up to more than four minutes: a service that restarts, or is deployed, is waited for.
    They add up to `max_pauses` seconds at most, however long the other side asks to wait.
    """

    max_attempts: int = 20
    first_pause: float = 0.25
    max_pause: float = 20.0
    jitter: float = 1.0
    max_pauses: float = 360.0
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    clock: Callable[[], float] = time.monotonic

    @classmethod
    def endless(cls) -> RetryPolicy:
        """Return a policy that retries a transient error until it is over, for a run that watches folders."""
        return cls(max_attempts=sys.maxsize, max_pauses=math.inf)

    async def run(
        self, work: Callable[[ClientError | None], Awaitable[Result]], listener: RetryListener | None = None
    ) -> Result:
        """Await `work(None)`; after a transient error, and a pause, await `work(error)`.

        Raises:
            ClientError: the last one, marked as `exhausted`; `upload_refused` after the third `UrlExpired` in a row.
        """
        last_error: ClientError | None = None
        failed_at = paused = 0.0
        expired = 0
        for attempt in range(1, self.max_attempts + 1):
            try:
                return await work(last_error)
            except ClientError as error:
                expired = expired + 1 if isinstance(error, UrlExpired) else 0
                # A URL that was just signed has not expired: the storage will not take the next one either.
                if expired == _EXPIRED_IN_A_ROW:
                    detail = f"{error.detail} New upload URLs did not help."
                    raise ClientError(detail, code="upload_refused") from error
                pause = self.pause_after(error, attempt)
                if pause is None or attempt == self.max_attempts or paused + pause > self.max_pauses:
                    error.exhausted = True
                    raise
                failed_at = failed_at if last_error else self.clock()
                last_error = error
            if listener:
                listener(Retry(last_error, pause, self.clock() - failed_at))
            await self.sleep(pause)
            paused += pause
        raise AssertionError("unreachable: the last try returns or raises")

    def pause_after(self, error: ClientError, attempt: int) -> float | None:
        """Return the seconds until the next try, after the `attempt`th (from 1) ended with `error`; None: no other try.

        `Retry-After` is a minimum: a service that responds 503 with `Retry-After: 1` does not want every client back
        each second.
        """
        if error.exhausted or not isinstance(error, UrlExpired | TransientError):
            return None
        if isinstance(error, UrlExpired) and attempt == 1:
            return 0.0
        growing = self.first_pause * 2.0 ** min(attempt - 1, _DOUBLINGS) + random.uniform(0, self.jitter)  # noqa: S311 - no secret
        asked = error.retry_after if isinstance(error, TransientError) and error.retry_after else 0.0
        return max(min(growing, self.max_pause), asked)


def retry_after(value: str | None, now: datetime | None = None) -> float | None:
    """Return the seconds that a Retry-After header asks for, at most two minutes; None for none, or for nonsense.

    It is a number or a date (RFC 9110, 10.2.3).
    """
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            moment = parsedate_to_datetime(value)
        except ValueError:
            return None
        seconds = (moment.replace(tzinfo=moment.tzinfo or UTC) - (now or datetime.now(UTC))).total_seconds()
    return min(max(seconds, 0.0), _MAX_RETRY_AFTER) if math.isfinite(seconds) else None
