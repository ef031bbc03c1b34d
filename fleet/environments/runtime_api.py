"""The Runtime API, as environments see it (AWS Lambda, "Using the Lambda runtime API").

Status codes are those of the interface emulator. An environment is named by the path,
`/.rt/{function}/{environment}/2018-06-01/runtime/…`, or has a port for itself. Streamed responses follow "Response
streaming for Lambda functions" and "Building a custom runtime for AWS Lambda" (trailers for a failure half-way).
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Mapping

from fleet.environments import invocation as results
from fleet.environments.environment import Environment, InvalidState, TooLate, UnknownRequest
from fleet.environments.invocation import RESPONSE_PAYLOAD, Invocation, InvokeResult
from fleet.environments.pool import Pool
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
    wait_for_disconnect,
)

PREFIX = "/.rt/"
_RUNTIME = "2018-06-01/runtime/"
_MAX_ERROR_BODY = 1024 * 1024

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
        """Serve a request whose path names the environment."""
        function, _, rest = scope["path"].removeprefix(PREFIX).partition("/")
        identity, _, operation = rest.partition("/")
        await self.serve(function, identity, operation, scope, receive, send)

    def app_for(self, function: str, identity: str) -> App:
        """Return the API of one environment alone, with plain paths."""

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await self.serve(function, identity, scope["path"].removeprefix("/"), scope, receive, send)

        return app

    async def serve(
        self, function: str, identity: str, operation: str, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Serve `2018-06-01/runtime/…` for one environment."""
        pool = self._pools.get(function)
        environment = pool.environment(identity) if pool else None
        if pool is None or environment is None or not operation.startswith(_RUNTIME):
            await respond(send, _LOST)
            return
        request = _RuntimeRequest(pool, environment, scope, receive)
        match scope["method"], operation.removeprefix(_RUNTIME).split("/"):
            case "GET", ["invocation", "next"]:
                await request.next(send)
            case "POST", ["invocation", request_id, "response"]:
                await respond(send, await request.take_response(request_id))
            case "POST", ["invocation", request_id, "error"]:
                await respond(send, await request.take_error(request_id))
            case "POST", ["init", "error"]:
                await respond(send, await request.take_init_error())
            case _:
                await respond(send, _LOST)


