"""An API of API Gateway in front of the functions.

The way of a request is in `Gateway._respond`: its limits, its route, its authorizer, its event (`events`), the function
and its response (`responses`). Whatever stops it on the way raises `Refusal` (`refusals`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import orjson

from fleet.environments.invocation import InvokeResult
from fleet.errors import InvokeError, RequestTooLarge, Throttled
from fleet.gateway.authorizer import Authorizer
from fleet.gateway.cors import Cors
from fleet.gateway.events import Api, event_1, event_2
from fleet.gateway.refusals import GatewayResponses, Refusal
from fleet.gateway.request import (
    MAX_BODY_BYTES,
    GatewayRequest,
    new_extended_id,
    new_request_id,
    oversize,
    request_of,
)
from fleet.gateway.responses import MalformedResponse, UndecodableBody, response_1, response_2
from fleet.gateway.routes import Match, Routes
from fleet.http.asgi import BodyTooLarge, Disconnected, Headers, Receive, Response, Scope, Send, read_body, respond
from fleet.http.trace import new_trace_id
from fleet.limits.gateway import GatewayThrottle
from fleet.metrics import Metrics
from shoebox.telemetry import get_logger

_log = get_logger(action="fleet.gateway")

Invoke = Callable[[str, bytes, str], Awaitable[InvokeResult]]
"""Runs a function, by its name in stack.yaml, with an event and a trace id; raises `InvokeError`."""


class _ReadResponse(Protocol):
    def __call__(self, payload: bytes, *, decode: bool = True) -> Response: ...


@dataclass(frozen=True, slots=True)
class PayloadFormat:
    """A payload format version: what is sent to functions, and how their responses are read."""

    event: Callable[[Api, GatewayRequest, Match, Mapping[str, Any] | None, bytes], dict[str, Any]]
    response: _ReadResponse


FORMAT_1 = PayloadFormat(event_1, response_1)
FORMAT_2 = PayloadFormat(event_2, response_2)


class Gateway:
    """An ASGI application that responds as API Gateway does; `timeout` in seconds for the integration."""

    def __init__(
        self,
        api: Api,
        *,
        routes: Routes,
        throttle: GatewayThrottle,
        authorizer: Authorizer | None,
        responses: GatewayResponses,
        invoke: Invoke,
        metrics: Metrics,
        timeout: float,
        payload: PayloadFormat = FORMAT_1,
        cors: Cors | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._api = api
        self._routes = routes
        self._throttle = throttle
        self._authorizer = authorizer
        self._responses = responses
        self._invoke = invoke
        self._timeout = timeout
        self._format = payload
        self._cors = cors
        self._clock = clock
        self._meters = _Meters(metrics)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        began = time.perf_counter()
        request = request_of(scope, self._api.kind)
        match = self._routes.match(request.raw_path, request.method)
        try:
            response = await self._respond(request, match, scope, receive)
        except Refusal as refusal:
            response = self._responses.refuse(refusal.kind, request.path, refusal.context, fault=refusal.fault)
        except Disconnected:
            return
        except Exception:  # noqa: BLE001  # the outermost layer; uvicorn would respond without an id
            _log.exception("request_failed", request_id=request.request_id)
            response = self._responses.refuse("DEFAULT_5XX", request.path)
        response = self._with_ids(response, request.request_id, request.extended_id, request.trace_id)
        await respond(send, response, to_head=request.method == "HEAD")
        self._meters.count(match.route.path if match else "none", response.status, time.perf_counter() - began)

    def refuse(self, kind: str) -> Response:
        """Return the response to a request that `fleet.http.protocol` refuses before it can be read."""
        extended_id = new_extended_id()
        request_id = new_request_id() if self._api.kind == "rest" else extended_id
        response = self._with_ids(self._responses.refuse(kind), request_id, extended_id, new_trace_id())
        self._meters.count("none", response.status, 0.0)
        return response

    async def _respond(self, request: GatewayRequest, match: Match | None, scope: Scope, receive: Receive) -> Response:
        if too_large := oversize(request, self._api.kind):
            raise Refusal(too_large)
        if not self._throttle.admit(match.route.path if match else None, self._clock()):
            raise Refusal("THROTTLED")
        if self._cors and (preflight := self._cors.preflight(request, match)):
            return preflight
        if match is None:
            raise Refusal("MISSING_AUTHENTICATION_TOKEN")
        context = None
        if match.route.authorize:
            assert self._authorizer is not None, "a stack with such a route is refused"
            context = await self._authorizer.authorize(request, match)
        try:
            body = await read_body(scope, receive, MAX_BODY_BYTES)
        except BodyTooLarge as error:
            raise Refusal("REQUEST_TOO_LARGE") from error
        event = orjson.dumps(self._format.event(self._api, request, match, context, body))
        response = await self._integrate(request, match, event)
        return self._cors.apply(request, response) if self._cors else response

    async def _integrate(self, request: GatewayRequest, match: Match, event: bytes) -> Response:
        """Run the function and read its response; its errors become gateway responses that do not show them."""
        function = match.route.function
        try:
            async with asyncio.timeout(self._timeout):
                result = await self._invoke(function, event, request.trace_id)
        except TimeoutError as error:
            raise Refusal("INTEGRATION_TIMEOUT") from error
        except RequestTooLarge as error:
            raise Refusal("REQUEST_TOO_LARGE") from error
        except InvokeError as error:
            _log.warning("function_not_run", function=function, code=error.code, request_id=request.request_id)
            if isinstance(error, Throttled):
                raise Refusal("INTEGRATION_FAILURE", fault="INTEGRATION_THROTTLED") from error
            raise Refusal("DEFAULT_5XX") from error
        if result.function_error:
            raise Refusal("INTEGRATION_FAILURE")
        try:
            return self._format.response(result.payload, decode=self._api.bodies.decoded(request.header("accept")))
        except MalformedResponse as error:
            reason = str(error)
            _log.error("response_malformed", function=function, reason=reason, request_id=request.request_id)
            undecodable = isinstance(error, UndecodableBody)
            raise Refusal("API_CONFIGURATION_ERROR" if undecodable else "INTEGRATION_FAILURE") from error

    def _with_ids(self, response: Response, request_id: str, extended_id: str, trace_id: str) -> Response:
        """Add the ids that every response has."""
        ids: Headers = [(b"apigw-requestid", request_id.encode())]
        if self._api.kind == "rest":
            ids = [
                (b"x-amzn-requestid", request_id.encode()),
                (b"x-amz-apigw-id", extended_id.encode()),
                (b"x-amzn-trace-id", trace_id.encode("latin-1")),
            ]
        return Response(response.status, response.body, [*response.headers, *ids])


class _Meters:
    """The gateway's metrics; their children are kept, since looking one up costs more than counting."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._counters: dict[tuple[str, int], Callable[[], None]] = {}
        self._times: dict[str, Callable[[float], None]] = {}

    def count(self, route: str, status: int, seconds: float) -> None:
        """Count one response."""
        counter = self._counters.get((route, status))
        if counter is None:
            counter = self._counters[route, status] = self._metrics.requests.labels(route, str(status)).inc
        observe = self._times.get(route)
        if observe is None:
            observe = self._times[route] = self._metrics.latency.labels(route).observe
        counter()
        observe(seconds)
