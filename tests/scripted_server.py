"""A scripted HTTP server on 127.0.0.1, for tests of the small AWS clients."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import orjson

Script = Callable[[int, "Request"], bytes | None]
"""`script(number, request)` gives the response's bytes, or None to close the connection without one."""


@dataclass
class Request:
    """What came: headers with lower-case names, and the body."""

    headers: dict[str, str]
    body: bytes
    connection: int


@dataclass
class ScriptedServer:
    """Its address, and the requests so far."""

    url: str = ""
    requests: list[Request] = field(default_factory=list)
    connections: int = 0
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    """A client has closed a connection."""


def json_response(content: object, status: int = 200, **headers: str) -> bytes:
    """Return a JSON response; underscores in header names stand for hyphens."""
    body = content if isinstance(content, bytes) else orjson.dumps(content)
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    head = "\r\n".join([f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", *lines])
    return head.encode() + b"\r\n\r\n" + body


def refusal(code: str, status: int = 400, message: str = "no", **headers: str) -> bytes:
    """Return an error as SQS gives it."""
    return json_response({"__type": f"com.amazonaws.sqs#{code}", "message": message}, status, **headers)


@asynccontextmanager
async def scripted_server(script: Script, tls: ssl.SSLContext | None = None) -> AsyncIterator[ScriptedServer]:
    """Serve until the end of the block; with `tls` at an https address."""
    served = ScriptedServer()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.connections += 1
        connection = served.connections
        try:
            while True:
                request = await _read(reader, connection)
                served.requests.append(request)
                reply = script(len(served.requests), request)
                if reply is None:
                    break
                writer.write(reply)
        except (asyncio.IncompleteReadError, ConnectionError):
            served.closed.set()
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    served.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield served
    finally:
        server.close()


async def _read(reader: asyncio.StreamReader, connection: int) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    pairs = (line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
    headers = {name.lower(): value for name, value in pairs}
    return Request(headers, await reader.readexactly(int(headers["content-length"])), connection)
