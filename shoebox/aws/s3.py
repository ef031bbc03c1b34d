"""S3 objects over plain HTTP with presigned requests: the hot path of ingest.

A photo is one GET and three PUTs. Through aiobotocore each costs about 1.5 ms of CPU, with a signature of ours over an
HTTP client 0.5, over connections of ours 0.2 (`./run bench s3`). What is not done for every photo goes through
aiobotocore.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TypeVar
from xml.etree import ElementTree as ET

import stamina

from shoebox.aws.connections import Answer, BodyTooLarge, ConnectionFault, Connections
from shoebox.aws.presign import Presigner

_SECONDS = 60  # of a signature's life: used at once, the rest is for clocks that differ
_SKEW = timedelta(seconds=10)
_ATTEMPTS = 4
_ANSWER_SECONDS = 25.0
_BYTES_PER_SECOND = 4 * 1024 * 1024  # slower than this an object is given up
_MOST_WORDS = 64 * 1024  # of S3's, where it has no object to give
T = TypeVar("T")


class S3Error(Exception):
    """S3 refused or failed; `code` is S3's own ("Error responses"), `retry` whether it may pass."""

    def __init__(self, code: str, status: int) -> None:
        super().__init__(f"S3 answered {status} {code}")
        self.code = code
        self.status = status
        self.retry = status >= 500 or code in {"SlowDown", "RequestTimeout"}


_FAULTS = (S3Error, ConnectionFault, TimeoutError)


class S3Client:
    """Reads and writes whole objects of one bucket. `presigner` gives one with the credentials of the moment."""

    def __init__(self, connections: Connections, presigner: Callable[[], Awaitable[Presigner]], bucket: str) -> None:
        self._connections = connections
        self._presigner = presigner
        self.bucket = bucket

    async def get(self, key: str, *, max_bytes: int) -> tuple[bytes | None, int, datetime, str]:
        """Bytes as they are stored, size, when S3 stored them, and the object's Content-Encoding or "".

        None for the bytes if they are more than `max_bytes`: those are not read, unless they are few.

        Raises:
            S3Error, ConnectionFault, TimeoutError: after several tries, where trying helps.
        """

        async def once() -> tuple[bytes | None, int, datetime, str]:
            try:
                answer = await self._exchange("GET", key, {}, most_bytes=max(max_bytes, _MOST_WORDS))
            except BodyTooLarge as large:
                if large.status >= 300:
                    raise
                return None, *_facts(large.headers)
            size, stored_at, encoding = _facts(answer.headers)
            return answer.body if size <= max_bytes else None, size, stored_at, encoding

        return await _retried(once)

    async def put(self, key: str, body: bytes, headers: Mapping[str, str]) -> None:
        """Store an object with these headers; raises as `get`."""

        async def once() -> None:
            await self._exchange("PUT", key, headers, body)

        await _retried(once)

    async def _exchange(
        self, method: str, key: str, headers: Mapping[str, str], body: bytes = b"", most_bytes: int = _MOST_WORDS
    ) -> Answer:
        presigner, at = await self._presigner(), datetime.now(UTC) - _SKEW
        target = presigner.target(method, self.bucket, key, at=at, expires=_SECONDS, headers=headers)
        head = _head(method, target, presigner.host, headers, len(body) if method == "PUT" else None)
        seconds = _ANSWER_SECONDS + max(len(body), most_bytes) / _BYTES_PER_SECOND
        answer = await self._connections.exchange(head, seconds, body=body, most_bytes=most_bytes)
        if answer.status >= 300:
            raise S3Error(_code(answer.body), answer.status)
        return answer


def _head(method: str, target: str, host: str, headers: Mapping[str, str], length: int | None) -> bytes:
    lines = [f"{method} {target} HTTP/1.1", f"host: {host}", *(f"{name}: {value}" for name, value in headers.items())]
    if length is not None:
        lines.append(f"content-length: {length}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def _facts(headers: Mapping[bytes, bytes]) -> tuple[int, datetime, str]:
    stored_at = parsedate_to_datetime(headers[b"last-modified"].decode("latin-1"))
    return int(headers[b"content-length"]), stored_at, headers.get(b"content-encoding", b"").decode("latin-1").strip()


@asynccontextmanager
async def open_connections(url: str, *, most: int = 50) -> AsyncIterator[Connections]:
    """Connections to the S3 at `url`: kept, and so many at most; closed at the end."""
    connections = Connections(url, most=most)
    try:
        yield connections
    finally:
        connections.close()


async def _retried(once: Callable[[], Awaitable[T]]) -> T:
    """The first try is made without stamina, which would cost a fifth of the request; it counts when it has failed."""
    try:
        return await once()
    except _FAULTS as error:
        failed: Exception | None = error
    async for attempt in stamina.retry_context(on=_may_pass, attempts=_ATTEMPTS, timeout=20, wait_initial=0.05):
        with attempt:
            if failed is not None:
                first, failed = failed, None
                raise first
            return await once()
    raise AssertionError("unreachable: the last try returns or raises")


def _may_pass(error: Exception) -> bool:
    if isinstance(error, S3Error):
        return error.retry
    return isinstance(error, _FAULTS) and not isinstance(error, BodyTooLarge)


def _code(body: bytes) -> str:
    try:
        return ET.fromstring(body).findtext("Code") or "Unknown"  # noqa: S314 - S3's own words, 64 KB at most
    except ET.ParseError:
        return "Unknown"
