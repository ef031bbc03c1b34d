"""One small document over HTTP(S), with the standard library: the authorizer carries no HTTP client or AWS SDK.

Redirects are not followed and proxies not asked: the address is the whole trust.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import socket
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit


class FetchError(Exception):
    """The document could not be had: network, time, size, or an unexpected status. A passing fault."""


class HttpGetter:
    """Fetches documents of at most `max_bytes` in at most `seconds` all told, a few at once."""

    def __init__(self, *, seconds: float = 2.0, max_bytes: int = 65_536, at_once: int = 8) -> None:
        self._seconds = seconds
        self._max_bytes = max_bytes
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix="http-get")
        self._tls = ssl.create_default_context()

    async def get(self, url: str) -> bytes | None:
        """The document at `url`; None for 404 and 403, as S3 answers when a key is not there.

        (S3 says 403 where the caller may not list the bucket: "GetObject", permissions.)

        Raises:
            FetchError: there is no answer to be had now.
        """
        exchange = Exchange(url, seconds=self._seconds, tls=self._tls)
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._seconds):
                return await loop.run_in_executor(self._threads, exchange.run, self._max_bytes)
        except TimeoutError as error:
            raise FetchError(f"no answer within {self._seconds} s") from error
        except (OSError, http.client.HTTPException) as error:
            raise FetchError(f"{type(error).__name__}: {error}") from error
        finally:
            exchange.hang_up()

    def close(self) -> None:
        """Let go of the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)


class Exchange:
    """One request and its answer, in a thread; `hang_up` ends it from outside, however slowly the server drips.

    Two waits it cannot end: the look-up of a name, and a connection that is being made, which lasts `seconds` for each
    of the name's addresses. What comes of them is let go at once.
    """

    def __init__(self, url: str, *, seconds: float, tls: ssl.SSLContext) -> None:
        parts = urlsplit(url)
        self._path = parts.path
        self._seconds = seconds
        self._tls = tls if parts.scheme == "https" else None
        self._connection = (
            http.client.HTTPSConnection(parts.netloc, context=tls)
            if parts.scheme == "https"
            else http.client.HTTPConnection(parts.netloc)
        )
        self._connection.auto_open = 0  # it would connect again by itself, behind a `hang_up`
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._over = False

    def run(self, max_bytes: int) -> bytes | None:
        """The document, or None.

        Raises:
            FetchError: the answer is none that we take.
            OSError, http.client.HTTPException: there is no answer, or it is no HTTP.
        """
        try:
            self._connect()
            self._connection.request("GET", self._path, headers={"Accept": "application/json", "Connection": "close"})
            with self._connection.getresponse() as response:
                return _document(response, max_bytes)
        finally:
            self._connection.close()

    def hang_up(self) -> None:
        """Shut the connection, or the one that is being made: a thread that still waits wakes up with an error."""
        with self._lock:
            self._over = True
            if self._socket:
                _shut(self._socket)

    def _connect(self) -> None:
        host = self._connection.host
        connected = socket.create_connection((host, self._connection.port), self._seconds)
        with self._lock:  # so that `hang_up` always finds the socket that is waited on
            if self._tls:
                connected = self._tls.wrap_socket(connected, server_hostname=host, do_handshake_on_connect=False)
            self._connection.sock = self._socket = connected
            if self._over:
                raise ConnectionAbortedError("hung up")
        if isinstance(connected, ssl.SSLSocket):
            connected.do_handshake()


def _shut(connected: socket.socket) -> None:
    with contextlib.suppress(OSError):  # it is closed already
        socket.socket.shutdown(connected, socket.SHUT_RDWR)  # TLS's own takes the session from a thread that reads it


def _document(response: http.client.HTTPResponse, max_bytes: int) -> bytes | None:
    if response.status in {http.client.NOT_FOUND, http.client.FORBIDDEN}:
        return None
    if response.status != http.client.OK:
        raise FetchError(f"status {response.status}")
    document = response.read(max_bytes + 1)
    if len(document) > max_bytes:
        raise FetchError(f"more than {max_bytes} bytes")
    if response.length:
        raise FetchError("the document was cut off")
    return document
