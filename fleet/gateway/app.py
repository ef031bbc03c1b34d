"""The HTTP side: API Gateway's REST API in front of the functions."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import orjson

from fleet.environments.invocation import InvokeResult
from fleet.errors import InvokeError, RequestTooLarge
from fleet.gateway.authorizer import Authorizer, Refusal
from fleet.gateway.proxy_event import Api, proxy_event
from fleet.gateway.request import BODY_BYTES, HEADER_BYTES, GatewayRequest, request_of
from fleet.gateway.responses import GatewayResponses, MalformedResponse, proxy_response
from fleet.gateway.routes import Match, Routes
from fleet.http.asgi import BodyTooLarge, Disconnected, Receive, Response, Scope, Send, read_body, respond
from fleet.metrics import Metrics
from shoebox.telemetry import get_logger

_log = get_logger(action="fleet.gateway")

Invoke = Callable[[str, bytes, str], Awaitable[InvokeResult]]
"""Runs a function, by its name in stack.yaml, with an event and a trace id; raises `InvokeError`."""


class Gateway:
    """An ASGI application that answers as API Gateway does; `timeout` in seconds for the integration."""

    def __init__(
        self,
        api: Api,
        *,
        routes: Routes,
        authorizer: Authorizer,
        responses: GatewayResponses,
        invoke: Invoke,
        metrics: Metrics,
        timeout: float,
    ) -> None:
        self._api = api
        self._routes = routes
        self._authorizer = authorizer
        self._responses = responses
        self._invoke = invoke
        self._metrics = metrics
        self._timeout = timeout

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        began = time.perf_counter()
        request = request_of(scope)
        match = self._routes.match(request.path)
        try:
            answer = await self._answer(request, match, scope, receive)
        except Refusal as refusal:
            answer = self._responses.refuse(refusal.kind, request.path, refusal.context)
        except Disconnected:
            return
        answer = Response(answer.status, answer.body, [*answer.headers, *_marks(request)])
        await respond(send, answer)
        self._count(match, answer.status, time.perf_counter() - began)

    async def _answer(self, request: GatewayRequest, match: Match | None, scope: Scope, receive: Receive) -> Response:
        if match is None:
            raise Refusal("MISSING_AUTHENTICATION_TOKEN")
        if request.header_bytes > HEADER_BYTES:
            raise Refusal("HEADERS_TOO_LARGE")
        context = await self._authorizer.authorize(request, match) if match.route.authorize else None
        try:
            body = await read_body(scope, receive, BODY_BYTES)
        except BodyTooLarge as error:
            raise Refusal("REQUEST_TOO_LARGE") from error
        event = orjson.dumps(proxy_event(self._api, request, match, context, body))
        return await self._integrate(request, match, event)

    async def _integrate(self, request: GatewayRequest, match: Match, event: bytes) -> Response:
        """Run the function; whatever goes wrong in it becomes a gateway response that tells nothing of its inside."""
        function = match.route.function
        try:
            async with asyncio.timeout(self._timeout):
                result = await self._invoke(function, event, request.trace_id)
        except TimeoutError as error:
            raise Refusal("INTEGRATION_TIMEOUT") from error
        except RequestTooLarge as error:
            raise Refusal("REQUEST_TOO_LARGE") from error
        except InvokeError as error:
            _log.warning("function not run", function=function, code=error.code, request_id=request.request_id)
            raise Refusal("DEFAULT_5XX") from error
        if result.function_error:
            raise Refusal("INTEGRATION_FAILURE")
        try:
            return proxy_response(result.payload)
        except MalformedResponse as error:
            _log.error("malformed answer", function=function, reason=str(error), request_id=request.request_id)
            raise Refusal("INTEGRATION_FAILURE") from error

    def _count(self, match: Match | None, status: int, seconds: float) -> None:
        route = match.route.path if match else "none"
        self._metrics.requests.labels(route, str(status)).inc()
        self._metrics.latency.labels(route).observe(seconds)


def _marks(request: GatewayRequest) -> list[tuple[bytes, bytes]]:
    return [(b"x-amzn-requestid", request.request_id.encode()), (b"x-amzn-trace-id", request.trace_id.encode())]
