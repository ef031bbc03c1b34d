"""The API's outermost middleware: request id, body limit, HEAD, safe headers, one log line, and unexpected errors."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import REQUEST_ID, problem
from shoebox.response_headers import SAFE_HEADERS
from shoebox.telemetry import get_logger, log_context

MAX_BODY = 1024 * 1024
_log = get_logger()


class Edge:
    """ASGI middleware around the whole application."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request; a lifespan goes straight through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        method = scope["method"]
        scope[REQUEST_ID] = _request_id(scope)
        response = _Response(send, empty=method == "HEAD")
        if method == "HEAD":  # every route for GET is one for HEAD, without the body (RFC 9110, 9.3.2)
            scope["method"] = "GET"
        begin = time.perf_counter()
        with log_context(request_id=scope[REQUEST_ID], **_tenant(scope)):
            await self._respond(scope, receive, response)
            route = getattr(scope.get("route"), "path", None)
            milliseconds = round((time.perf_counter() - begin) * 1000, 1)
            _log.info("request_finished", method=method, route=route, status=response.status, ms=milliseconds)

    async def _respond(self, scope: Scope, receive: Receive, response: _Response) -> None:
        body = await _read_body(receive)
        if body is None:
            refused = problem(scope, 413, "body_too_large", "A request's body may have 1 MiB; pictures go to S3.")
            await refused(scope, receive, response.send)
            return
        try:
            await self._app(scope, _Replay(body, receive), response.send)
        except Exception:
            # The outermost layer: what it let through would reach the caller as the gateway's own 502, without the
            # request's id. The problem says nothing of the cause, which may hold names or keys; the log has it.
            _log.exception("request_failed")
            if response.status:
                raise
            failed = problem(scope, 500, "internal", "Something went wrong here; try again.")
            await failed(scope, receive, response.send)


class _Response:
    """Passes a response on with safe headers, where a route has not set its own, and keeps its status.

    An `empty` one has the headers of the whole response, its length too, and no body.
    """

    def __init__(self, send: Send, *, empty: bool) -> None:
        self._send = send
        self._empty = empty
        self.status = 0

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            for name, value in SAFE_HEADERS.items():
                headers.setdefault(name, value)
        elif self._empty and message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await self._send(message)


class _Replay:
    """`receive` for an application whose body has been read already."""

    def __init__(self, body: bytes, receive: Receive) -> None:
        self._body: bytes | None = body
        self._receive = receive

    async def __call__(self) -> Message:
        if self._body is None:
            return await self._receive()
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}


async def _read_body(receive: Receive) -> bytes | None:
    """Return the whole body; None if it is too large."""
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > MAX_BODY:
            return None
        if not message.get("more_body", False):
            return bytes(body)


def _request_id(scope: Scope) -> str:
    """Return Lambda's id of the request, under which all logs have it; one of our own outside Lambda."""
    found = getattr(scope.get("aws.context"), "aws_request_id", None)
    try:
        return str(uuid.UUID(found))
    except (TypeError, ValueError, AttributeError):
        return str(uuid.uuid4())


def _tenant(scope: Scope) -> Mapping[str, Any]:
    authorizer = ((scope.get("aws.event") or {}).get("requestContext") or {}).get("authorizer") or {}
    return {"tenant": authorizer["tenant"]} if "tenant" in authorizer else {}
