"""A rate as the fleet keeps it: a token bucket, how many passed, and how many were refused. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

from fleet.limits.bucket import Meter, TokenBucket
from fleet.limits.use import LimitUse

UNIT = "requests/s"


class Gate:
    """Lets the requests of one rate pass; `now` in seconds.

    A request that must pass several gates asks each whether it `lets` it, and only then `passes` all of them.
    """

    __slots__ = ("_bucket", "_meter", "_throttled")

    def __init__(self, bucket: TokenBucket) -> None:
        self._bucket = bucket
        self._meter = Meter()
        self._throttled = 0

    def lets(self, now: float) -> bool:
        """Whether a request may pass; a no is counted."""
        if self._bucket.has(now):
            return True
        self._throttled += 1
        return False

    def passes(self, now: float, count: int = 1) -> None:
        """A request passes, or so many."""
        self._bucket.charge(now, count)
        self._meter.add(now, count)

    def room(self, now: float) -> float:
        """How many requests it would let pass now, one after the other: whole, or infinite."""
        tokens = self._bucket.tokens(now)
        return tokens if tokens == math.inf else max(0, math.floor(tokens))

    def refuse(self, count: int) -> None:
        """Count refusals that `room` foretold."""
        self._throttled += count

    def idle(self, now: float) -> bool:
        """Whether the bucket is full: nothing is lost with it but what it has counted."""
        return self._bucket.has(now, self._bucket.burst)

    def use(self, limit: str, subject: str, now: float) -> LimitUse:
        """How much of the rate is used."""
        used, peak, most = self._meter.last(now), self._meter.peak, self._bucket.rate
        return LimitUse(limit, subject, used, peak, most, UNIT, self._throttled)


def pass_many(way: Sequence[Gate], now: float, count: int) -> int:
    """How many of `count` requests at one time pass all gates: the same as asking for each of them in turn.

    Nothing changes after the first refusal, so one gate, the first of the narrowest, refuses all of the rest.
    """
    passed: float = count
    narrowest: Gate | None = None
    for gate in way:
        if (room := gate.room(now)) < passed:
            passed, narrowest = room, gate
    if narrowest:
        narrowest.refuse(count - int(passed))
    if passed:
        for gate in way:
            gate.passes(now, int(passed))
    return int(passed)
