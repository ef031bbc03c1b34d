"""Lambda's Runtime API as an in-process fake on a real socket, for tests of runtimes and of handlers.

    async with FakeRuntimeApi() as api:
        ...start a runtime with AWS_LAMBDA_RUNTIME_API=api.address...
        posted = await api.invoke({"photo": 42})

It keeps the rules of AWS's interface emulator: runtimes wait in a queue, the oldest takes the next invocation;
responses to `next` are chunked; 400 for a request id that is unknown or has its response, 403 for an init error after
the first `next`, 410 after a time-out, 413 above 6 MiB. A response may come in parts, which a test can follow one by
one. AWS's own Python client passes the same contract tests against it as ours.
"""

from __future__ import annotations

import asyncio
import base64
import json
import time
import uuid
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

MAX_PAYLOAD_BYTES = 6 * 1024 * 1024 + 100
MAX_STREAM_BYTES = 200 * 1024 * 1024
CHUNK_BYTES = 32 * 1024
API = "/2018-06-01/runtime"

_REASONS = {
    200: "OK",
    202: "Accepted",
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    410: "Gone",
    413: "Too Large",
}


@dataclass(frozen=True, slots=True)
class ReceivedRequest:
    """What a runtime sent; header names in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    parts: tuple[bytes, ...] = ()
    """The chunks of a body that came in chunks."""
    trailers: Mapping[str, str] = field(default_factory=dict)

    def json(self) -> Any:
        """Parse the body as JSON."""
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Posted:
    """How an invocation ended: `kind` is "response" or "error"."""

    kind: str
    request: ReceivedRequest

    def json(self) -> Any:
        """Parse the body as JSON."""
        return self.request.json()

    @property
    def failure(self) -> Any:
        """Of a streamed response that failed half-way: its error's body, else None."""
        encoded = self.request.trailers.get("lambda-runtime-function-error-body")
        return json.loads(base64.b64decode(encoded)) if encoded else None


@dataclass(slots=True)
class PendingInvocation:
    """An invocation on its way; await it for how it ended."""

    request_id: str
    headers: Mapping[str, str]
    body: bytes
    posted: asyncio.Future[Posted] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    taken: asyncio.Event = field(default_factory=asyncio.Event)
    """A runtime got it."""
    parts: asyncio.Queue[bytes] = field(default_factory=asyncio.Queue)
    """The parts of a streamed response, as they come in."""
    reading: asyncio.Event = field(default_factory=asyncio.Event)
    """Clear it to have the Runtime API read no further than the next part of the response; it is set at first."""
    timed_out: bool = False
    """Set it to have a later post refused with 410."""

    def __post_init__(self) -> None:
        self.reading.set()

    def __await__(self) -> Any:
        return asyncio.shield(self.posted).__await__()


