"""A raw HTTP proxy before the emulator that loses answers, delays requests and sends them twice.

Bytes pass as they are, so signatures hold. Each request gets a connection of its own to the emulator.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from random import Random
from typing import Literal, Self
from urllib.parse import parse_qs, unquote, urlsplit

_LIMIT = 2**20


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it came; `action` is the AWS operation of JSON and Query services, "" for S3."""

    method: str
    path: str
    action: str
    body: bytes
    raw: bytes
    by_function: bool  # signed with the keys of a function's role, in a header or in the URL

    @classmethod
    def parse(cls, head: bytes, body: bytes) -> Self:
        """Read the start line and the headers."""
        lines = head.decode("latin-1").split("\r\n")
        method, target, _ = lines[0].split(" ", 2)
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:] if line)}
        action = headers.get("x-amz-target", "").rpartition(".")[2]
        if "x-www-form-urlencoded" in headers.get("content-type", ""):
            action = parse_qs(body.decode()).get("Action", [""])[0]
        kept = [line for line in lines if not line.lower().startswith("expect:")]  # we answer that ourselves
        raw = "\r\n".join(kept).encode("latin-1") + body
        by_function = "Credential=ASIA" in headers.get("authorization", "") + target
        return cls(method, unquote(urlsplit(target).path), action, body, raw, by_function)


@dataclass
class Fault:
    """What happens to a share of the requests that match.

    `lose`: the request is carried out, its answer lost and the connection reset. `delay`: it reaches the emulator
    later. `copy`: it is answered, and carried out once more later. `seconds` are the shortest and the longest delay.
    """

    kind: Literal["lose", "delay", "copy"]
    matches: Callable[[Request], bool]
    share: float = 1.0
    seconds: tuple[float, float] = (0.0, 0.0)
    by_functions: bool = True  # only requests that functions sign; False: everybody's
    count: int = 0


@dataclass
class Proxy:
    """Its faults may be changed at any time; `away` refuses every connection."""

    emulator_port: int
    random: Random
    port: int = 0
    faults: list[Fault] = field(default_factory=list)
    away: bool = False
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Self]:
        """Serve until the end of the block."""
        server = await asyncio.start_server(self._accept, "127.0.0.1", self.port, limit=_LIMIT)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    @asynccontextmanager
    async def injecting(self, *faults: Fault) -> AsyncIterator[None]:
        """With these faults during the block."""
        self.faults = list(faults)
        try:
            yield
        finally:
            self.faults = []

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._spawn(self._serve(reader, writer))

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while not self.away and (request := await _read_request(reader, writer)) and not self.away:
                fault = self._choose(request)
                if fault and fault.kind == "delay":
                    await asyncio.sleep(self.random.uniform(*fault.seconds))
                answer = await self._forward(request)
                if fault and fault.kind == "lose":
                    break
                if fault and fault.kind == "copy":
                    self._spawn(self._again(request, self.random.uniform(*fault.seconds)))
                writer.write(answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, OSError):
            pass
        finally:
            _reset(writer)

    def _choose(self, request: Request) -> Fault | None:
        for fault in self.faults:
            wanted = request.by_function or not fault.by_functions
            if wanted and fault.matches(request) and self.random.random() < fault.share:
                fault.count += 1
                return fault
        return None

    async def _again(self, request: Request, seconds: float) -> None:
        await asyncio.sleep(seconds)
        with suppress(OSError, asyncio.IncompleteReadError):
            await self._forward(request)

    async def _forward(self, request: Request) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.emulator_port, limit=_LIMIT)
        try:
            writer.write(request.raw)
            await writer.drain()
            return await _read_answer(reader, request.method)
        finally:
            writer.close()


async def _read_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Request | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise
        return None
    if b"\r\nexpect: 100-continue" in head.lower():
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    return Request.parse(head, await _read_body(reader, head.lower()))


async def _read_answer(reader: asyncio.StreamReader, method: str) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    status = int(head.split(b" ", 2)[1])
    if method == "HEAD" or status in (204, 304):
        return head
    return head + await _read_body(reader, head.lower(), answer=True)


async def _read_body(reader: asyncio.StreamReader, head: bytes, *, answer: bool = False) -> bytes:
    """Return the body as it travels, chunks and all; `head` in lower case."""
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name == b"content-length":
            return await reader.readexactly(int(value))
        if name == b"transfer-encoding" and b"chunked" in value:
            return await _read_chunks(reader)
    return await reader.read() if answer else b""


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    parts = []
    while True:
        size = await reader.readuntil(b"\r\n")
        chunk = await reader.readexactly(int(size.split(b";")[0], 16) + 2)
        parts += [size, chunk]
        if chunk == b"\r\n":
            return b"".join(parts)


def _reset(writer: asyncio.StreamWriter) -> None:
    """End the connection with RST where something was owed: the other side must not take it for an end."""
    sock = writer.get_extra_info("socket")
    with suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
