"""A rate limit as AWS shows it: a token bucket, how many requests passed, and how many were refused. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

from fleet.limits.bucket import RateMeter, TokenBucket
from fleet.limits.use import LimitUse

UNIT = "requests/s"


class RateLimit:
    """The requests of one rate; `now` in seconds.

    A request that several limits must let pass goes through `admit`: it takes a token of each of them, or of none.
    """

    __slots__ = ("_bucket", "_meter", "_throttled")

    def __init__(self, bucket: TokenBucket) -> None:
        self._bucket = bucket
        self._meter = RateMeter()
        self._throttled = 0

    def room(self, now: float) -> float:
        """Return the tokens that are there: so many requests, rounded down, may pass now; negative in debt."""
        return self._bucket.tokens(now)

    def take(self, now: float, count: int) -> None:
        """Let so many requests pass, for which `room` was enough."""
        self._bucket.charge(now, count)
        self._meter.add(now, count)

    def refuse(self, count: int) -> None:
        """Count refused requests."""
        self._throttled += count

    def idle(self, now: float) -> bool:
        """Tell whether the bucket is full: nothing is lost with it but what it has counted."""
        return self._bucket.has(now, self._bucket.burst)

    def use(self, limit: str, subject: str, now: float) -> LimitUse:
        """Return how much of the rate is used."""
        used, peak, maximum = self._meter.last(now), self._meter.peak, self._bucket.rate
        return LimitUse(limit, subject, used, peak, maximum, UNIT, self._throttled)


def admit(limits: Sequence[RateLimit], now: float, count: int = 1) -> int:
    """Return how many of `count` simultaneous requests all limits let pass, as if each were asked for in turn.

    Nothing changes after the first refusal, so one limit, the first of the narrowest, refuses all of the rest.
    """
    admitted = count
    narrowest: RateLimit | None = None
    for limit in limits:
        if (room := limit.room(now)) < admitted:
            admitted, narrowest = max(0, math.floor(room)), limit
    if narrowest:
        narrowest.refuse(count - admitted)
    if admitted:
        for limit in limits:
            limit.take(now, admitted)
    return admitted
