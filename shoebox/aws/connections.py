"""Kept HTTP/1.1 connections to one endpoint, one request at a time on each.

For what is done for every photo: a request costs a third of what an HTTP client makes of it. A BufferedProtocol reads
into one buffer that all of them share; httptools parses. The runtime's own transport is made alike
(workers.runtime.transport); it knows nothing of ours, and needs neither TLS, nor a bound on what it takes, nor many
connections where it has one a slot.

ConnectionFault          base
├── ConnectionLost       the connection could not be made, or ended; `reused` tells whether it had served before
└── ResponseRefused      what came is no HTTP, or too much of it
    └── BodyTooLarge     its headers announce more than is wanted; they are there, the body was not read
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from dataclasses import dataclass
from typing import cast
from urllib.parse import urlsplit

import httptools

CONNECT_SECONDS = 3.0
MOST_CONNECTIONS = 50
MOST_BYTES = 16 * 1024 * 1024
"""Of one answer: ten SQS messages have 1 MiB together, and JSON may write each of its bytes with six."""

_BUFFER_BYTES = 256 * 1024
_KEPT_SECONDS = 15.0  # idle connections: less than the time after which servers and load balancers close them


class ConnectionFault(Exception):
    """Base of the tree."""


class ConnectionLost(ConnectionFault):
    """The connection could not be made, or ended before the answer was whole."""

    def __init__(self, message: str, *, reused: bool = False) -> None:
        super().__init__(message)
        self.reused = reused
        """It had served before and gave no byte of an answer: the server had most likely closed it meanwhile."""


class ResponseRefused(ConnectionFault):
    """The answer is no HTTP, or larger than allowed."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, headers with lower-case names, and body."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes


class BodyTooLarge(ResponseRefused):
    """The answer's `headers` announce a body of more than was allowed; none of it was read."""

    def __init__(self, status: int, headers: dict[bytes, bytes]) -> None:
        super().__init__(f"a body of {headers.get(b'content-length', b'?').decode('latin-1')} bytes")
        self.status = status
        self.headers = headers


class Connections:
    """Connections to the origin of `url`; at most `most` at once, further requests wait for one.

    `tls` replaces the system's trusted certificates.
    """

    def __init__(
        self,
        url: str,
        *,
        most: int = MOST_CONNECTIONS,
        most_bytes: int = MOST_BYTES,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        parts = urlsplit(url)
        self.host = parts.netloc
        self._address = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
        self._tls = (tls or ssl.create_default_context()) if parts.scheme == "https" else None
        self._most_bytes = most_bytes
        self._places = asyncio.Semaphore(most)
        self._idle: list[_Wire] = []
        self._closed = False
        self._buffer = memoryview(bytearray(_BUFFER_BYTES))

    def close(self) -> None:
        """Close the connections that nobody uses; those in use end with their requests."""
        self._closed = True
        for wire in self._idle:
            wire.close()
        self._idle.clear()

    async def exchange(
        self, head: bytes, seconds: float, *, body: bytes = b"", most_bytes: int | None = None
    ) -> Answer:
        """Send a whole request, its head and its body; the answer to it, within `seconds`.

        `most_bytes` of the answer's body are taken, where it is given. A connection that the server has closed
        meanwhile is no fault: the request goes over another one at once. A caller that is cancelled closes the
        connection, so that the server can notice.

        Raises:
            ConnectionLost, ResponseRefused: there is no answer.
            TimeoutError: it took too long.
        """
        most = self._most_bytes if most_bytes is None else most_bytes
        async with self._places, asyncio.timeout(seconds):
            while True:
                wire = self._kept() or await self._connect()
                try:
                    answer = await wire.exchange(head, body, most)
                except ConnectionLost as error:
                    if not error.reused:
                        raise
                except BaseException:
                    wire.close()
                    raise
                else:
                    self._keep(wire)
                    return answer

    def _keep(self, wire: _Wire) -> None:
        if self._closed:
            wire.close()
        elif wire.usable:
            self._idle.append(wire)

    def _kept(self) -> _Wire | None:
        """The connection that was used last, unless it has been idle for long: then all others have, too."""
        oldest = asyncio.get_running_loop().time() - _KEPT_SECONDS
        while self._idle:
            wire = self._idle.pop()
            if wire.usable and wire.used_at >= oldest:
                return wire
            wire.close()
        return None

    async def _connect(self) -> _Wire:
        host, port = self._address
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                transport, wire = await loop.create_connection(lambda: _Wire(self._buffer), host, port, ssl=self._tls)
        except OSError as error:  # TimeoutError and SSLError are such
            reason = str(error) or f"no answer in {CONNECT_SECONDS:.0f} s"
            raise ConnectionLost(f"cannot connect to {host}:{port}: {reason}") from error
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        return wire


class _Wire(asyncio.BufferedProtocol):
    """What lasts as long as one TCP connection."""

    def __init__(self, buffer: memoryview) -> None:
        self.used_at = 0.0
        self._buffer = buffer
        self._most_bytes = 0
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[Answer] | None = None
        self._served = 0
        self._parser = httptools.HttpResponseParser(self)
        self._headers: dict[bytes, bytes] = {}
        self._body: list[bytes] = []
        self._body_size = 0
        self._size = 0  # of all that came of the answer, head and body

    @property
    def usable(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    async def exchange(self, head: bytes, body: bytes, most_bytes: int) -> Answer:
        assert self._transport is not None
        loop = asyncio.get_running_loop()
        self._most_bytes = most_bytes
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
        try:
            self._parser.feed_data(self._buffer[:nbytes])
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail(ResponseRefused(f"no HTTP answer: {error}"))

    def connection_lost(self, exc: Exception | None) -> None:
        reused = self._served > 0 and self._size == 0
        self._fail(ConnectionLost(f"the connection was closed: {exc or 'end of stream'}", reused=reused))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        status, length = self._parser.get_status_code(), self._headers.get(b"content-length", b"0")
        if status >= 200 and length.isdigit() and int(length) > self._most_bytes:
            self._fail(BodyTooLarge(status, self._headers))

    def on_body(self, data: bytes) -> None:
        self._body_size += len(data)
        if self._body_size > self._most_bytes:
            self._fail(ResponseRefused(f"a body of more than {self._most_bytes} bytes"))
        else:
            self._body.append(data)

    def on_message_complete(self) -> None:
        answer = Answer(self._parser.get_status_code(), self._headers, b"".join(self._body))
        self._headers, self._body, self._body_size = {}, [], 0
        if answer.status < 200:  # an interim answer; the real one follows
            return
        self._size = 0
        if not self._parser.should_keep_alive():
            self.close()
        if self._waiter is None or self._waiter.done():
            self.close()
            return
        self._waiter.set_result(answer)

    def _fail(self, error: ConnectionFault) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(error)
        self.close()
