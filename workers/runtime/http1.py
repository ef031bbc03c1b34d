"""HTTP/1.1 responses from bytes, however the bytes are cut (RFC 9112). No I/O here.

A hand-written parser costs a third of an HTTP library for messages as small as the Runtime API's, and takes both
bodies it sends: `Content-Length`, and chunked, which is what AWS's own server uses for `next`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from workers.runtime.errors import MalformedResponse

MAX_HEAD_BYTES = 256 * 1024
"""Status line and headers; AWS's longest header, the client context, has under 4 KB."""
MAX_CHUNK_LINE_BYTES = 4 * 1024

_HEX = frozenset(b"0123456789abcdefABCDEF")


class Response(NamedTuple):
    """One response. Header names are lower case; of a repeated header the last one counts. Do not change them."""

    status: int
    headers: dict[str, str]
    body: bytes
    keep_alive: bool


class _Head(NamedTuple):
    status: int
    headers: dict[str, str]
    keep_alive: bool
    chunked: bool
    length: int | None
    """None: the body is chunked, or ends with the connection."""


class ResponseParser:
    """Parser of a connection's bytes, fed in any portions; it returns whole responses.

    Interim responses (1xx) are skipped, trailers are read and dropped.
    """

    __slots__ = ("_buffer", "_chunk_left", "_chunks", "_head", "_searched")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._searched = 0
        self._head: _Head | None = None
        self._chunks: bytearray | None = None
        self._chunk_left = 0

    def feed(self, data: bytes | bytearray | memoryview) -> list[Response]:
        """Take `data`; return the responses that it completes. Raises MalformedResponse."""
        self._buffer += data
        responses: list[Response] = []
        while (response := self._advance()) is not None:
            responses.append(response)
        return responses

    def end(self) -> Response | None:
        """Take the end of the connection; return the response that only this completes, if any."""
        head = self._head
        if head is None and not self._buffer:
            return None
        if head is None or head.chunked or head.length is not None:
            raise MalformedResponse("the connection closed inside a response")
        self._head = None
        body, self._buffer = bytes(self._buffer), bytearray()
        return Response(head.status, head.headers, body, keep_alive=False)

    def _advance(self) -> Response | None:
        while self._head is None:
            if (text := self._take_until(b"\r\n\r\n", MAX_HEAD_BYTES)) is None:
                return None
            head = _parse_short_head(text) if len(text) < 128 else _parse_head(text)
            self._head = head if head.status >= 200 else None
        head = self._head
        if head.chunked:
            body = self._take_chunks()
        else:
            body = self._take(head.length) if head.length is not None and len(self._buffer) >= head.length else None
        if body is None:
            return None
        self._head = None
        return Response(head.status, head.headers, body, head.keep_alive)

    def _take_chunks(self) -> bytes | None:
        chunks = self._chunks
        if chunks is None:
            chunks = self._chunks = bytearray()
        while True:
            if self._chunk_left == 0:
                if (line := self._take_until(b"\r\n", MAX_CHUNK_LINE_BYTES)) is None:
                    return None
                self._chunk_left = _chunk_size(line) + 2  # with the line end that follows its data
            if self._chunk_left == 2:
                return self._finish_chunks(chunks)
            if len(self._buffer) < self._chunk_left:
                return None
            chunk = self._take(self._chunk_left)
            if not chunk.endswith(b"\r\n"):
                raise MalformedResponse("a chunk is longer than its size says")
            chunks += memoryview(chunk)[:-2]
            self._chunk_left = 0

    def _finish_chunks(self, chunks: bytearray) -> bytes | None:
        while (line := self._take_until(b"\r\n", MAX_HEAD_BYTES)) is not None:
            if not line:
                self._chunks, self._chunk_left = None, 0
                return bytes(chunks)
        return None

    def _take_until(self, mark: bytes, limit: int) -> bytes | None:
        # From where the last search ended: a head that comes byte by byte would else be searched in quadratic time.
        found = self._buffer.find(mark, self._searched)
        if found < 0:
            if len(self._buffer) > limit:
                raise MalformedResponse(f"a line or head has more than {limit} bytes")
            self._searched = max(0, len(self._buffer) - len(mark) + 1)
            return None
        self._searched = 0
        text = bytes(self._buffer[:found])
        del self._buffer[: found + len(mark)]
        return text

    def _take(self, count: int) -> bytes:
        taken = bytes(memoryview(self._buffer)[:count])
        del self._buffer[:count]
        return taken


def _parse_head(text: bytes) -> _Head:
    first, *lines = text.decode("latin-1").split("\r\n")
    version, _, rest = first.partition(" ")
    code = rest[:3]
    if version not in ("HTTP/1.1", "HTTP/1.0") or not (code.isascii() and code.isdigit() and len(code) == 3):
        raise MalformedResponse(f"not an HTTP/1 status line: {first[:80]!r}")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name or name[0] in " \t":
            raise MalformedResponse(f"not a header: {line[:80]!r}")
        headers[name.lower()] = value.strip(" \t")
    status = int(code)
    chunked = "chunked" in headers.get("transfer-encoding", "").lower()
    connection = headers.get("connection", "").lower()
    keep_alive = "close" not in connection and (version == "HTTP/1.1" or "keep-alive" in connection)
    return _Head(status, headers, keep_alive, chunked, _body_length(status, headers, chunked))


_parse_short_head = lru_cache(maxsize=32)(_parse_head)
"""The responses to posts are all alike; the heads of `next` never are, and are longer."""


def _body_length(status: int, headers: dict[str, str], chunked: bool) -> int | None:
    if status in (204, 304):
        return 0
    length = headers.get("content-length")
    if chunked or length is None:
        return None
    if not (length.isascii() and length.isdigit()):
        raise MalformedResponse(f"not a content length: {length[:80]!r}")
    return int(length)


def _chunk_size(line: bytes) -> int:
    digits = line.partition(b";")[0].strip(b" \t")
    if not digits or len(digits) > 15 or not _HEX.issuperset(digits):
        raise MalformedResponse(f"not a chunk size: {line[:80]!r}")
    return int(digits, 16)