class FakeRuntimeApi:
    """Serves the Runtime API on 127.0.0.1 inside `async with`.

    `prefix` is a path before AWS's own; without `chunked` the response to `next` has a Content-Length; `cut` sends
    every response in portions of so many bytes.
    """

    def __init__(self, *, prefix: str = "", chunked: bool = True, cut: int | None = None) -> None:
        self.requests: list[ReceivedRequest] = []
        """All that was received, oldest first."""
        self.ready = asyncio.Event()
        """Set by the first `next`."""
        self.init_error: asyncio.Future[ReceivedRequest] = asyncio.get_running_loop().create_future()
        self.refusals: deque[int | None] = deque()
        """Statuses for the next responses, instead of what is right; None hangs up."""
        self._prefix = prefix
        self._chunked = chunked
        self._cut = cut
        self._idle: deque[asyncio.Future[PendingInvocation]] = deque()
        self._queued: deque[PendingInvocation] = deque()
        self._running: dict[str, PendingInvocation] = {}
        self._connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._changed = asyncio.Condition()
        self._server: asyncio.Server | None = None
        self._port = 0

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @property
    def address(self) -> str:
        """The value for `AWS_LAMBDA_RUNTIME_API`."""
        return f"127.0.0.1:{self._port}{self._prefix}"

    @property
    def idle(self) -> int:
        """How many runtimes wait in `next`."""
        return len(self._idle)

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._connections)

    async def start(self) -> None:
        """Listen; after a `stop`, on the same port again."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port, limit=1024 * 1024)
        self._port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Refuse connections and drop the open ones; queued invocations stay."""
        assert self._server is not None
        self._server.close()
        await self.drop_connections()

    async def drop_connections(self) -> None:
        """Close every connection, whatever it waits for."""
        tasks = list(self._connections)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def invoke(
        self,
        event: Any = None,
        *,
        body: bytes | None = None,
        request_id: str | None = None,
        deadline_ms: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> PendingInvocation:
        """Queue an invocation of `event` as JSON, or of `body` as it is; a minute's deadline unless given."""
        request_id = request_id or str(uuid.uuid4())
        deadline_ms = int(time.time() * 1000) + 60_000 if deadline_ms is None else deadline_ms
        sent = {
            "Content-Type": "application/json",
            "Lambda-Runtime-Aws-Request-Id": request_id,
            "Lambda-Runtime-Deadline-Ms": str(deadline_ms),
            "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:eu-central-1:000000000000:function:f",
            "Lambda-Runtime-Trace-Id": "Root=1-5e1b4151-43a0913a12345678912345;Sampled=1",
            **(headers or {}),
        }
        invocation = PendingInvocation(request_id, sent, json.dumps(event).encode() if body is None else body)
        self._queued.append(invocation)
        self._match()
        return invocation

    async def wait_idle(self, count: int, timeout: float = 10) -> None:
        """Wait until `count` runtimes wait in `next`. Raises TimeoutError."""
        async with asyncio.timeout(timeout), self._changed:
            await self._changed.wait_for(lambda: len(self._idle) >= count)

    def _match(self) -> None:
        while self._queued and self._idle:
            waiting = self._idle.popleft()
            if not waiting.done():
                waiting.set_result(self._queued.popleft())

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections[task] = writer
        try:
            while (head := await _read_head(reader)) is not None:
                request = await self._read_body(head, reader)
                self.requests.append(request)
                await self._respond(request, reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the runtime went away, or `stop` was called
        finally:
            del self._connections[task]
            writer.close()

    async def _read_body(self, head: ReceivedRequest, reader: asyncio.StreamReader) -> ReceivedRequest:
        if head.headers.get("transfer-encoding") != "chunked":
            return replace(head, body=await reader.readexactly(int(head.headers.get("content-length", "0"))))
        invocation = self._running.get(head.path.split("/")[-2])
        parts: list[bytes] = []
        while True:
            if invocation is not None:
                await invocation.reading.wait()
            size = int(await reader.readuntil(b"\r\n"), 16)
            if not size:
                break
            parts.append((await reader.readexactly(size + 2))[:-2])
            if invocation is not None:
                invocation.parts.put_nowait(parts[-1])
        trailers: list[str] = []
        while line := (await reader.readuntil(b"\r\n"))[:-2]:
            trailers.append(line.decode("latin-1"))
        return replace(head, body=b"".join(parts), parts=tuple(parts), trailers=_headers(trailers))

    async def _respond(
        self, request: ReceivedRequest, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        path = request.path.removeprefix(self._prefix)
        if self.refusals:
            if (status := self.refusals.popleft()) is None:
                raise ConnectionResetError("as the test wants it")
            await self._send(writer, status, _error("Refused"))
        elif not request.path.startswith(f"{self._prefix}{API}/"):
            await self._send(writer, 404, _error("NotFound"))
        elif (request.method, path) == ("GET", f"{API}/invocation/next"):
            await self._next(reader, writer)
        elif (request.method, path) == ("POST", f"{API}/init/error"):
            if self.ready.is_set() or self.init_error.done():
                await self._send(writer, 403, _error("InvalidStateTransition"))
            else:
                self.init_error.set_result(request)
                await self._send(writer, 202, b'{"status":"OK"}\n')
        elif request.method == "POST" and path.startswith(f"{API}/invocation/"):
            await self._send(writer, *self._post(request, *path.split("/")[-2:]))
        else:
            await self._send(writer, 404, _error("NotFound"))

    async def _next(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        waiting: asyncio.Future[PendingInvocation] = asyncio.get_running_loop().create_future()
        self._idle.append(waiting)
        self.ready.set()
        async with self._changed:
            self._changed.notify_all()
        self._match()
        gone = asyncio.ensure_future(reader.read(1))
        try:
            both: set[asyncio.Future[Any]] = {waiting, gone}
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if gone.done():
                raise ConnectionResetError("the runtime went away")
            invocation = waiting.result()
        except BaseException:
            if waiting in self._idle:
                self._idle.remove(waiting)
            if waiting.done():  # another runtime shall have its invocation
                self._queued.appendleft(waiting.result())
                self._match()
            raise
        finally:
            gone.cancel()
            await asyncio.wait({gone})
        self._running[invocation.request_id] = invocation
        invocation.taken.set()
        await self._send(writer, 200, invocation.body, invocation.headers, chunked=self._chunked)

    def _post(self, request: ReceivedRequest, request_id: str, kind: str) -> tuple[int, bytes]:
        invocation = self._running.pop(request_id, None)
        if invocation is None or kind not in ("response", "error"):
            return 400, _error("InvalidRequestID")
        if invocation.timed_out:
            return 410, _error("TimedOut")
        streamed = request.headers.get("lambda-runtime-function-response-mode") == "streaming"
        too_large = len(request.body) > (MAX_STREAM_BYTES if streamed else MAX_PAYLOAD_BYTES)
        invocation.posted.set_result(Posted("error" if too_large else kind, request))
        return (413, _error("RequestEntityTooLarge")) if too_large else (202, b'{"status":"OK"}\n')

    async def _send(
        self,
        writer: asyncio.StreamWriter,
        status: int,
        body: bytes,
        headers: Mapping[str, str] | None = None,
        *,
        chunked: bool = False,
    ) -> None:
        framing = {"Transfer-Encoding": "chunked"} if chunked else {"Content-Length": str(len(body))}
        head = "".join(f"{name}: {value}\r\n" for name, value in {**(headers or {}), **framing}.items())
        data = f"HTTP/1.1 {status} {_REASONS.get(status, '')}\r\n{head}\r\n".encode("latin-1")
        if chunked:
            parts = [body[start : start + CHUNK_BYTES] for start in range(0, len(body), CHUNK_BYTES)]
            data += b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in [*parts, b""])
        else:
            data += body
        size = self._cut or len(data)
        for start in range(0, len(data), size):
            writer.write(data[start : start + size])
            await writer.drain()
            await asyncio.sleep(0)


def _error(error_type: str) -> bytes:
    return json.dumps({"errorType": error_type, "errorMessage": error_type}).encode()


async def _read_head(reader: asyncio.StreamReader) -> ReceivedRequest | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head[:-4].decode("latin-1").split("\r\n")
    method, path, _ = first.split(" ")
    return ReceivedRequest(method, path, _headers(lines), b"")


def _headers(lines: Iterable[str]) -> dict[str, str]:
    return {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
