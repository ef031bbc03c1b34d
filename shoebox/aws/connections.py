"""The HTTP transport of all small clients: kept HTTP/1.1 connections to one origin, one request at a time on each.

A request costs a third of what an HTTP client makes of it: a BufferedProtocol reads into one buffer that all of them
share, and httptools parses. The runtime's own transport is made alike (workers.runtime.transport); it imports nothing
of ours, and needs neither TLS, nor a bound on what it takes, nor many connections where it has one a slot.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from dataclasses import dataclass
from typing import cast
from urllib.parse import urlsplit

import httptools

from shoebox.aws.errors import AwsUnreachable, BodyTooLarge, ConnectionLost, InvalidResponse, ResponseTimeout

CONNECT_SECONDS = 3.0
MAX_CONNECTIONS = 50
MAX_BYTES = 16 * 1024 * 1024
"""Of a response's body: ten SQS messages have 1 MiB together, and JSON may write each of its bytes with six."""

_MAX_HEAD_BYTES = 64 * 1024  # beyond those of the body
_BUFFER_BYTES = 256 * 1024
_KEPT_SECONDS = 15.0  # idle connections: less than the time after which servers and load balancers close them


@dataclass(frozen=True, slots=True)
class Response:
    """Status, headers with lower-case names, and body."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes


class Connections:
    """Connections to the origin of `url`; at most `max_connections` at once, further requests wait for one.

    `tls` replaces the system's trusted certificates.
    """

    def __init__(
        self,
        url: str,
        *,
        max_connections: int = MAX_CONNECTIONS,
        max_bytes: int = MAX_BYTES,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        parts = urlsplit(url)
        self.host = parts.netloc
        self.origin = f"{parts.scheme}://{parts.netloc}"
        self._address = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
        self._tls = (tls or ssl.create_default_context()) if parts.scheme == "https" else None
        self._max_bytes = max_bytes
        self._free = asyncio.Semaphore(max_connections)
        self._idle: list[_Connection] = []
        self._closed = False
        self._buffer = memoryview(bytearray(_BUFFER_BYTES))

    def close(self) -> None:
        """Close the connections that nobody uses; those in use end with their requests."""
        self._closed = True
        for connection in self._idle:
            connection.close()
        self._idle.clear()

    async def exchange(
        self, head: bytes, seconds: float, *, body: bytes = b"", max_bytes: int | None = None
    ) -> Response:
        """Send a whole request, its head and its body; return the response, which may take `seconds`.

        `max_bytes` bounds the response's body where the connections' own bound does not fit. A connection that the
        server has closed meanwhile is no fault: the request goes over another one at once. A caller that is cancelled
        closes the connection, so that the server can notice.

        Raises:
            AwsUnreachable: there is no response that can be used.
        """
        limit = self._max_bytes if max_bytes is None else max_bytes
        async with self._free:
            try:
                async with asyncio.timeout(seconds):
                    return await self._exchange(head, body, limit)
            except TimeoutError as error:
                raise ResponseTimeout(f"no response within {seconds:g} s") from error

    async def _exchange(self, head: bytes, body: bytes, max_bytes: int) -> Response:
        while True:  # ends: each round uses up an idle connection, and a new one is not `reused`
            connection = self._take_idle() or await self._connect()
            try:
                response = await connection.exchange(head, body, max_bytes)
            except ConnectionLost as error:
                if not error.reused:
                    raise
            except BaseException:
                connection.close()  # what is still to come on it would be taken for the next response
                raise
            else:
                if self._closed:
                    connection.close()
                elif connection.usable:
                    self._idle.append(connection)
                return response

    def _take_idle(self) -> _Connection | None:
        """Return the connection that was used last, unless it has been idle for long: then all others have, too."""
        oldest = asyncio.get_running_loop().time() - _KEPT_SECONDS
        while self._idle:
            connection = self._idle.pop()
            if connection.usable and connection.used_at >= oldest:
                return connection
            connection.close()
        return None

    async def _connect(self) -> _Connection:
        host, port = self._address
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                transport, connection = await loop.create_connection(
                    lambda: _Connection(self._buffer), host, port, ssl=self._tls
                )
        except OSError as error:  # TimeoutError and SSLError are such
            reason = str(error) or f"no response in {CONNECT_SECONDS:.0f} s"
            raise ConnectionLost(f"cannot connect to {host}:{port}: {reason}") from error
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        return connection


class _Connection(asyncio.BufferedProtocol):
    """One TCP connection, and the parser of the responses on it."""

    def __init__(self, buffer: memoryview) -> None:
        self.used_at = 0.0
        self._buffer = buffer
        self._max_bytes = 0
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[Response] | None = None
        self._served = 0
        self._parser = httptools.HttpResponseParser(self)
        self._headers: dict[bytes, bytes] = {}
        self._body: list[bytes] = []
        self._body_size = 0
        self._size = 0  # of all that came of the response, head and body

    @property
    def usable(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    async def exchange(self, head: bytes, body: bytes, max_bytes: int) -> Response:
        assert self._transport is not None
        loop = asyncio.get_running_loop()
        self._max_bytes = max_bytes
        self._waiter = loop.create_future()
        self._transport.writelines((head, body) if body else (head,))
        try:
            return await self._waiter
        finally:
            self._waiter = None
            self._served += 1
            self.used_at = loop.time()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        self._size += nbytes
        if self._size > self._max_bytes + _MAX_HEAD_BYTES:  # a head that never ends is given to no callback
            self._fail(InvalidResponse(f"a response of more than {self._max_bytes} bytes"))
            return
        try:
            self._parser.feed_data(self._buffer[:nbytes])
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail(InvalidResponse(f"no HTTP response: {error}"))

    def connection_lost(self, exc: Exception | None) -> None:
        reused = self._served > 0 and self._size == 0
        self._fail(ConnectionLost(f"the connection was closed: {exc or 'end of stream'}", reused=reused))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        status, length = self._parser.get_status_code(), self._headers.get(b"content-length", b"0")
        if status >= 200 and length.isdigit() and int(length) > self._max_bytes:
            self._fail(BodyTooLarge(status, self._headers))

    def on_body(self, data: bytes) -> None:
        self._body_size += len(data)
        if self._body_size > self._max_bytes:
            self._fail(InvalidResponse(f"a body of more than {self._max_bytes} bytes"))
        else:
            self._body.append(data)

    def on_message_complete(self) -> None:
        response = Response(self._parser.get_status_code(), self._headers, b"".join(self._body))
        self._headers, self._body, self._body_size = {}, [], 0
        if response.status < 200:  # an interim response; the real one follows
            return
        self._size = 0
        if not self._parser.should_keep_alive():
            self.close()
        if self._waiter is None or self._waiter.done():  # nobody asked: it would be taken for the next request's
            self.close()
            return
        self._waiter.set_result(response)

    def _fail(self, error: AwsUnreachable) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(error)
        self.close()
