"""The Runtime API, as environments see it (AWS Lambda, "Using the Lambda runtime API"; status codes as the interface
emulator gives them).

An environment is named by the path, `/.rt/{function}/{environment}/2018-06-01/runtime/…`, or by the port that it has
for itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from fleet.environments import invocation as results
from fleet.environments.environment import Environment, InvalidState, TooLate, UnknownRequest
from fleet.environments.invocation import RESPONSE_PAYLOAD, Invocation, InvokeResult
from fleet.environments.pool import Pool
from fleet.environments.response_stream import Collector, failure_in_trailers, is_streamed
from fleet.http.asgi import (
    ON_UNREAD,
    App,
    BodyTooLarge,
    Disconnected,
    Headers,
    Receive,
    Response,
    Scope,
    Send,
    body_parts,
    header,
    json_response,
    read_body,
    respond,
)

PREFIX = "/.rt/"
_RUNTIME = "2018-06-01/runtime/"
_ERROR_BODY = 1024 * 1024

_ACCEPTED = json_response(202, {"status": "OK"})
_STATE = json_response(403, {"errorMessage": "State transition is not allowed", "errorType": "InvalidStateTransition"})
_UNKNOWN = json_response(400, {"errorMessage": "Invalid request ID", "errorType": "InvalidRequestID"})
_LATE = json_response(410, {"errorMessage": "Invocation has timed out", "errorType": "InvokeTimeout"})
_LARGE = json_response(
    413, {"errorMessage": "Exceeded maximum allowed payload size", "errorType": "RequestEntityTooLarge"}
)
_LOST = json_response(404, {"errorMessage": "No such environment or operation", "errorType": "NotFound"})


class RuntimeApi:
    """Serves the environments of `pools`, which are keyed by the functions' names in stack.yaml."""

    def __init__(self, pools: Mapping[str, Pool]) -> None:
        self._pools = pools

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request whose path names the environment."""
        function, _, rest = scope["path"].removeprefix(PREFIX).partition("/")
        identity, _, operation = rest.partition("/")
        await self.serve(function, identity, operation, scope, receive, send)

    def app_for(self, function: str, identity: str) -> App:
        """The API of one environment alone, with plain paths."""

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await self.serve(function, identity, scope["path"].removeprefix("/"), scope, receive, send)

        return app

    async def serve(
        self, function: str, identity: str, operation: str, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Answer `2018-06-01/runtime/…` for one environment."""
        pool = self._pools.get(function)
        environment = pool.environment(identity) if pool else None
        if pool is None or environment is None or not operation.startswith(_RUNTIME):
            await respond(send, _LOST)
            return
        match scope["method"], operation.removeprefix(_RUNTIME).split("/"):
            case "GET", ["invocation", "next"]:
                await _next(pool, environment, scope, receive, send)
            case "POST", ["invocation", request_id, "response"]:
                await respond(send, await _response(pool, environment, request_id, scope, receive))
            case "POST", ["invocation", request_id, "error"]:
                await respond(send, await _error(pool, environment, request_id, scope, receive))
            case "POST", ["init", "error"]:
                await respond(send, await _init_error(pool, environment, scope, receive))
            case _:
                await respond(send, _LOST)


async def _next(pool: Pool, environment: Environment, scope: Scope, receive: Receive, send: Send) -> None:
    """Wait for an invocation; when the slot's connection closes meanwhile, the invocation goes to another."""
    try:
        poller = pool.poll(environment)
    except InvalidState:
        await respond(send, _STATE)
        return
    watch = asyncio.create_task(_leave_when_gone(environment, poller, receive))
    try:
        invocation = await asyncio.shield(poller)
        await asyncio.sleep(0)  # the watch hears of a connection that is lost in this very turn of the loop
    finally:
        gone = watch.done()
        watch.cancel()
        environment.leave(poller)
    if invocation is None:
        if not gone:
            await respond(send, _LOST)  # the environment has ended, and the process does not know it yet
    elif gone:
        pool.offer_again(environment, invocation)
    else:
        scope[ON_UNREAD] = invocation.note_unread
        await respond(send, Response(200, invocation.call.payload, _headers(pool, invocation)))


async def _leave_when_gone(
    environment: Environment, poller: asyncio.Future[Invocation | None], receive: Receive
) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    environment.leave(poller)


