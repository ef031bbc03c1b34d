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

from shoebox_client.errors import ClientError, Expired, FileFault, Gone, Passing, Refused, Unreachable
from shoebox_client.hashing import Fingerprint, changed, open_file
from shoebox_client.meter import Meter
from shoebox_client.retry import PASSING_STATUSES, retry_after

_CHUNK = 256 * 1024
_MARGIN = timedelta(seconds=30)
_MAX_MESSAGE = 300  # characters that are shown of what the storage says
_MESSAGE = re.compile(r"<Message>([^<]+)</Message>")
_CODE = re.compile(r"<Code>([A-Za-z]+)</Code>")
_CHECKSUM_CODES = {"BadDigest", "InvalidDigest", "XAmzContentChecksumMismatch", "XAmzContentSHA256Mismatch"}


@dataclass(frozen=True, slots=True)
class Instruction:
    """How to send bytes: the API's `upload`, or one of a multipart upload's parts."""

    method: str
    url: str
    headers: dict[str, str]
    expires_at: datetime

    @classmethod
    def of(cls, document: dict[str, Any]) -> Instruction:
        """Read it from the API's answer."""
        return cls(
            document["method"], document["url"], document["headers"], datetime.fromisoformat(document["expires_at"])
        )

    def expires_soon(self) -> bool:
        """Whether it would be cut fine."""
        return datetime.now(UTC) > self.expires_at - _MARGIN


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes of a file: `length` from `start`."""

    path: Path
    fingerprint: Fingerprint
    start: int
    length: int


class Sender:
    """Sends spans, at most `at_once` together; gives up when nothing moves for `standstill` seconds."""

    def __init__(self, session: aiohttp.ClientSession, *, at_once: int, standstill: float = 60.0) -> None:
        self._session = session
        self._slots = asyncio.Semaphore(at_once)
        self._standstill = standstill

    async def send(self, span: Span, instruction: Instruction, meter: Meter) -> None:
        """Send once; `meter` is told the bytes gone out, and takes them back (a negative count) when it fails.

        Raises:
            Passing: try again.
            Expired: ask for a new instruction, and try again.
            FileFault: the file changed or cannot be read.
            Refused: the storage does not want these bytes.
        """
        async with self._slots:
            attempt = _Attempt(span, meter, self._standstill)
            try:
                await attempt.run(self._session, instruction)
            except BaseException:
                meter.sent(-attempt.count)
                raise


class _Attempt:
    """One try to send a span."""

    def __init__(self, span: Span, meter: Meter, standstill: float) -> None:
        self._span = span
        self._meter = meter
        self._standstill = standstill
        self._fault: FileFault | None = None
        self.count = 0

    async def run(self, session: aiohttp.ClientSession, instruction: Instruction) -> None:
        try:
            async with asyncio.timeout(self._standstill) as watch:
                await self._put(session, instruction, watch)
        except TimeoutError as error:
            raise Unreachable(f"The upload stood still for {self._standstill:.0f} s.") from error
        except aiohttp.ClientError as error:
            if self._fault:
                raise self._fault from error
            raise Unreachable(f"The connection broke ({type(error).__name__}).") from error

    async def _put(self, session: aiohttp.ClientSession, instruction: Instruction, watch: asyncio.Timeout) -> None:
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
                    watch.reschedule(loop.time() + self._standstill)
                    self.count += len(data)
                    self._meter.sent(len(data))
                    yield data
        except FileFault as fault:  # the HTTP client would hide it
            self._fault = fault
            raise

    async def _fault_of(self, response: aiohttp.ClientResponse) -> ClientError:
        text = (await response.content.read(4096)).decode(errors="replace")
        found = _CODE.search(text)
        code = found[1] if found else f"http_{response.status}"
        said = f"The storage answered {response.status} ({code}){_message(text)}."
        if response.status in PASSING_STATUSES or code == "RequestTimeout":
            return Passing(said, retry_after=retry_after(response.headers.get("retry-after")))
        if code in _CHECKSUM_CODES:
            return Passing(said) if self._same_file() else changed(self._span.path)
        if response.status == 403:
            return Expired(said)
        kind = Gone if response.status == 404 else Refused
        return kind(said, code=code, status=response.status)

    def _same_file(self) -> bool:
        with open_file(self._span.path) as file:
            return self._span.fingerprint.still_holds(file)


def _message(text: str) -> str:
    """ ": what it says" for people, of an error document of S3; empty if there is none."""
    found = _MESSAGE.search(text)
    message = " ".join(unescape(found[1]).split())[:_MAX_MESSAGE].rstrip(".") if found else ""
    return f": {message}" if message else ""
