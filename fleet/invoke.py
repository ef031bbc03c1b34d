"""Lambda's Invoke: in process for gateway and mappings, and over HTTP for any AWS SDK.

The way of an invocation: `Invoker` → `fleet.environments.pool` → `fleet.environments.runtime_api`, from which the
function's process takes it over HTTP. Rules: AWS Lambda API reference, "Invoke" and "InvokeWithResponseStream".
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

import orjson

from fleet.async_events import AsyncEvents
from fleet.environments.invocation import ASYNC_PAYLOAD, SYNC_PAYLOAD, Call, InvokeResult, Sink
from fleet.environments.pool import Pool
from fleet.errors import InvalidRequestContent, InvokeError, RequestTooLarge, Throttled
from fleet.functions import VERSION, Functions
from fleet.http.asgi import (
    BodyTooLarge,
    Disconnected,
    Receive,
    Response,
    Scope,
    Send,
    header,
    json_response,
    read_body,
    respond,
)
from fleet.http.trace import new_trace_id, trace_id_of
from fleet.invoke_stream import send_stream

PREFIX = "/2015-03-31/functions/"
STREAM_PREFIX = "/2021-11-15/functions/"
_UNKNOWN_OPERATION = json_response(404, {"Message": "Only Invoke is served here", "Type": "User"})


class Invoker:
    """Invokes functions by their names in stack.yaml."""

    def __init__(self, pools: Mapping[str, Pool]) -> None:
        self._pools = pools

    async def invoke(
        self,
        function: str,
        payload: bytes,
        *,
        trace_id: str = "",
        client_context: str = "",
        sink: Sink | None = None,
        tail: bool = False,
    ) -> InvokeResult:
        """Run a function and wait for its result; errors of the function are in the result.

        A streamed response goes to `sink` and is not in the result; without one the result has all of it. `tail`: the
        result has the end of the invocation's log.

        Raises:
            RequestTooLarge: the payload is above 6 MB.
            Throttled: a limit refuses it.
        """
        if len(payload) > SYNC_PAYLOAD:
            raise RequestTooLarge(SYNC_PAYLOAD)
        trace_id = trace_id or new_trace_id()
        call = Call(payload, trace_id=trace_id, client_context=client_context, sink=sink, tail=tail)
        return await self._pools[function].invoke(call)


class InvokeApi:
    """The HTTP side: `POST /2015-03-31/functions/{name}/invocations`, and the one that streams its response."""

    def __init__(self, functions: Functions, invoker: Invoker, events: AsyncEvents) -> None:
        self._functions = functions
        self._invoker = invoker
        self._events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        try:
            if scope["path"].startswith(STREAM_PREFIX):
                await self._stream(scope, receive, send)
            else:
                await respond(send, await self._invoke(scope, receive))
        except InvokeError as error:
            content = {"Type": "User", "message": error.message, "Message": error.message}
            if isinstance(error, Throttled):
                content["Reason"] = str(error.reason)
            await respond(send, json_response(error.status, content, [(b"x-amzn-errortype", error.code.encode())]))
        except Disconnected:
            return

    async def _invoke(self, scope: Scope, receive: Receive) -> Response:
        """Invoke: DryRun, Event and RequestResponse."""
        name, _, operation = scope["path"].removeprefix(PREFIX).rpartition("/")
        if scope["method"] != "POST" or operation != "invocations":
            return _UNKNOWN_OPERATION
        function = self._functions.by_name(unquote(name))
        kind = header(scope, b"x-amz-invocation-type") or "RequestResponse"
        payload = await _payload(scope, receive, ASYNC_PAYLOAD if kind == "Event" else SYNC_PAYLOAD)
        match kind:
            case "DryRun":
                return Response(204)
            case "Event":
                call = Call(payload, trace_id=new_trace_id(), synchronous=False)
                self._events.submit(function, call)
                return Response(202, headers=[(b"x-amzn-requestid", call.request_id.encode())])
            case "RequestResponse":
                return _response_of(await self._invoker.invoke(function.key, payload, **_options(scope)))
        raise InvalidRequestContent(f"Unknown invocation type {kind!r}")

    async def _stream(self, scope: Scope, receive: Receive, send: Send) -> None:
        """InvokeWithResponseStream: DryRun and RequestResponse."""
        name, _, operation = scope["path"].removeprefix(STREAM_PREFIX).rpartition("/")
        if scope["method"] != "POST" or operation != "response-streaming-invocations":
            await respond(send, _UNKNOWN_OPERATION)
            return
        function = self._functions.by_name(unquote(name))
        payload = await _payload(scope, receive, SYNC_PAYLOAD)
        match header(scope, b"x-amz-invocation-type") or "RequestResponse":
            case "DryRun":
                await respond(send, Response(204))
            case "RequestResponse":
                options = _options(scope)
                await send_stream(
                    lambda sink: self._invoker.invoke(function.key, payload, sink=sink, **options), receive, send
                )
            case kind:
                raise InvalidRequestContent(f"Unknown invocation type {kind!r}")


def _response_of(result: InvokeResult) -> Response:
    headers = [
        (b"content-type", b"application/json"),
        (b"x-amzn-requestid", result.request_id.encode()),
        (b"x-amz-executed-version", VERSION.encode()),
    ]
    if result.function_error:
        headers.append((b"x-amz-function-error", result.function_error.encode()))
    if result.log is not None:
        headers.append((b"x-amz-log-result", base64.b64encode(result.log)))
    return Response(200, result.payload, headers)


def _options(scope: Scope) -> dict[str, Any]:
    """Return the options of `Invoker.invoke` that the request's headers ask for."""
    log_type = header(scope, b"x-amz-log-type") or "None"
    if log_type not in ("None", "Tail"):
        raise InvalidRequestContent(f"Unknown log type {log_type!r}: it is None or Tail")
    return {
        "trace_id": trace_id_of(header(scope, b"x-amzn-trace-id")),
        "client_context": _client_context(header(scope, b"x-amz-client-context")),
        "tail": log_type == "Tail",
    }


async def _payload(scope: Scope, receive: Receive, limit: int) -> bytes:
    """Return the event's JSON; an empty body is an empty object."""
    try:
        payload = await read_body(scope, receive, limit)
    except BodyTooLarge:
        raise RequestTooLarge(limit) from None
    try:
        orjson.loads(payload or b"{}")
    except orjson.JSONDecodeError as error:
        raise InvalidRequestContent(f"Could not parse request body into json: {error}") from error
    return payload or b"{}"


def _client_context(encoded: str) -> str:
    """Return the client context's JSON on one line, as the Runtime API sends it in a header."""
    if not encoded:
        return ""
    try:
        return orjson.dumps(orjson.loads(base64.b64decode(encoded, validate=True))).decode()
    except ValueError as error:
        raise InvalidRequestContent("Client context must be a valid Base64-encoded JSON object.") from error
