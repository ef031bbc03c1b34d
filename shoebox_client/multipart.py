"""Large files in parts: what the service holds already is not sent again.

The service remembers the open upload of a file, so a run that was cut off needs no notes of its own to go on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from shoebox_client.api import Api
from shoebox_client.errors import ClientError, Refused
from shoebox_client.events import TransferProgress
from shoebox_client.hashing import part_digest
from shoebox_client.records import Record
from shoebox_client.retry import Retry, RetryPolicy
from shoebox_client.sending import ByteRange, Sender, UploadInstruction
from shoebox_client.tasks import run_copies

_SIGNED_AT_ONCE = 16  # parts whose instructions are asked for in one call
_ROUNDS = 3


@dataclass(frozen=True, slots=True)
class _Part:
    number: int
    byte_range: ByteRange
    sha256: str


class MultipartUpload:
    """One large file, sent `at_once` parts together.

    Errors are those of `Api` and `Sender`; `Gone` means that the upload is there no more: register the file again.
    """

    def __init__(
        self, api: Api, sender: Sender, retry: RetryPolicy, *, record: Record, progress: TransferProgress, at_once: int
    ) -> None:
        assert record.file_id is not None
        self._api = api
        self._sender = sender
        self._retry = retry
        self._record = record
        self._file_id = record.file_id
        self._progress = progress
        self._at_once = at_once
        self._upload_id = ""

    async def send(self) -> dict[str, Any]:
        """Send what is missing and complete the file; returns the File of the API."""
        upload = await self._api.open_multipart(self._file_id)
        self._upload_id = upload["upload_id"]
        for _ in range(_ROUNDS - 1):
            await self._send_missing()
            try:
                return await self._complete()
            except Refused as refused:
                if refused.status != 409:
                    raise
                self._progress.retrying(Retry(refused, pause=0.0, since=0.0))
        await self._send_missing()
        return await self._complete()

    async def _complete(self) -> dict[str, Any]:
        return await self._api.complete_multipart(self._file_id, self._upload_id)

    async def _send_missing(self) -> None:
        self._progress.rewind()
        missing = await self._missing()
        for start in range(0, len(missing), _SIGNED_AT_ONCE):
            parts = missing[start : start + _SIGNED_AT_ONCE]
            instructions = await self._sign(parts)
            work = iter(list(zip(parts, instructions, strict=True)))
            await run_copies(partial(self._send_parts, work), min(self._at_once, len(parts)))

    async def _missing(self) -> list[_Part]:
        """Parts to send; the others are shown as kept."""
        state = await self._api.multipart(self._file_id, self._upload_id)
        done = {part["part"]: part for part in state["done"]}
        missing: list[_Part] = []
        for number, byte_range in _spans(self._record, state["part_bytes"]):
            digest = await asyncio.to_thread(part_digest, byte_range.path, byte_range.start, byte_range.length)
            if _holds(done.get(number), byte_range, digest):
                self._progress.kept(byte_range.length)
            else:
                missing.append(_Part(number, byte_range, digest))
        return missing

    async def _send_parts(self, work: Iterator[tuple[_Part, UploadInstruction]]) -> None:
        for part, instruction in work:
            await self._send_part(part, instruction)

    async def _send_part(self, part: _Part, signed: UploadInstruction) -> None:
        async def once(fault: ClientError | None) -> None:
            instruction = signed
            if fault or signed.expires_soon():
                (instruction,) = await self._sign([part])
            await self._sender.send(part.byte_range, instruction, self._progress)

        await self._retry.run(once, self._progress.retrying)

    async def _sign(self, parts: list[_Part]) -> list[UploadInstruction]:
        wanted = [{"part": part.number, "sha256": part.sha256} for part in parts]
        signed = await self._api.sign_parts(self._file_id, self._upload_id, wanted)
        return [UploadInstruction.of(entry) for entry in signed]


def _spans(record: Record, part_bytes: int) -> Iterator[tuple[int, ByteRange]]:
    assert record.fingerprint is not None
    for number, start in enumerate(range(0, record.size, part_bytes), start=1):
        yield number, ByteRange(record.path, record.fingerprint, start, min(part_bytes, record.size - start))


def _holds(done: dict[str, Any] | None, byte_range: ByteRange, digest: str) -> bool:
    return done is not None and done["size"] == byte_range.length and done["sha256"] in (None, digest)
