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
from shoebox_client.stages import run_copies

_SIGNED_AT_ONCE = 16  # parts whose instructions are asked for in one call
_ROUNDS = 3


@dataclass(frozen=True, slots=True)
class _Part:
    number: int
    byte_range: ByteRange
    sha256: str


class MultipartUpload:
    """One large file, of which `at_once` parts are sent together.

    Errors are those of `Api` and `Sender`; `NotFound` means that the upload is there no more: register the file again.
    """

    def __init__(
        self,
        api: Api,
        sender: Sender,
        retry: RetryPolicy,
        *,
        record: Record,
        progress: TransferProgress,
        at_once: int,
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
        """Send what is missing and complete the file; return the File of the API."""
        upload = await self._api.open_multipart(self._file_id)
        self._upload_id = upload["upload_id"]
        for rounds_left in reversed(range(_ROUNDS)):
            await self._send_missing()
            try:
                return await self._api.complete_multipart(self._file_id, self._upload_id)
            except Refused as refused:
                if refused.status != 409 or not rounds_left:
                    raise
                # 409: a part that was sent is not there after all. Look again at what is.
                self._progress.retrying(Retry(refused, pause=0.0, since=0.0))
        raise AssertionError("unreachable: the last round returns or raises")

    async def _send_missing(self) -> None:
        self._progress.rewind()
        missing = await self._missing()
        for start in range(0, len(missing), _SIGNED_AT_ONCE):
            parts = missing[start : start + _SIGNED_AT_ONCE]
            work = iter(list(zip(parts, await self._sign(parts), strict=True)))
            await run_copies(partial(self._send_parts, work), min(self._at_once, len(parts)))

    async def _missing(self) -> list[_Part]:
        """Return the parts to send; those that the service holds with the same bytes are shown as kept."""
        state = await self._api.multipart(self._file_id, self._upload_id)
        done, part_bytes = {part["part"]: part for part in state["done"]}, state["part_bytes"]
        fingerprint = self._record.fingerprint
        assert fingerprint is not None
        missing: list[_Part] = []
        for number, start in enumerate(range(0, self._record.size, part_bytes), start=1):
            length = min(part_bytes, self._record.size - start)
            digest = await asyncio.to_thread(part_digest, self._record.path, start, length)
            held = done.get(number)
            if held and held["size"] == length and held["sha256"] in (None, digest):
                self._progress.kept(length)
            else:
                missing.append(_Part(number, ByteRange(self._record.path, fingerprint, start, length), digest))
        return missing

    async def _send_parts(self, work: Iterator[tuple[_Part, UploadInstruction]]) -> None:
        for part, instruction in work:
            await self._retry.run(partial(self._send_part, part, instruction), self._progress.retrying)

    async def _send_part(self, part: _Part, instruction: UploadInstruction, last_error: ClientError | None) -> None:
        if last_error or instruction.expires_soon():
            (instruction,) = await self._sign([part])
        await self._sender.send(part.byte_range, instruction, self._progress)

    async def _sign(self, parts: list[_Part]) -> list[UploadInstruction]:
        wanted = [{"part": part.number, "sha256": part.sha256} for part in parts]
        signed = await self._api.sign_parts(self._file_id, self._upload_id, wanted)
        return [UploadInstruction.from_document(entry) for entry in signed]
