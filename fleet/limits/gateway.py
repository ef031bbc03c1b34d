"""API Gateway's throttling: token buckets of account, stage and routes. Pure; the caller passes the time.

Source: API Gateway, "Throttle requests to your REST APIs for better throughput in API Gateway", "Throttle requests to
your HTTP APIs for better throughput in API Gateway", "Amazon API Gateway quotas". A request passes its method's
throttle first, then the account's; a throttle of the stage is the one of every method that has none of its own. AWS
does not say whether such methods share one bucket; here they do, so that the stage's rate is the stage's. What is
refused takes no token from any bucket. AWS calls all of it best effort; here it is exact.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from fleet.limits.bucket import TokenBucket
from fleet.limits.quotas import Quotas
from fleet.limits.rate_limit import RateLimit, admit
from fleet.limits.use import LimitUse
from shoebox.stack.gateway import Throttle

_LIMIT = "gateway.rate"


class GatewayThrottle:
    """The throttles of a stage, in constant time; `routes` are all routes by name, with their throttles."""

    def __init__(self, quotas: Quotas, stage: Throttle | None, routes: Mapping[str, Throttle | None]) -> None:
        self._account = RateLimit(TokenBucket(quotas.gateway.rate, quotas.gateway.burst))
        self._stage = RateLimit(_bucket(quotas, stage)) if stage else None
        self._routes = {name: RateLimit(_bucket(quotas, throttle)) for name, throttle in routes.items()}
        # In AWS's order: the method's own throttle or else the stage's, then the account's.
        self._limits = {
            name: (
                self._routes[name],
                *([self._stage] if self._stage and throttle is None else []),
                self._account,
            )
            for name, throttle in routes.items()
        }

    def admit(self, route: str | None, now: float, count: int = 1) -> int:
        """Return how many of `count` requests pass; `route` is None where no route matched."""
        return admit(self._limits[route] if route is not None else (self._account,), now, count)

    def uses(self, now: float) -> Iterable[LimitUse]:
        """Yield requests a second that passed: of the account, of a stage with a throttle, and of each route."""
        yield self._account.use(_LIMIT, "account", now)
        if self._stage:
            yield self._stage.use(_LIMIT, "stage", now)
        for name, rate in self._routes.items():
            yield rate.use(_LIMIT, name, now)


def _bucket(quotas: Quotas, throttle: Throttle | None) -> TokenBucket:
    if throttle is None or quotas.off:
        return TokenBucket(math.inf)
    return TokenBucket(quotas.rate(throttle.rate), quotas.count(throttle.burst))
