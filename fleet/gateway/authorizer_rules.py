"""What a Lambda authorizer is asked, and what differs by flavour of the API, by type, and by payload format.

| | REST TOKEN | REST REQUEST | HTTP 1.0 | HTTP 2.0 |
|---|---|---|---|---|
| event | token, method ARN | request | request, identity | request, identity |
| output | policy | policy | policy | policy or simple |
| context | strings | strings | flat | any JSON |
| missing identity is 401 | always | with a cache | always | always |
| timeout in seconds | 29 | 29 | 10 | 10 |

AWS names no timeout for REST APIs' authorizers; it is the integration's here. Sources: API Gateway, "Input to an API
Gateway Lambda authorizer" (REST APIs), "Control access to HTTP APIs with AWS Lambda authorizers" (Payload format
version), "Configure a Lambda authorizer using the API Gateway console" (identity sources).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias
from urllib.parse import parse_qsl

from fleet.gateway.authorizer_policy import Authorization, parse_http_1, parse_http_2, parse_output, parse_simple
from fleet.gateway.events import Api, request_parts_1, request_parts_2
from fleet.gateway.request import GatewayRequest
from fleet.gateway.routes import Match
from shoebox.stack.gateway import Gateway, GatewayAuthorizer

IdentitySource: TypeAlias = Callable[[GatewayRequest, Match], str]
"""Returns a source's value in a request; "" where it is missing. Raises `RepeatedIdentity` where there are several."""

_CONTEXT: dict[str, IdentitySource] = {
    "httpMethod": lambda request, _: request.method,
    "http.method": lambda request, _: request.method,
    "path": lambda request, _: request.raw_path,
    "http.path": lambda request, _: request.path,
    "resourcePath": lambda _, match: match.route.resource,
    "routeKey": lambda _, match: match.route_key,
    "identity.sourceIp": lambda request, _: request.source_ip,
    "http.sourceIp": lambda request, _: request.source_ip,
    "identity.userAgent": lambda request, _: _only(request.headers, "user-agent"),
    "http.userAgent": lambda request, _: _only(request.headers, "user-agent"),
    "domainName": lambda request, _: request.host,
}


class RepeatedIdentity(ValueError):
    """A source has several values, of which the cache, the authorizer and the function could each take another."""


def identity_source(expression: str, variables: Mapping[str, str] | None = None) -> IdentitySource:
    """Return what reads the identity that an expression names; `variables` are the stage's.

    REST APIs write `method.request.header.Auth`, HTTP APIs `$request.header.Auth`; both are read, and a bare name is a
    header. Header names count in any case, names in a query as they are.

    Raises:
        ValueError: it names a part of a request that cannot identify anyone.
    """
    path = expression.removeprefix("$").removeprefix("method.")
    for prefix, source in (
        ("request.header.", _header),
        ("request.querystring.", _query),
        ("context.", _context),
    ):
        if path.startswith(prefix):
            return source(path.removeprefix(prefix))
    if path.startswith("stageVariables."):
        value = (variables or {}).get(path.partition(".")[2], "")
        return lambda _request, _match: value
    if "." in path:
        raise ValueError(f"{expression!r} is no identity source")
    return _header(path)


def _header(name: str) -> IdentitySource:
    lower = name.lower()
    return lambda request, _: _only(request.headers, lower)


def _query(name: str) -> IdentitySource:
    def value(request: GatewayRequest, _match: Match) -> str:
        return _only(parse_qsl(request.query, keep_blank_values=True), name)

    return value


def _only(pairs: Iterable[tuple[str, str]], name: str) -> str:
    values = [value for key, value in pairs if key == name]
    if len(values) > 1:
        raise RepeatedIdentity(name)
    return values[0] if values else ""


def _context(name: str) -> IdentitySource:
    if name not in _CONTEXT:
        raise ValueError(f"context.{name} is no identity source here; there are: {', '.join(sorted(_CONTEXT))}")
    return _CONTEXT[name]


AuthorizerEvent: TypeAlias = Callable[[Api, GatewayRequest, Match, Sequence[str]], dict[str, Any]]
"""Makes the event for an authorizer; the last argument are the values of the identity sources."""

_EMPTY: dict[str, Any] = {}


def authorizer_event(api: Api, request: GatewayRequest, match: Match, identity: Sequence[str] = ()) -> dict[str, Any]:
    """Make the event for a REST API's REQUEST authorizer: the request without its body."""
    # What the request does not have is empty, not null as in the event for the function.
    return {"type": "REQUEST", "methodArn": api.method_arn(request), **request_parts_1(api, request, match, _EMPTY)}


def token_event(api: Api, request: GatewayRequest, match: Match, identity: Sequence[str]) -> dict[str, Any]:
    """Make the event for a REST API's TOKEN authorizer."""
    return {"type": "TOKEN", "methodArn": api.method_arn(request), "authorizationToken": identity[0]}


def http_event_1(api: Api, request: GatewayRequest, match: Match, identity: Sequence[str]) -> dict[str, Any]:
    """Make the event for an HTTP API's authorizer with payload format 1.0."""
    joined = ",".join(identity)
    named = {"identitySource": joined, "authorizationToken": joined}
    return {**authorizer_event(api, request, match), **named}


def http_event_2(api: Api, request: GatewayRequest, match: Match, identity: Sequence[str]) -> dict[str, Any]:
    """Make the event for an HTTP API's authorizer with payload format 2.0."""
    named = {"type": "REQUEST", "routeArn": api.method_arn(request), "identitySource": list(identity) or None}
    return {**request_parts_2(api, request, match), **named}


def flat_context(authorization: Authorization, latency: int) -> dict[str, Any]:
    """Return an authorization as payload format 1.0 shows it to the function; latency in milliseconds."""
    return {"principalId": authorization.principal, "integrationLatency": latency, **authorization.context}


def lambda_context(authorization: Authorization, latency: int) -> dict[str, Any]:
    """Return an authorization as payload format 2.0 shows it."""
    return {"lambda": dict(authorization.context)}


@dataclass(frozen=True, slots=True)
class AuthorizerRules:
    """How an authorizer is asked and understood; `timeout` in seconds, `validation` is a token's pattern."""

    event: AuthorizerEvent
    parse: Callable[[bytes], Authorization]
    context_of: Callable[[Authorization, int], dict[str, Any]] = flat_context
    always_needs_identity: bool = True
    timeout: float = 29
    validation: re.Pattern[str] | None = None


REST_REQUEST = AuthorizerRules(authorizer_event, parse_output, always_needs_identity=False)
REST_TOKEN = AuthorizerRules(token_event, parse_output)
HTTP_1 = AuthorizerRules(http_event_1, parse_http_1, timeout=10)
HTTP_2 = AuthorizerRules(http_event_2, parse_http_2, timeout=10)


def rules_of(gateway: Gateway, described: GatewayAuthorizer) -> AuthorizerRules:
    """Return the rules of a gateway's authorizer, as stack.yaml describes both."""
    if gateway.kind == "rest" and described.type == "REQUEST":
        return REST_REQUEST
    if gateway.kind == "rest":
        return replace(REST_TOKEN, validation=re.compile(described.validation) if described.validation else None)
    rules = HTTP_1 if described.payload == "1.0" else HTTP_2
    return replace(
        rules,
        parse=parse_simple if described.simple else rules.parse,
        context_of=flat_context if gateway.payload == "1.0" else lambda_context,
    )
