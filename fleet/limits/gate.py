"""A rate as the fleet keeps it: a token bucket, how many passed, and how many were refused. Pure."""

from __future__ import annotations

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

    def passes(self, now: float) -> None:
        """A request passes."""
        self._bucket.charge(now, 1.0)
        self._meter.add(now)

    def idle(self, now: float) -> bool:
        """Whether the bucket is full: nothing is lost with it but what it has counted."""
        return self._bucket.has(now, self._bucket.burst)

    def use(self, limit: str, subject: str, now: float) -> LimitUse:
        """How much of the rate is used."""
        used, peak, most = self._meter.last(now), self._meter.peak, self._bucket.rate
        return LimitUse(limit, subject, used, peak, most, UNIT, self._throttled)
