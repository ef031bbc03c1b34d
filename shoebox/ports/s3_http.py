"""S3 objects over plain HTTP with presigned requests: the hot path of ingest.

A photo is one GET and three PUTs. Through aiobotocore each costs about 1.5 ms of CPU; a signature of ours and an
aiohttp request cost about 0.5 (`./run bench s3`). What is not done for every photo goes through aiobotocore.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TypeVar
from xml.etree import ElementTree as ET

import aiohttp
import stamina
from yarl import URL

from shoebox.presign import Presigner

_SECONDS = 60  # of a signature's life: used at once, the rest is for clocks that differ
_SKEW = timedelta(seconds=10)
_ATTEMPTS = 4
_ERROR_BYTES = 4096
T = TypeVar("T")


class S3Error(Exception):
    """S3 refused or failed; `code` is S3's own ("Error responses"), `retry` whether it may pass."""

    def __init__(self, code: str, status: int) -> None:
        super().__init__(f"S3 answered {status} {code}")
        self.code = code
        self.status = status
        self.retry = status >= 500 or code in {"SlowDown", "RequestTimeout"}


class S3Http:
    """Reads and writes whole objects of one bucket. `presigner` gives one with the credentials of the moment."""

    def __init__(
        self, session: aiohttp.ClientSession, presigner: Callable[[], Awaitable[Presigner]], bucket: str
    ) -> None:
        self._session = session
        self._presigner = presigner
        self.bucket = bucket

    async def get(self, key: str, *, max_bytes: int) -> tuple[bytes | None, int, datetime]:
        """Bytes (None if more than `max_bytes`; they are not read then), size, and when S3 stored them.

        Raises:
            S3Error, aiohttp.ClientError, TimeoutError: after several tries, where trying helps.
        """

        async def once() -> tuple[bytes | None, int, datetime]:
            async with self._request("GET", key, {}) as answer:
                size = int(answer.headers["Content-Length"])
                stored_at = parsedate_to_datetime(answer.headers["Last-Modified"])
                return (await answer.read() if size <= max_bytes else None), size, stored_at

        return await _retried(once)

    async def put(self, key: str, body: bytes, headers: Mapping[str, str]) -> None:
        """Store an object with these headers; raises as `get`."""

        async def once() -> None:
            async with self._request("PUT", key, headers, body):
                pass

        await _retried(once)

    @asynccontextmanager
    async def _request(
        self, method: str, key: str, headers: Mapping[str, str], body: bytes | None = None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        presigner, at = await self._presigner(), datetime.now(UTC) - _SKEW
        url = presigner.url(method, self.bucket, key, at=at, expires=_SECONDS, headers=headers)
        async with self._session.request(method, URL(url, encoded=True), data=body, headers=headers) as answer:
            if answer.status >= 300:
                raise S3Error(_code(await answer.content.read(_ERROR_BYTES)), answer.status)
            yield answer


@asynccontextmanager
async def open_session(*, connections: int = 50) -> AsyncIterator[aiohttp.ClientSession]:
    """Connections to S3: kept, bounded, and with short time-outs to connect and between two reads."""
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=connections),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=3, sock_read=25),
        auto_decompress=False,
    ) as session:
        yield session


async def _retried(once: Callable[[], Awaitable[T]]) -> T:
    async for attempt in stamina.retry_context(on=_may_pass, attempts=_ATTEMPTS, timeout=20, wait_initial=0.05):
        with attempt:
            return await once()
    raise AssertionError("unreachable: the last try returns or raises")


def _may_pass(error: Exception) -> bool:
    if isinstance(error, S3Error):
        return error.retry
    return isinstance(error, aiohttp.ClientError | asyncio.TimeoutError)


def _code(body: bytes) -> str:
    try:
        return ET.fromstring(body).findtext("Code") or "Unknown"  # noqa: S314 - S3's own words, 4 KB at most
    except ET.ParseError:
        return "Unknown"
