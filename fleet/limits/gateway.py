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
from fleet.limits.gate import Gate, pass_many
from fleet.limits.quotas import Quotas
from fleet.limits.use import LimitUse
from shoebox.stack.model import Throttle

_LIMIT = "gateway.rate"


class GatewayThrottle:
    """Decides whether a request may pass, in constant time; `routes` are all routes by name, with their throttles."""

    def __init__(self, quotas: Quotas, stage: Throttle | None, routes: Mapping[str, Throttle | None]) -> None:
        self._account = Gate(TokenBucket(quotas.gateway.rate, quotas.gateway.burst))
        self._stage = Gate(_bucket(quotas, stage)) if stage else None
        self._routes = {name: Gate(_bucket(quotas, throttle)) for name, throttle in routes.items()}
        self._ways = {name: self._way(name, own=throttle is not None) for name, throttle in routes.items()}

    def admit(self, route: str | None, now: float) -> bool:
        """Take a token of every bucket in the way, or of none; `route` is None where no route matched."""
        way = self._ways[route] if route is not None else (self._account,)
        for gate in way:
            if not gate.lets(now):
                return False
        for gate in way:
            gate.passes(now)
        return True

    def admit_many(self, route: str | None, now: float, count: int) -> int:
        """The same as `count` calls of `admit` at one time; how many of them pass."""
        return pass_many(self._ways[route] if route is not None else (self._account,), now, count)

    def uses(self, now: float) -> Iterable[LimitUse]:
        """Requests a second that passed: of the account, of the stage where it has a throttle, and of each route."""
        yield self._account.use(_LIMIT, "account", now)
        if self._stage:
            yield self._stage.use(_LIMIT, "stage", now)
        for name, gate in self._routes.items():
            yield gate.use(_LIMIT, name, now)

    def _way(self, route: str, *, own: bool) -> tuple[Gate, ...]:
        """The buckets that a route's requests pass, in AWS's order."""
        stage = () if own or self._stage is None else (self._stage,)
        return (self._routes[route], *stage, self._account)


def _bucket(quotas: Quotas, throttle: Throttle | None) -> TokenBucket:
    if throttle is None or quotas.off:
        return TokenBucket(math.inf)
    return TokenBucket(quotas.rate(throttle.rate), quotas.count(throttle.burst))
