"""The token bucket: a rate with a burst. Pure; the caller passes the time in seconds, which never goes back.

Source: API Gateway, "Throttle requests to your REST APIs" (token bucket algorithm).
"""

from __future__ import annotations

import math


class TokenBucket:
    """Lets `rate` tokens a second go, and up to `burst` at once; it begins full. Infinite is no limit."""

    __slots__ = ("_at", "_tokens", "burst", "rate")

    def __init__(self, rate: float, burst: float | None = None) -> None:
        self.rate = rate
        self.burst = rate if burst is None else burst
        self._tokens = self.burst
        self._at = -math.inf

    def take(self, now: float, tokens: float = 1.0) -> bool:
        """Take tokens, all or none; says whether there were enough."""
        self._refill(now)
        if self._tokens < tokens:
            return False
        self._tokens -= tokens
        return True

    def tokens(self, now: float) -> float:
        """Tokens that are there now; negative in debt."""
        self._refill(now)
        return self._tokens

    def charge(self, now: float, tokens: float) -> None:
        """Take tokens whose number was known only afterwards; the bucket may fall into debt, which refuses others."""
        self._refill(now)
        self._tokens -= tokens

    def has(self, now: float, tokens: float = 1.0) -> bool:
        """Whether so many could be taken now; for a request that must pass several buckets."""
        self._refill(now)
        return self._tokens >= tokens

    def seconds_until(self, now: float, tokens: float = 1.0) -> float:
        """How long until so many are there; infinite where they never will be."""
        self._refill(now)
        missing = tokens - self._tokens
        if missing <= 0:
            return 0.0
        return missing / self.rate if self.rate and tokens <= self.burst else math.inf

    def _refill(self, now: float) -> None:
        elapsed = now - self._at
        if elapsed <= 0:
            return
        self._at = now
        self._tokens = self.burst if elapsed == math.inf else min(self.burst, self._tokens + elapsed * self.rate)


class _BySecond:
    """A number of each whole second: that of the last one, and the highest of any so far (`peak`)."""

    __slots__ = ("_last", "_second", "_value", "peak")

    def __init__(self) -> None:
        self._second = -1
        self._value = self._last = self.peak = 0.0

    def last(self, now: float) -> float:
        """Of the last whole second."""
        self._turn(now)
        return self._last

    def _turn(self, now: float) -> None:
        second = int(now)
        if second != self._second:
            self._last = self._value if second == self._second + 1 else 0.0
            self._second, self._value = second, 0.0


class Meter(_BySecond):
    """How many a second."""

    __slots__ = ()

    def add(self, now: float, count: float = 1.0) -> None:
        """So many, now."""
        self._turn(now)
        self._value += count
        if self._value > self.peak:
            self.peak = self._value


class Highest(_BySecond):
    """The highest number noted in a second."""

    __slots__ = ()

    def note(self, now: float, value: float) -> None:
        """A number of this second."""
        self._turn(now)
        if value > self._value:
            self._value = value
            self.peak = max(self.peak, value)
