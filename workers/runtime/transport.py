"""One HTTP/1.1 connection to the Runtime API, kept between requests and made again when it is gone.

A BufferedProtocol reads into one buffer that all connections of a loop share, for a plain Protocol has the event loop
allocate and shrink a fresh 256 KiB for every read, which costs more than everything else here together.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from typing import cast

from workers.runtime.errors import ConnectionLost, MalformedResponse, PollAbandoned
from workers.runtime.http1 import Response, ResponseParser

RECEIVE_BUFFER_BYTES = 256 * 1024
CONNECT_TIMEOUT_S = 5


class Connection:
    """Sends one request at a time and waits for its response.

    `receive_buffer` may be shared by all connections of one loop: whatever arrives is taken out of it before anyone
    else can read. Nothing here waits with a limit, since `next` may rightly take hours; TCP keep-alive notices a
    peer that vanished.
    """

    def __init__(self, host: str, port: int, receive_buffer: bytearray | None = None) -> None:
        self._host = host
        self._port = port
        self._buffer = memoryview(bytearray(RECEIVE_BUFFER_BYTES) if receive_buffer is None else receive_buffer)
        self._http: _HttpProtocol | None = None
        self._abandoned = False

    async def open(self) -> None:
        """Connect unless connected. Raises ConnectionLost."""
        await self._connected()

    async def request(self, data: bytes) -> Response:
        """Send `data`, a whole request; return its response. Raises ConnectionLost, MalformedResponse."""
        http = await self._connected()
        return await http.exchange(data)

    async def poll(self, data: bytes) -> Response:
        """Send a request whose wait `abandon` ends, now and ever after, with PollAbandoned."""
        http = await self._connected()
        if self._abandoned:
            raise PollAbandoned("no more polls")
        http.polling = True
        try:
            return await http.exchange(data)
        finally:
            http.polling = False

    async def upload(self, head: bytes) -> Upload:
        """Begin a request whose body follows in parts; it has the connection for itself. Raises ConnectionLost."""
        return Upload(await self._connected(), head)

    def abandon(self) -> None:
        """End a poll that waits, and refuse later ones; a response already received still counts."""
        self._abandoned = True
        if self._http is not None and self._http.polling:
            self._http.fail(PollAbandoned("no more polls"))

    def close(self) -> None:
        """Close the connection, if any; `open` or `request` make a new one."""
        if self._http is not None:
            self._http.close()

    async def _connected(self) -> _HttpProtocol:
        if self._http is not None and self._http.usable:
            return self._http
        self.close()
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                transport, http = await loop.create_connection(
                    lambda: _HttpProtocol(self._buffer), self._host, self._port
                )
        except OSError as error:  # TimeoutError is one
            reason = str(error) or f"no response in {CONNECT_TIMEOUT_S} s"
            raise ConnectionLost(f"cannot connect to {self._host}:{self._port}: {reason}") from error
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if hasattr(socket, "TCP_KEEPIDLE"):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10)
        self._http = http
        return http


class Upload:
    """A request under way, its body sent in parts."""

    def __init__(self, http: _HttpProtocol, head: bytes) -> None:
        self._http = http
        self._finished = False
        http.uploading = True
        self._response = http.send(head)

    async def write(self, data: bytes) -> bool:
        """Send `data` when what was sent before has left; False: the server takes no more, or it is finished."""
        await self._http.writable()
        if self._finished or self._refused:
            return False
        self._http.write(data)
        return True

    async def finish(self, data: bytes) -> Response:
        """Send the last of it, and wait for the response. Raises ConnectionLost, MalformedResponse."""
        self._finished = True
        if not self._refused:
            self._http.write(data)
        try:
            return await self._response
        finally:
            self._http.close()

    @property
    def _refused(self) -> bool:
        # A response before the end of the request means that the server reads no further, unless it is a good one: some
        # servers say 200 at once and read on.
        response = self._response
        return response.done() and (response.exception() is not None or response.result().status >= 300)


class _HttpProtocol(asyncio.BufferedProtocol):
    """One TCP connection: writes requests, and resolves the waiting future with each response."""

    def __init__(self, buffer: memoryview) -> None:
        self.polling = False
        self.uploading = False
        """The end of the request is still to be sent, even after the response."""
        self._resumed: asyncio.Future[None] | None = None
        self._buffer = buffer
        self._parser = ResponseParser()
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[Response] | None = None

    @property
    def usable(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    async def exchange(self, data: bytes) -> Response:
        waiter = self.send(data)
        try:
            return await waiter
        finally:
            if waiter.cancelled():  # its response would be taken for the next request's
                self.close()
            self._waiter = None

    def send(self, data: bytes) -> asyncio.Future[Response]:
        assert self._waiter is None, "one request at a time"
        self._waiter = asyncio.get_running_loop().create_future()
        self.write(data)
        return self._waiter

    def write(self, data: bytes) -> None:
        assert self._transport is not None
        self._transport.write(data)

    async def writable(self) -> None:
        if self._resumed is not None:
            await asyncio.shield(self._resumed)

    def pause_writing(self) -> None:
        self._resumed = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        if self._resumed is not None:
            self._resumed.set_result(None)
            self._resumed = None

    def fail(self, error: Exception) -> None:
        self.resume_writing()
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(error)
        self.close()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        try:
            for response in self._parser.feed(self._buffer[:nbytes]):
                self._deliver(response)
        except MalformedResponse as error:
            self.fail(error)

    def eof_received(self) -> None:
        with suppress(MalformedResponse):  # the waiter learns of it in connection_lost
            response = self._parser.end()
            if response is not None:
                self._deliver(response)

    def connection_lost(self, exc: Exception | None) -> None:
        self.fail(ConnectionLost(f"the Runtime API closed the connection: {exc or 'end of stream'}"))

    def _deliver(self, response: Response) -> None:
        if self._waiter is None or self._waiter.done():
            self.fail(MalformedResponse("a response that nothing asked for"))
            return
        self._waiter.set_result(response)
        if not response.keep_alive and not self.uploading:
            self.close()
