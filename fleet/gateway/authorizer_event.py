"""Events for Lambda authorizers.

Sources: API Gateway, "Input to an API Gateway Lambda authorizer" (REST APIs), "Control access to HTTP APIs with AWS
Lambda authorizers" (Payload format version).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from fleet.gateway.proxy_event import Api, request_parts
from fleet.gateway.proxy_event_2 import request_parts_2
from fleet.gateway.request import GatewayRequest
from fleet.gateway.routes import Match

AuthorizerEvent: TypeAlias = Callable[[Api, GatewayRequest, Match, Sequence[str]], dict[str, Any]]
"""Makes an event; the last argument are the values of the identity sources."""

_EMPTY: dict[str, Any] = {}


def authorizer_event(api: Api, request: GatewayRequest, match: Match, identity: Sequence[str] = ()) -> dict[str, Any]:
    """For a REST API's REQUEST authorizer: the request without its body; what it does not have is empty, not null."""
    return {"type": "REQUEST", "methodArn": api.method_arn(request), **request_parts(api, request, match, _EMPTY)}


def token_event(api: Api, request: GatewayRequest, match: Match, identity: Sequence[str]) -> dict[str, Any]:
    """For a REST API's TOKEN authorizer."""
    return {"type": "TOKEN", "methodArn": api.method_arn(request), "authorizationToken": identity[0]}


def http_event_1(api: Api, request: GatewayRequest, match: Match, identity: Sequence[str]) -> dict[str, Any]:
    """For an HTTP API's authorizer with payload format 1.0."""
    joined = ",".join(identity)
    named = {"identitySource": joined, "authorizationToken": joined}
    return {**authorizer_event(api, request, match), **named}


def http_event_2(api: Api, request: GatewayRequest, match: Match, identity: Sequence[str]) -> dict[str, Any]:
    """For an HTTP API's authorizer with payload format 2.0."""
    named = {"type": "REQUEST", "routeArn": api.method_arn(request), "identitySource": list(identity) or None}
    return {**request_parts_2(api, request, match), **named}
