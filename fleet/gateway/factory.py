"""Makes the gateway that stack.yaml describes."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from fleet.gateway.app import FORMAT_1, FORMAT_2, Gateway, Invoke
from fleet.gateway.authorizer import Authorizer, AuthorizerCache
from fleet.gateway.authorizer_rules import rules_of
from fleet.gateway.binary import HTTP_BODIES, MediaTypes
from fleet.gateway.cors import Cors
from fleet.gateway.events import Api
from fleet.gateway.refusals import HTTP_FAULTS, REST_FAULTS, GatewayResponses
from fleet.gateway.routes import Routes
from fleet.limits.gateway import GatewayThrottle
from fleet.limits.quotas import Quotas
from fleet.metrics import Metrics
from shoebox.stack.deployment import ResolvedStack

_API_ID = "local"
_HTTP_STAGE = "$default"


def gateway_cache(stack: ResolvedStack) -> AuthorizerCache:
    """Make the cache of a stack's authorizer."""
    authorizer = stack.stack.gateway.authorizer
    return AuthorizerCache(authorizer.ttl if authorizer else 0, clock=time.monotonic)


def gateway_throttle(stack: ResolvedStack, quotas: Quotas) -> GatewayThrottle:
    """Make the throttles of a stack's gateway."""
    described = stack.stack.gateway
    return GatewayThrottle(quotas, described.throttle, {route.path: route.throttle for route in described.routes})


def gateway_of(
    stack: ResolvedStack,
    stage: str,
    *,
    invoke: Invoke,
    cache: AuthorizerCache,
    throttle: GatewayThrottle,
    metrics: Metrics,
    clock: Callable[[], float] = time.monotonic,
) -> Gateway:
    """Make the gateway of a stack.

    A REST API has the stage `stage`, an HTTP API `$default`, which is not in its URLs.
    """
    described, deployment = stack.stack.gateway, stack.deployment
    rest = described.kind == "rest"
    api = Api(
        api_id=_API_ID,
        stage=stage if rest else _HTTP_STAGE,
        account=deployment.account,
        region=deployment.region,
        kind=described.kind,
        bodies=MediaTypes(described.binary_media_types) if rest else HTTP_BODIES,
        variables=described.variables or None,
    )
    authorizer = None
    if described.authorizer:
        authorizer = Authorizer(
            api,
            identity=described.authorizer.sources,
            ask=partial(invoke, described.authorizer.function),
            cache=cache,
            rules=rules_of(described, described.authorizer),
        )
    return Gateway(
        api,
        routes=Routes(described.routes, described.kind),
        throttle=throttle,
        authorizer=authorizer,
        responses=GatewayResponses(described.responses, REST_FAULTS if rest else HTTP_FAULTS),
        invoke=invoke,
        metrics=metrics,
        timeout=described.integration_timeout,
        payload=FORMAT_1 if rest or described.payload == "1.0" else FORMAT_2,
        cors=Cors(described.cors) if described.cors else None,
        clock=clock,
    )