class _RuntimeRequest:
    """One request of an environment's process."""

    __slots__ = ("_environment", "_pool", "_receive", "_scope")

    def __init__(self, pool: Pool, environment: Environment, scope: Scope, receive: Receive) -> None:
        self._pool = pool
        self._environment = environment
        self._scope = scope
        self._receive = receive

    async def next(self, send: Send) -> None:
        """Wait for an invocation; when the slot's connection closes meanwhile, the invocation goes to another slot."""
        pool, environment = self._pool, self._environment
        try:
            poller = pool.poll(environment)
        except InvalidState:
            await respond(send, _STATE)
            return
        watch = asyncio.create_task(self._leave_when_disconnected(poller))
        try:
            invocation = await asyncio.shield(poller)
            await asyncio.sleep(0)  # the watch hears of a connection that is lost in this very turn of the loop
        finally:
            disconnected = watch.done()
            watch.cancel()
            environment.leave(poller)
        if invocation is None:
            if not disconnected:
                await respond(send, _LOST)  # the environment has ended, and the process does not know it yet
        elif disconnected:
            pool.offer_again(environment, invocation)
        else:
            self._scope[ON_UNREAD] = invocation.note_unread
            await respond(send, Response(200, invocation.call.payload, _headers_of(invocation, pool.function.arn)))

    async def _leave_when_disconnected(self, poller: asyncio.Future[Invocation | None]) -> None:
        await wait_for_disconnect(self._receive)
        self._environment.leave(poller)

    async def take_response(self, request_id: str) -> Response:
        """Take the response to an invocation, in one piece or in parts."""
        if header(self._scope, b"lambda-runtime-function-response-mode").lower() == "streaming":
            return await self._take_stream(request_id)
        try:
            payload = await read_body(self._scope, self._receive, RESPONSE_PAYLOAD)
        except Disconnected:
            return _LOST
        except BodyTooLarge:
            return await self._refuse_too_large(request_id, RESPONSE_PAYLOAD)
        return await self._finish(InvokeResult(payload, request_id=request_id))

    async def _take_stream(self, request_id: str) -> Response:
        """Pass the parts on while they come in; without a sink they are collected."""
        environment, nonce = self._environment, header(self._scope, b"lambda-runtime-invocation-id")
        collected: list[bytes] = []
        try:
            sink = environment.running(request_id, nonce).call.sink
            limit = sink.limit if sink else RESPONSE_PAYLOAD
            async for part in body_parts(self._receive, limit):
                environment.running(request_id, nonce)  # its timeout may be over by now
                if sink:
                    await sink.put(part)
                else:
                    collected.append(part)
        except UnknownRequest:
            return _UNKNOWN
        except TooLate:
            return _LATE
        except BodyTooLarge:
            return await self._refuse_too_large(request_id, limit)
        except Disconnected:  # parts may have reached the caller, so the invocation cannot go to another slot
            message = "The response ended before its end"
            return await self._finish(results.failure(request_id, "Runtime.TruncatedResponse", message))
        # `fleet.http.protocol` puts the trailers into the scope when the body has ended.
        trailers: dict[bytes, bytes] = dict(self._scope.get("trailers", ()))
        error_type = trailers.get(b"lambda-runtime-function-error-type", b"").decode("latin-1")
        if not error_type:
            return await self._finish(InvokeResult(b"".join(collected), request_id=request_id))
        try:
            error = base64.b64decode(trailers.get(b"lambda-runtime-function-error-body", b""), validate=True)
        except binascii.Error:
            error = b""
        return await self._finish(results.failed_with(request_id, error, error_type))

    async def take_error(self, request_id: str) -> Response:
        """Take the error with which an invocation failed; its body may be missing."""
        try:
            payload = await read_body(self._scope, self._receive, RESPONSE_PAYLOAD)
        except Disconnected:
            return _LOST
        except BodyTooLarge:
            payload = b""
        error_type = header(self._scope, b"lambda-runtime-function-error-type") or None
        return await self._finish(results.failed_with(request_id, payload or self._error_without_body(), error_type))

    async def take_init_error(self) -> Response:
        """Take the report that the process cannot start."""
        try:
            payload = await read_body(self._scope, self._receive, _MAX_ERROR_BODY)
            self._environment.fail_init(payload or self._error_without_body())
        except BodyTooLarge:
            return _LARGE
        except Disconnected:
            return _LOST
        except InvalidState:
            return _STATE
        return _ACCEPTED

    async def _refuse_too_large(self, request_id: str, limit: int) -> Response:
        message = f"Response payload size exceeded maximum allowed payload size ({limit} bytes)."
        finished = await self._finish(results.failure(request_id, "Function.ResponseSizeTooLarge", message))
        return _LARGE if finished is _ACCEPTED else finished

    async def _finish(self, result: InvokeResult) -> Response:
        await self._environment.wait_for_log(result.request_id)
        nonce = header(self._scope, b"lambda-runtime-invocation-id")
        try:
            self._pool.finish(self._environment, result.request_id, nonce, result)
        except UnknownRequest:
            return _UNKNOWN
        except TooLate:
            return _LATE
        return _ACCEPTED

    def _error_without_body(self) -> bytes:
        error_type = header(self._scope, b"lambda-runtime-function-error-type") or "Runtime.Unknown"
        return results.failure("", error_type, "The runtime gave no reason").payload


def _headers_of(invocation: Invocation, arn: str) -> Headers:
    values = {
        "content-type": "application/json",
        "Lambda-Runtime-Aws-Request-Id": invocation.request_id,
        "Lambda-Runtime-Deadline-Ms": str(invocation.deadline_ms),
        "Lambda-Runtime-Invoked-Function-Arn": arn,
        "Lambda-Runtime-Trace-Id": invocation.call.trace_id,
        "Lambda-Runtime-Invocation-Id": invocation.nonce,
    }
    if invocation.call.client_context:
        values["Lambda-Runtime-Client-Context"] = invocation.call.client_context
    return [(name.encode(), value.encode()) for name, value in values.items()]
