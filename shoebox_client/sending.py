"""Sends bytes of local files to presigned URLs: streamed from disk, with a time-out for a stalled upload."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path
from typing import Any

import aiohttp
from yarl import URL

from shoebox_client.errors import ClientError, FileError, NotFound, Refused, TransientError, Unreachable, UrlExpired
from shoebox_client.events import TransferProgress
from shoebox_client.hashing import Fingerprint, changed, open_file
from shoebox_client.retry import TRANSIENT_STATUSES, retry_after

_CHUNK = 256 * 1024
_MARGIN = timedelta(seconds=30)
_MAX_MESSAGE = 300  # characters that are shown of what the storage says
_MESSAGE = re.compile(r"<Message>([^<]+)</Message>")
_CODE = re.compile(r"<Code>([A-Za-z]+)</Code>")
_CHECKSUM_CODES = {"BadDigest", "InvalidDigest", "XAmzContentChecksumMismatch", "XAmzContentSHA256Mismatch"}


@dataclass(frozen=True, slots=True)
class UploadInstruction:
    """How to send bytes: the API's `upload`, or one of a multipart upload's parts."""

    method: str
    url: str
    headers: dict[str, str]
    expires_at: datetime

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> UploadInstruction:
        """Read it from the API's response."""
        return cls(
            document["method"], document["url"], document["headers"], datetime.fromisoformat(document["expires_at"])
        )

    def expires_soon(self) -> bool:
        """Tell whether its URL expires before an upload may have begun."""
        return datetime.now(UTC) > self.expires_at - _MARGIN


@dataclass(frozen=True, slots=True)
class ByteRange:
    """Bytes of a file: `length` from `start`, of content that has this fingerprint."""

    path: Path
    fingerprint: Fingerprint
    start: int
    length: int


class Sender:
    """Sends byte ranges, at most `at_once` together; gives up when nothing moves for `stall_timeout` seconds."""

    def __init__(self, session: aiohttp.ClientSession, *, at_once: int, stall_timeout: float = 60.0) -> None:
        self._session = session
        self._slots = asyncio.Semaphore(at_once)
        self._stall_timeout = stall_timeout

    async def send(self, byte_range: ByteRange, instruction: UploadInstruction, progress: TransferProgress) -> None:
        """Send once; `progress` is told the bytes gone out, and takes them back (a negative count) on failure.

        Raises:
            TransientError: try again.
            UrlExpired: ask for a new instruction, and try again.
            FileError: the file changed or cannot be read.
            Refused: the storage does not want these bytes.
        """
        async with self._slots:
            attempt = _Attempt(byte_range, progress, self._stall_timeout)
            try:
                await attempt.run(self._session, instruction)
            except BaseException:
                progress.sent(-attempt.count)
                raise


class _Attempt:
    """One attempt to send a byte range."""

    def __init__(self, byte_range: ByteRange, progress: TransferProgress, stall_timeout: float) -> None:
        self._byte_range = byte_range
        self._progress = progress
        self._stall_timeout = stall_timeout
        self._file_error: FileError | None = None
        self.count = 0

    async def run(self, session: aiohttp.ClientSession, instruction: UploadInstruction) -> None:
        try:
            async with (
                asyncio.timeout(self._stall_timeout) as timer,
                session.request(
                    instruction.method,
                    URL(instruction.url, encoded=True),  # signed as it stands
                    data=self._body(timer),
                    headers=instruction.headers,
                    allow_redirects=False,
                    timeout=aiohttp.ClientTimeout(total=None, sock_connect=10),
                ) as response,
            ):
                if self._file_error:
                    raise self._file_error
                if response.status >= 300:
                    raise await self._error_of(response)
        except TimeoutError as error:
            raise Unreachable(f"The upload stood still for {self._stall_timeout:.0f} s.") from error
        except aiohttp.ClientError as error:
            if self._file_error:
                raise self._file_error from error
            raise Unreachable(f"The connection broke ({type(error).__name__}).") from error

    async def _body(self, timer: asyncio.Timeout) -> AsyncIterator[bytes]:
        loop, path, left = asyncio.get_running_loop(), self._byte_range.path, self._byte_range.length
        try:
            with open_file(path) as file:
                if not self._byte_range.fingerprint.still_holds(file):
                    raise changed(path)
                file.seek(self._byte_range.start)
                while left:
                    data = await asyncio.to_thread(file.read, min(_CHUNK, left))
                    if not data:
                        raise changed(path)
                    left -= len(data)
                    timer.reschedule(loop.time() + self._stall_timeout)
                    self.count += len(data)
                    self._progress.sent(len(data))
                    yield data
        except FileError as error:  # aiohttp would report a broken connection instead
            self._file_error = error
            raise

    async def _error_of(self, response: aiohttp.ClientResponse) -> ClientError:
        """Tell apart what the storage's response asks for: its error document is S3's ("Error responses")."""
        text = (await response.content.read(4096)).decode(errors="replace")
        code = found[1] if (found := _CODE.search(text)) else f"http_{response.status}"
        message = ""
        if found := _MESSAGE.search(text):
            message = ": " + " ".join(unescape(found[1]).split())[:_MAX_MESSAGE].rstrip(".")
        detail = f"The storage answered {response.status} ({code}){message}."
        if response.status in TRANSIENT_STATUSES or code == "RequestTimeout":
            return TransientError(detail, retry_after=retry_after(response.headers.get("retry-after")))
        if code in _CHECKSUM_CODES:  # the bytes were damaged on the way, or are no longer those that were hashed
            with open_file(self._byte_range.path) as file:
                same = self._byte_range.fingerprint.still_holds(file)
            return TransientError(detail) if same else changed(self._byte_range.path)
        if response.status == 403:
            return UrlExpired(detail)
        kind = NotFound if response.status == 404 else Refused
        return kind(detail, code=code, status=response.status)
