"""When to try the Runtime API again, and when to stop trying."""

from __future__ import annotations

import time
from collections.abc import Callable

FIRST_DELAY_S = 0.05
LONGEST_DELAY_S = 1.0


class Backoff:
    """Doubles the delay from 50 ms to `longest`, until failures have lasted `limit` seconds without a success."""

    def __init__(
        self, limit: float, *, longest: float = LONGEST_DELAY_S, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._limit = limit
        self._longest = longest
        self._clock = clock
        self._failing_since: float | None = None
        self._delay = FIRST_DELAY_S

    def failed(self) -> float | None:
        """Seconds to wait before the next attempt; None: give up."""
        now = self._clock()
        if self._failing_since is None:
            self._failing_since = now
        if now - self._failing_since >= self._limit:
            return None
        delay, self._delay = self._delay, min(2 * self._delay, self._longest)
        return delay

    def succeeded(self) -> None:
        """Forget earlier failures."""
        self._failing_since = None
        self._delay = FIRST_DELAY_S
