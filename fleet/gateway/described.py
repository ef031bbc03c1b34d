"""A gateway as stack.yaml describes it, put together."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

from fleet.environments.invocation import InvokeResult
from fleet.gateway.app import FORMAT_1, FORMAT_2, Gateway, Invoke
from fleet.gateway.authorizer import Authorizer
from fleet.gateway.authorizer_cache import AuthorizerCache
from fleet.gateway.authorizer_policy import Authorization
from fleet.gateway.authorizer_rules import rules_of
from fleet.gateway.binary import HTTP_BODIES, Bodies, MediaTypes
from fleet.gateway.cors import Cors
from fleet.gateway.faults import HTTP_FAULTS, REST_FAULTS
from fleet.gateway.proxy_event import Api
from fleet.gateway.responses import GatewayResponses
from fleet.gateway.routes import Routes
from fleet.limits.gateway import GatewayThrottle
from fleet.limits.quotas import Quotas
from fleet.metrics import Metrics
from shoebox.stack.deployment import ResolvedStack
from shoebox.stack.gateway import Gateway as Described

_API_ID = "local"
_HTTP_STAGE = "$default"


def gateway_cache(stack: ResolvedStack) -> AuthorizerCache[Authorization]:
    """The cache of a stack's authorizer."""
    authorizer = stack.stack.gateway.authorizer
    return AuthorizerCache[Authorization](authorizer.ttl if authorizer else 0, clock=time.monotonic)


def gateway_throttle(stack: ResolvedStack, quotas: Quotas) -> GatewayThrottle:
    """The throttles of a stack's gateway."""
    described = stack.stack.gateway
    return GatewayThrottle(quotas, described.throttle, {route.path: route.throttle for route in described.routes})


def gateway_of(
    stack: ResolvedStack,
    stage: str,
    *,
    invoke: Invoke,
    cache: AuthorizerCache[Authorization],
    throttle: GatewayThrottle,
    metrics: Metrics,
    clock: Callable[[], float] = time.monotonic,
) -> Gateway:
    """The gateway of a stack; a REST API has the stage `stage`, an HTTP API `$default`, which is not in its URLs."""
    described, deployment = stack.stack.gateway, stack.deployment
    authorizer = described.authorizer
    rest = described.kind == "rest"
    api = Api(
        api_id=_API_ID,
        stage=stage if rest else _HTTP_STAGE,
        account=deployment.account,
        region=deployment.region,
        kind=described.kind,
        bodies=_bodies(described),
        variables=described.variables or None,
    )
    return Gateway(
        api,
        routes=Routes(described.routes, described.kind),
        throttle=throttle,
        authorizer=Authorizer(
            api,
            identity=authorizer.sources,
            ask=_asking(invoke, authorizer.function),
            cache=cache,
            rules=rules_of(described, authorizer),
        )
        if authorizer
        else None,
        responses=GatewayResponses(described.responses, REST_FAULTS if rest else HTTP_FAULTS),
        invoke=invoke,
        metrics=metrics,
        timeout=described.integration_timeout,
        payload=FORMAT_1 if rest or described.payload == "1.0" else FORMAT_2,
        cors=Cors(described.cors) if described.cors else None,
        clock=clock,
    )


def _asking(invoke: Invoke, function: str) -> Callable[[bytes, str], Awaitable[InvokeResult]]:
    return lambda event, trace: invoke(function, event, trace)


def _bodies(described: Described) -> Bodies:
    return HTTP_BODIES if described.kind == "http" else MediaTypes(described.binary_media_types)
