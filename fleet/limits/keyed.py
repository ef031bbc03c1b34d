"""Token buckets by key, for millions of keys: one is made when it is wanted, and forgotten when it is full again.

A full bucket and none are the same thing, so nothing is lost, and memory is bounded by the keys of about one second.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable

from fleet.limits.bucket import TokenBucket

_SWEEP = 2  # looked at in each call: more than one is added, so what is idle goes


class KeyBucket(TokenBucket):
    """One key's bucket, and how much it gave in the second that it last gave in."""

    __slots__ = ("_given", "_second", "touched")

    def __init__(self, rate: float, now: float) -> None:
        super().__init__(rate)
        self.touched = now
        self._second, self._given = -1, 0.0

    def give(self, now: float, tokens: float) -> float:
        """Take tokens, if need be into debt; what was taken in this second so far."""
        self.charge(now, tokens)
        second = int(now)
        if second != self._second:
            self._second, self._given = second, 0.0
        self._given += tokens
        return self._given


class KeyedBuckets:
    """A bucket of the same rate for each key; `now` in seconds, never going back."""

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self._buckets: OrderedDict[Hashable, KeyBucket] = OrderedDict()

    def __len__(self) -> int:
        """How many are in memory."""
        return len(self._buckets)

    def at(self, key: Hashable, now: float) -> KeyBucket:
        """The bucket of a key."""
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
        for _ in range(min(_SWEEP, len(self._buckets))):
            key, bucket = next(iter(self._buckets.items()))
            if now - bucket.touched < 1.0:  # a burst is one second's rate: none is full sooner
                return
            if bucket.has(now, bucket.burst):
                del self._buckets[key]
            else:
                bucket.touched = now
                self._buckets.move_to_end(key)
