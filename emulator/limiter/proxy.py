"""The limiter in front of an emulator that another process runs: a reverse proxy on this machine.

Bytes pass as they are, both ways, in pieces: nothing is collected, decompressed or followed. The Host header is kept,
for it is signed: clients sign for the proxy's address, and the emulator checks what it sees.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from yarl import URL

from emulator.limiter.middleware import DataQuotas, Limiter
from fleet.http.asgi import Headers, Receive, Response, Scope, Send, respond
from fleet.http.limits import RequestLimits
from fleet.http.ports import LOOPBACK, listen
from fleet.http.server import Server

_OF_THE_CONNECTION = frozenset(
    b"connection keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer transfer-encoding"
    b" upgrade expect".split()
)  # RFC 9110, 7.6.1; 100-continue is answered here, and no SDK signs Expect
_CONNECT_SECONDS = 10.0


class Upstream:
    """An ASGI application that is another server's; `url` without a path."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url.rstrip("/")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on one request; 503 if nobody answers."""
        url = self._url + (scope.get("raw_path") or scope["path"].encode()).decode("latin-1")
        if query := scope["query_string"]:
            url += "?" + query.decode("latin-1")
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in _passed(scope["headers"])]
        client = _Client(scope, receive)
        request = self._session.request(
            scope["method"], URL(url, encoded=True), headers=headers, data=client.body, allow_redirects=False
        )
        try:
            answer = await client.unless_gone(request)
        except (aiohttp.ClientError, TimeoutError) as error:
            await respond(send, Response(503, f"The emulator does not answer: {error}\n".encode()))
            return
        if answer:
            async with answer:
                await _send_on(answer, send)


class _Client:
    """Who sends the request: its body, and its going away, which ends a long poll here as it would there."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self._receive = receive
        self._sent = asyncio.Event()
        self.body = self._pieces() if _has_body(scope) else None
        if self.body is None:
            self._sent.set()

    async def _pieces(self) -> AsyncIterator[bytes]:
        """The body as it comes; if the client goes away, the request to the emulator ends with an error."""
        more = True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise aiohttp.ClientConnectionError("the client has gone")
            yield message.get("body", b"")
            more = message.get("more_body", False)
        self._sent.set()

    async def unless_gone(self, request: Coroutine[Any, Any, aiohttp.ClientResponse]) -> aiohttp.ClientResponse | None:
        """The emulator's answer; None if the client goes away before it comes."""
        asked, gone = asyncio.ensure_future(request), asyncio.ensure_future(self._gone())
        try:
            await asyncio.wait([asked, gone], return_when=asyncio.FIRST_COMPLETED)
            return asked.result() if asked.done() else None
        finally:
            gone.cancel()
            asked.cancel()

    async def _gone(self) -> None:
        await self._sent.wait()
        while (await self._receive())["type"] != "http.disconnect":
            pass


async def _send_on(answer: aiohttp.ClientResponse, send: Send) -> None:
    headers = [(name.lower(), value) for name, value in _passed(answer.raw_headers)]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    async for piece in answer.content.iter_any():
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


def _passed(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    """Those that are not of one connection only."""
    return [(name, value) for name, value in headers if name.lower() not in _OF_THE_CONNECTION]


def _has_body(scope: Scope) -> bool:
    return any(name in (b"content-length", b"transfer-encoding") for name, _ in scope["headers"])


@asynccontextmanager
async def limited(endpoint_url: str, quotas: DataQuotas, *, port: int = 0, host: str = LOOPBACK) -> AsyncIterator[str]:
    """The address, on this machine, at which the emulator at `endpoint_url` keeps AWS's limits.

    `host` is the address that its port is opened on; port 0 takes any free one.

    Raises:
        PortTaken: another program has the port.
    """
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS),
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
    )
    limiter = Limiter(Upstream(session, endpoint_url), quotas)
    listening = listen(port, "the limiter", host)
    async with session, Server(limiter, listening, limits=RequestLimits()) as server:
        yield f"http://{LOOPBACK}:{server.port}"
