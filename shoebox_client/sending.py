"""Sends bytes of local files to presigned URLs: streamed from disk, watched for standstill, faults told apart."""

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
    def of(cls, document: dict[str, Any]) -> UploadInstruction:
        """Read it from the API's answer."""
        return cls(
            document["method"], document["url"], document["headers"], datetime.fromisoformat(document["expires_at"])
        )

    def expires_soon(self) -> bool:
        """Whether it would be cut fine."""
        return datetime.now(UTC) > self.expires_at - _MARGIN


@dataclass(frozen=True, slots=True)
class ByteRange:
    """Bytes of a file: `length` from `start`."""

    path: Path
    fingerprint: Fingerprint
    start: int
    length: int


class Sender:
    """Sends spans, at most `at_once` together; gives up when nothing moves for `stall_timeout` seconds."""

    def __init__(self, session: aiohttp.ClientSession, *, at_once: int, stall_timeout: float = 60.0) -> None:
        self._session = session
        self._slots = asyncio.Semaphore(at_once)
        self._stall_timeout = stall_timeout

    async def send(self, byte_range: ByteRange, instruction: UploadInstruction, progress: TransferProgress) -> None:
        """Send once; `meter` is told the bytes gone out, and takes them back (a negative count) when it fails.

        Raises:
            Passing: try again.
            Expired: ask for a new instruction, and try again.
            FileFault: the file changed or cannot be read.
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
    """One try to send a span."""

    def __init__(self, byte_range: ByteRange, progress: TransferProgress, stall_timeout: float) -> None:
        self._span = byte_range
        self._progress = progress
        self._stall_timeout = stall_timeout
        self._fault: FileError | None = None
        self.count = 0

    async def run(self, session: aiohttp.ClientSession, instruction: UploadInstruction) -> None:
        try:
            async with asyncio.timeout(self._stall_timeout) as watch:
                await self._put(session, instruction, watch)
        except TimeoutError as error:
            raise Unreachable(f"The upload stood still for {self._stall_timeout:.0f} s.") from error
        except aiohttp.ClientError as error:
            if self._fault:
                raise self._fault from error
            raise Unreachable(f"The connection broke ({type(error).__name__}).") from error

    async def _put(
        self, session: aiohttp.ClientSession, instruction: UploadInstruction, watch: asyncio.Timeout
    ) -> None:
        async with session.request(
            instruction.method,
            URL(instruction.url, encoded=True),  # signed as it stands
            data=self._body(watch),
            headers=instruction.headers,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=10),
        ) as response:
            if self._fault:
                raise self._fault
            if response.status >= 300:
                raise await self._fault_of(response)

    async def _body(self, watch: asyncio.Timeout) -> AsyncIterator[bytes]:
        loop, left = asyncio.get_running_loop(), self._span.length
        try:
            with open_file(self._span.path) as file:
                if not self._span.fingerprint.still_holds(file):
                    raise changed(self._span.path)
                file.seek(self._span.start)
                while left:
                    data = await asyncio.to_thread(file.read, min(_CHUNK, left))
                    if not data:
                        raise changed(self._span.path)
                    left -= len(data)
                    watch.reschedule(loop.time() + self._stall_timeout)
                    self.count += len(data)
                    self._progress.sent(len(data))
                    yield data
        except FileError as fault:  # the HTTP client would hide it
            self._fault = fault
            raise

    async def _fault_of(self, response: aiohttp.ClientResponse) -> ClientError:
        text = (await response.content.read(4096)).decode(errors="replace")
        found = _CODE.search(text)
        code = found[1] if found else f"http_{response.status}"
        said = f"The storage answered {response.status} ({code}){_message(text)}."
        if response.status in TRANSIENT_STATUSES or code == "RequestTimeout":
            return TransientError(said, retry_after=retry_after(response.headers.get("retry-after")))
        if code in _CHECKSUM_CODES:
            return TransientError(said) if self._same_file() else changed(self._span.path)
        if response.status == 403:
            return UrlExpired(said)
        kind = NotFound if response.status == 404 else Refused
        return kind(said, code=code, status=response.status)

    def _same_file(self) -> bool:
        with open_file(self._span.path) as file:
            return self._span.fingerprint.still_holds(file)


def _message(text: str) -> str:
    """ ": what it says" for people, of an error document of S3; empty if there is none."""
    found = _MESSAGE.search(text)
    message = " ".join(unescape(found[1]).split())[:_MAX_MESSAGE].rstrip(".") if found else ""
    return f": {message}" if message else ""
