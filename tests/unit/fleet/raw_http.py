"""A client that sends bytes as they are, to a server of ours."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import orjson

from fleet.http.asgi import App, BodyTooLarge, Receive, Response, Scope, Send, json_response, read_body, respond
from fleet.http.ports import listen
from fleet.http.server import Server

GET = b"GET /a HTTP/1.1\r\nHost: shop.example\r\n\r\n"
POST = b"POST /a HTTP/1.1\r\nHost: shop.example\r\n"
BODY_BYTES = 1000


@dataclass(frozen=True)
class Reply:
    """A response as it came; `body` is JSON."""

    status: int
    headers: dict[str, str]
    body: Any


class Raw:
    """A connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    def send(self, *parts: bytes) -> None:
        """Send bytes."""
        self._writer.write(b"".join(parts))

    async def drain(self) -> None:
        """Wait until the system has taken them."""
        await self._writer.drain()

    async def reply(self) -> Reply:
        """Read the next response, without what frames it."""
        reply = await self.head()
        body = await self._reader.readexactly(int(reply.headers.get("content-length", 0)))
        return replace(reply, body=orjson.loads(body) if body else None)

    async def head(self) -> Reply:
        """Read the next response as far as its body, which a response to HEAD does not have."""
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        status, *lines = head.strip().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        assert len(headers) == len(lines), f"a header twice: {lines}"
        return Reply(int(status.split()[1]), headers, None)

    async def closed(self) -> bytes:
        """Read what still comes before the server closes the connection."""
        return await self._reader.read()


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[Raw]:
    """Connect to a server, until the end of the block."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield Raw(reader, writer)
    finally:
        writer.close()


async def ask(port: int, *parts: bytes) -> Reply:
    """One request on a connection of its own."""
    async with connected(port) as raw:
        raw.send(*parts)
        return await raw.reply()


@asynccontextmanager
async def serving(app: App, **options: Any) -> AsyncIterator[Server]:
    """Return a server on a free port, for everybody."""
    async with Server(app, listen(0, "this test"), **{"pages": True, **options}) as server:
        yield server


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with what was understood, or 413 for a body above 1,000 bytes."""
    try:
        body = await read_body(scope, receive, BODY_BYTES)
    except BodyTooLarge:
        await respond(send, Response(413))
        return
    headers = {name.decode(): value.decode() for name, value in scope["headers"]}
    said = {
        "path": scope["path"],
        "headers": headers,
        "trailers": len(scope.get("trailers", ())),
        "body": body.decode(),
    }
    await respond(send, json_response(200, said))
