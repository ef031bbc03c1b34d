"""CORS of HTTP APIs: the gateway responds to preflights, and its headers replace the integration's.

Source: API Gateway, "Configure CORS for HTTP APIs in API Gateway". The gateway responds to a preflight that no route
takes; `$default` takes it (the page's section on it), and so does a route with ANY (seen: sst #5493), with its
authorizer. An origin that is not allowed gets no CORS headers, which is what makes a browser refuse. The page speaks of
responses "from an integration", so the gateway's own refusals carry none.
"""

from __future__ import annotations

from collections.abc import Iterable

from fleet.gateway.request import GatewayRequest
from fleet.gateway.routes import Match
from fleet.http.asgi import SAFE, Headers, Response
from shoebox.stack.gateway import GatewayCors


class Cors:
    """An HTTP API's CORS configuration."""

    def __init__(self, described: GatewayCors) -> None:
        self._origins = frozenset(described.allow_origins)
        self._schemes = tuple(origin[:-1] for origin in described.allow_origins if origin.endswith("://*"))
        self._always: Headers = [(b"access-control-allow-credentials", b"true")] if described.allow_credentials else []
        self._exposed = _listed(b"access-control-expose-headers", described.expose_headers)
        self._preflight = [
            *_listed(b"access-control-allow-methods", described.allow_methods),
            *_listed(b"access-control-allow-headers", described.allow_headers),
            *_listed(b"access-control-max-age", [] if described.max_age is None else [str(described.max_age)]),
        ]

    def preflight(self, request: GatewayRequest, match: Match | None) -> Response | None:
        """Return the response to a preflight; None where the request is none, or belongs to a route."""
        if match or not _is_preflight(request):
            return None
        return Response(204, headers=[*self._headers(request), *SAFE])

    def apply(self, request: GatewayRequest, response: Response) -> Response:
        """Return a function's response with the gateway's CORS headers in place of its own."""
        own = [(name, value) for name, value in response.headers if not name.startswith(b"access-control-")]
        return Response(response.status, response.body, [*own, *self._headers(request)])

    def _headers(self, request: GatewayRequest) -> Headers:
        allowed = self._allowed(request)
        if not allowed:
            return []
        return [*allowed, *self._always, *(self._preflight if _is_preflight(request) else self._exposed)]

    def _allowed(self, request: GatewayRequest) -> Headers:
        origin = request.header("origin")
        if not origin:
            return []
        if "*" in self._origins:
            return [(b"access-control-allow-origin", b"*")]
        if origin in self._origins or (self._schemes and origin.startswith(self._schemes)):
            return [(b"access-control-allow-origin", origin.encode("latin-1"))]
        return []


def _is_preflight(request: GatewayRequest) -> bool:
    return request.method == "OPTIONS" and bool(request.header("access-control-request-method"))


def _listed(name: bytes, values: Iterable[str]) -> Headers:
    text = ",".join(values)
    return [(name, text.encode())] if text else []
