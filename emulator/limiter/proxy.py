"""The limiter in front of an emulator that another process runs: a reverse proxy on this machine.

Bytes pass as they are, both ways, in pieces: nothing is collected, decompressed or redirected. The Host header is kept,
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
from fleet.http.asgi import Headers, Receive, Response, Scope, Send, respond, wait_for_disconnect
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
        """Pass on one request; 503 if the server does not respond."""
        url = self._url + (scope.get("raw_path") or scope["path"].encode()).decode("latin-1")
        if query := scope["query_string"]:
            url += "?" + query.decode("latin-1")
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in _end_to_end(scope["headers"])]
        client = _Client(scope, receive)
        request = self._session.request(
            scope["method"], URL(url, encoded=True), headers=headers, data=client.body, allow_redirects=False
        )
        try:
            response = await client.unless_gone(request)
        except (aiohttp.ClientError, TimeoutError) as error:
            await respond(send, Response(503, f"The emulator does not respond: {error}\n".encode()))
            return
        if response is None:
            return
        async with response:
            headers_back = [(name.lower(), value) for name, value in _end_to_end(response.raw_headers)]
            await send({"type": "http.response.start", "status": response.status, "headers": headers_back})
            async for piece in response.content.iter_any():
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b""})


class _Client:
    """The sender of a request: its body, and its disconnection, which ends a long poll here as it would there."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self._receive = receive
        self._sent = asyncio.Event()
        has_body = any(name in (b"content-length", b"transfer-encoding") for name, _ in scope["headers"])
        self.body = self._pieces() if has_body else None
        if self.body is None:
            self._sent.set()

    async def _pieces(self) -> AsyncIterator[bytes]:
        more = True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise aiohttp.ClientConnectionError("the client has gone")  # ends the request to the emulator, too
            yield message.get("body", b"")
            more = message.get("more_body", False)
        self._sent.set()

    async def unless_gone(self, request: Coroutine[Any, Any, aiohttp.ClientResponse]) -> aiohttp.ClientResponse | None:
        """Return the emulator's response; None if the client disconnects before it comes."""
        responded, gone = asyncio.ensure_future(request), asyncio.ensure_future(self._gone())
        try:
            await asyncio.wait([responded, gone], return_when=asyncio.FIRST_COMPLETED)
            return responded.result() if responded.done() else None
        finally:
            gone.cancel()
            responded.cancel()

    async def _gone(self) -> None:
        await self._sent.wait()  # `_pieces` reads the body from the same `receive`
        await wait_for_disconnect(self._receive)


def _end_to_end(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    """Return the headers that are not of one connection only."""
    return [(name, value) for name, value in headers if name.lower() not in _OF_THE_CONNECTION]


@asynccontextmanager
async def limiting_proxy(
    endpoint_url: str, quotas: DataQuotas, *, port: int = 0, host: str = LOOPBACK
) -> AsyncIterator[str]:
    """Serve the emulator at `endpoint_url` with AWS's limits; yields the address on this machine.

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
