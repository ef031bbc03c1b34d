"""Token buckets (a rate with a burst) and what is counted by the second. Pure.

The caller passes the time in seconds, which never goes back.

Source: API Gateway, "Throttle requests to your REST APIs" (token bucket algorithm).
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Hashable

_MAX_SWEPT = 2  # keys looked at in each call: more than the one that is added, so what is idle goes


class TokenBucket:
    """`rate` tokens a second, and up to `burst` at once; it begins full. Infinite is no limit."""

    __slots__ = ("_at", "_tokens", "burst", "rate")

    def __init__(self, rate: float, burst: float | None = None) -> None:
        self.rate = rate
        self.burst = rate if burst is None else burst
        self._tokens = self.burst
        self._at = -math.inf

    def tokens(self, now: float) -> float:
        """Return the tokens that are there now; negative in debt."""
        self._refill(now)
        return self._tokens

    def charge(self, now: float, tokens: float) -> None:
        """Take tokens; where they were not there, the bucket falls into debt, which refuses others."""
        if now > self._at:  # mostly not, since whoever charges has just asked for the tokens: this saves the call
            self._refill(now)
        self._tokens -= tokens

    def has(self, now: float, tokens: float = 1.0) -> bool:
        """Tell whether so many could be taken now; for a request that must pass several buckets."""
        self._refill(now)
        return self._tokens >= tokens

    def seconds_until(self, now: float, tokens: float = 1.0) -> float:
        """Return how long it takes until so many are there; infinite where they never will be."""
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


class KeyBucket(TokenBucket):
    """One key's bucket, and how much was taken in the second of the last take."""

    __slots__ = ("_second", "_taken", "touched")

    def __init__(self, rate: float, now: float) -> None:
        super().__init__(rate)
        self.touched = now
        self._second, self._taken = -1, 0.0

    def take(self, now: float, tokens: float) -> float:
        """Take tokens, if need be into debt; return what was taken in this second so far."""
        self.charge(now, tokens)
        second = int(now)
        if second != self._second:
            self._second, self._taken = second, 0.0
        self._taken += tokens
        return self._taken


class KeyedBuckets:
    """A bucket of the same rate for each of millions of keys; `now` in seconds, never going back.

    One is made when it is wanted, and forgotten when it is full again: a full bucket and none are the same thing, so
    nothing is lost, and memory is bounded by the keys of about one second.
    """

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self._buckets: OrderedDict[Hashable, KeyBucket] = OrderedDict()

    def __len__(self) -> int:
        """Return how many are in memory."""
        return len(self._buckets)

    def at(self, key: Hashable, now: float) -> KeyBucket:
        """Return the bucket of a key; make it where there is none."""
        bucket = self._buckets.get(key)
        if bucket is None:
            self._sweep(now)
            bucket = self._buckets[key] = KeyBucket(self.rate, now)
            return bucket
        bucket.touched = now
        self._buckets.move_to_end(key)
        return bucket

    def _sweep(self, now: float) -> None:
        """Forget the longest idle that are full; one in debt goes to the end, so that it hides no others."""
        for _ in range(min(_MAX_SWEPT, len(self._buckets))):
            key, bucket = next(iter(self._buckets.items()))
            if now - bucket.touched < 1.0:  # a burst is one second's rate: none is full sooner
                return
            if bucket.has(now, bucket.burst):
                del self._buckets[key]
            else:
                bucket.touched = now
                self._buckets.move_to_end(key)


class _PerSecond:
    """A number of each whole second: that of the last one, and the highest of any so far (`peak`)."""

    __slots__ = ("_last", "_second", "_value", "peak")

    def __init__(self) -> None:
        self._second = -1
        self._value = self._last = self.peak = 0.0

    def last(self, now: float) -> float:
        """Return the number of the last whole second."""
        self._roll_over(now)
        return self._last

    def _roll_over(self, now: float) -> None:
        second = int(now)
        if second != self._second:
            self._last = self._value if second == self._second + 1 else 0.0
            self._second, self._value = second, 0.0


class RateMeter(_PerSecond):
    """How many a second."""

    __slots__ = ()

    def add(self, now: float, count: float = 1.0) -> None:
        """Count so many, now."""
        self._roll_over(now)
        self._value += count
        if self._value > self.peak:
            self.peak = self._value


class PeakPerSecond(_PerSecond):
    """The highest number noted in a second."""

    __slots__ = ()

    def note(self, now: float, value: float) -> None:
        """Note a number of this second."""
        self._roll_over(now)
        if value > self._value:
            self._value = value
            self.peak = max(self.peak, value)
