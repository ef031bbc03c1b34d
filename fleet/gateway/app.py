"""The HTTP side: an API of API Gateway in front of the functions."""

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
from fleet.gateway.proxy_event import Api, proxy_event
from fleet.gateway.proxy_event_2 import proxy_event_2
from fleet.gateway.refusal import Refusal
from fleet.gateway.request import (
    BODY_BYTES,
    GatewayRequest,
    new_extended_id,
    new_request_id,
    oversize,
    request_of,
)
from fleet.gateway.response_2 import proxy_response_2
from fleet.gateway.responses import GatewayResponses, MalformedResponse, UndecodableBody, proxy_response
from fleet.gateway.routes import Match, Routes
from fleet.http.asgi import BodyTooLarge, Disconnected, Headers, Receive, Response, Scope, Send, read_body, respond
from fleet.http.trace import new_trace_id
from fleet.limits.gateway import GatewayThrottle
from fleet.metrics import Metrics
from shoebox.telemetry import get_logger

_log = get_logger(action="fleet.gateway")

Invoke = Callable[[str, bytes, str], Awaitable[InvokeResult]]
"""Runs a function, by its name in stack.yaml, with an event and a trace id; raises `InvokeError`."""


class _Answer(Protocol):
    def __call__(self, payload: bytes, *, decode: bool = True) -> Response: ...


@dataclass(frozen=True, slots=True)
class PayloadFormat:
    """A payload format version: what is sent to functions, and how their answers are read."""

    event: Callable[[Api, GatewayRequest, Match, Mapping[str, Any] | None, bytes], dict[str, Any]]
    answer: _Answer


FORMAT_1 = PayloadFormat(proxy_event, proxy_response)
FORMAT_2 = PayloadFormat(proxy_event_2, proxy_response_2)


class Gateway:
    """An ASGI application that answers as API Gateway does; `timeout` in seconds for the integration."""

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
        """Answer one request."""
        began = time.perf_counter()
        request = request_of(scope, self._api.kind)
        match = self._routes.match(request.raw_path, request.method)
        try:
            answer = await self._answer(request, match, scope, receive)
        except Refusal as refusal:
            answer = self._responses.refuse(refusal.kind, request.path, refusal.context, fault=refusal.fault)
        except Disconnected:
            return
        except Exception:  # noqa: BLE001  # the outermost layer; uvicorn would answer without an id
            _log.exception("request_failed", request_id=request.request_id)
            answer = self._responses.refuse("DEFAULT_5XX", request.path)
        marks = self._marks(request.request_id, request.extended_id, request.trace_id)
        whole = Response(answer.status, answer.body, [*answer.headers, *marks])
        await respond(send, whole, to_head=request.method == "HEAD")
        self._meters.count(match.route.path if match else "none", answer.status, time.perf_counter() - began)

    def refuse(self, kind: str) -> Response:
        """The answer to a request that `fleet.http.protocol` refuses before it can be read."""
        answer, extended_id = self._responses.refuse(kind), new_extended_id()
        request_id = new_request_id() if self._api.kind == "rest" else extended_id
        self._meters.count("none", answer.status, 0.0)
        marks = self._marks(request_id, extended_id, new_trace_id())
        return Response(answer.status, answer.body, [*answer.headers, *marks])

    async def _answer(self, request: GatewayRequest, match: Match | None, scope: Scope, receive: Receive) -> Response:
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
            body = await read_body(scope, receive, BODY_BYTES)
        except BodyTooLarge as error:
            raise Refusal("REQUEST_TOO_LARGE") from error
        event = orjson.dumps(self._format.event(self._api, request, match, context, body))
        result = await self._integrate(request, match, event)
        answer = self._read(result, request, match)
        return self._cors.apply(request, answer) if self._cors else answer

    async def _integrate(self, request: GatewayRequest, match: Match, event: bytes) -> InvokeResult:
        """Run the function; whatever goes wrong in it becomes a gateway response that tells nothing of its inside."""
        function = match.route.function
        try:
            async with asyncio.timeout(self._timeout):
                return await self._invoke(function, event, request.trace_id)
        except TimeoutError as error:
            raise Refusal("INTEGRATION_TIMEOUT") from error
        except RequestTooLarge as error:
            raise Refusal("REQUEST_TOO_LARGE") from error
        except InvokeError as error:
            _log.warning("function not run", function=function, code=error.code, request_id=request.request_id)
            if isinstance(error, Throttled):
                raise Refusal("INTEGRATION_FAILURE", fault="INTEGRATION_THROTTLED") from error
            raise Refusal("DEFAULT_5XX") from error

    def _read(self, result: InvokeResult, request: GatewayRequest, match: Match) -> Response:
        if result.function_error:
            raise Refusal("INTEGRATION_FAILURE")
        try:
            return self._format.answer(result.payload, decode=self._api.bodies.decoded(request.header("accept")))
        except MalformedResponse as error:
            _log.error(
                "malformed answer", function=match.route.function, reason=str(error), request_id=request.request_id
            )
            undecodable = isinstance(error, UndecodableBody)
            raise Refusal("API_CONFIGURATION_ERROR" if undecodable else "INTEGRATION_FAILURE") from error

    def _marks(self, request_id: str, extended_id: str, trace_id: str) -> Headers:
        """The ids that a client finds on every answer."""
        if self._api.kind == "http":
            return [(b"apigw-requestid", request_id.encode())]
        return [
            (b"x-amzn-requestid", request_id.encode()),
            (b"x-amz-apigw-id", extended_id.encode()),
            (b"x-amzn-trace-id", trace_id.encode("latin-1")),
        ]


class _Meters:
    """The gateway's metrics; their children are kept, since looking one up costs more than counting."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._counters: dict[tuple[str, int], Callable[[], None]] = {}
        self._times: dict[str, Callable[[float], None]] = {}

    def count(self, route: str, status: int, seconds: float) -> None:
        """One answer."""
        counter = self._counters.get((route, status))
        if counter is None:
            counter = self._counters[route, status] = self._metrics.requests.labels(route, str(status)).inc
        observe = self._times.get(route)
        if observe is None:
            observe = self._times[route] = self._metrics.latency.labels(route).observe
        counter()
        observe(seconds)
