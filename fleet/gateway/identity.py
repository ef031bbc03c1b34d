"""Identity sources: where a request says who it is ("Configure a Lambda authorizer using the API Gateway console").

REST APIs write `method.request.header.Auth`, HTTP APIs `$request.header.Auth`; both are read, and a bare name is a
header. Header names count in any case, names in a query as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias
from urllib.parse import parse_qsl

from fleet.gateway.request import GatewayRequest
from fleet.gateway.routes import Match

IdentitySource: TypeAlias = Callable[[GatewayRequest, Match], str]
"""The value of a source in a request; "" where it is missing. Raises `RepeatedIdentity` where there are several."""

_CONTEXT: dict[str, IdentitySource] = {
    "httpMethod": lambda request, _: request.method,
    "http.method": lambda request, _: request.method,
    "path": lambda request, _: request.raw_path,
    "http.path": lambda request, _: request.path,
    "resourcePath": lambda _, match: match.route.resource,
    "routeKey": lambda _, match: route_key(match),
    "identity.sourceIp": lambda request, _: request.source_ip,
    "http.sourceIp": lambda request, _: request.source_ip,
    "identity.userAgent": lambda request, _: _only(request.headers, "user-agent"),
    "http.userAgent": lambda request, _: _only(request.headers, "user-agent"),
    "domainName": lambda request, _: request.host,
}


class RepeatedIdentity(ValueError):
    """A source has several values, of which the cache, the authorizer and the function could each take another."""


def route_key(match: Match) -> str:
    """A route as HTTP APIs name it: `GET /x`, `ANY /x`, `$default`."""
    route = match.route
    return route.resource if route.resource == "$default" else f"{route.method} {route.resource}"


def identity_source(expression: str, variables: Mapping[str, str] | None = None) -> IdentitySource:
    """What an expression stands for; `variables` are the stage's.

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