def _headers(pool: Pool, invocation: Invocation) -> Headers:
    values = {
        "content-type": "application/json",
        "Lambda-Runtime-Aws-Request-Id": invocation.request_id,
        "Lambda-Runtime-Deadline-Ms": str(invocation.deadline_ms),
        "Lambda-Runtime-Invoked-Function-Arn": pool.function.arn,
        "Lambda-Runtime-Trace-Id": invocation.call.trace_id,
        "Lambda-Runtime-Invocation-Id": invocation.nonce,
    }
    if invocation.call.client_context:
        values["Lambda-Runtime-Client-Context"] = invocation.call.client_context
    return [(name.encode(), value.encode()) for name, value in values.items()]


async def _response(pool: Pool, environment: Environment, request_id: str, scope: Scope, receive: Receive) -> Response:
    if is_streamed(scope):
        return await _streamed(pool, environment, request_id, scope, receive)
    try:
        payload = await read_body(scope, receive, RESPONSE_PAYLOAD)
    except Disconnected:
        return _LOST
    except BodyTooLarge:
        return await _too_large(pool, environment, request_id, scope, RESPONSE_PAYLOAD)
    return await _finish(pool, environment, request_id, scope, InvokeResult(payload, request_id=request_id))


async def _streamed(pool: Pool, environment: Environment, request_id: str, scope: Scope, receive: Receive) -> Response:
    """Pass the parts on while they come in; a runtime that goes in the middle has answered, too, if badly."""
    nonce = header(scope, b"lambda-runtime-invocation-id")
    collector = Collector()
    try:
        sink = environment.running(request_id, nonce).call.sink or collector
        async for part in body_parts(receive, sink.limit):
            environment.running(request_id, nonce)  # its time may be over by now
            await sink.put(part)
    except UnknownRequest:
        return _UNKNOWN
    except TooLate:
        return _LATE
    except BodyTooLarge:
        return await _too_large(pool, environment, request_id, scope, sink.limit)
    except Disconnected:
        result = results.failure(request_id, "Runtime.TruncatedResponse", "The response ended before its end")
        return await _finish(pool, environment, request_id, scope, result)
    failure = failure_in_trailers(scope)
    if failure is not None:
        result = results.failed_with(request_id, failure[1], failure[0])
        return await _finish(pool, environment, request_id, scope, result)
    return await _finish(pool, environment, request_id, scope, InvokeResult(collector.payload(), request_id=request_id))


async def _too_large(pool: Pool, environment: Environment, request_id: str, scope: Scope, limit: int) -> Response:
    message = f"Response payload size exceeded maximum allowed payload size ({limit} bytes)."
    result = results.failure(request_id, "Function.ResponseSizeTooLarge", message)
    finished = await _finish(pool, environment, request_id, scope, result)
    return _LARGE if finished is _ACCEPTED else finished


async def _error(pool: Pool, environment: Environment, request_id: str, scope: Scope, receive: Receive) -> Response:
    try:
        payload = await read_body(scope, receive, RESPONSE_PAYLOAD)
    except Disconnected:
        return _LOST
    except BodyTooLarge:
        payload = b""
    kind = header(scope, b"lambda-runtime-function-error-type") or None
    result = results.failed_with(request_id, payload or _unexplained(scope), kind)
    return await _finish(pool, environment, request_id, scope, result)


async def _init_error(pool: Pool, environment: Environment, scope: Scope, receive: Receive) -> Response:
    try:
        payload = await read_body(scope, receive, _ERROR_BODY)
        pool.fail_init(environment, payload or _unexplained(scope))
    except BodyTooLarge:
        return _LARGE
    except Disconnected:
        return _LOST
    except InvalidState:
        return _STATE
    return _ACCEPTED


async def _finish(
    pool: Pool, environment: Environment, request_id: str, scope: Scope, result: InvokeResult
) -> Response:
    nonce = header(scope, b"lambda-runtime-invocation-id")
    await environment.log_settled(request_id)
    try:
        pool.finish(environment, request_id, nonce, result)
    except UnknownRequest:
        return _UNKNOWN
    except TooLate:
        return _LATE
    return _ACCEPTED


def _unexplained(scope: Scope) -> bytes:
    kind = header(scope, b"lambda-runtime-function-error-type") or "Runtime.Unknown"
    return results.failure("", kind, "The runtime gave no reason").payload
