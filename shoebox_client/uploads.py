"""The upload engine: folders in, stored and processed pictures out, as a line of stages with bounded channels.

walk → hash (threads) → register (batches) → send (parallel) → wait. A run may be cut off at any time: nothing that is
stored is sent again by the next one, since a file's id is made from its content.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from shoebox_client import events
from shoebox_client.api import Api
from shoebox_client.errors import ClientError, NotAllowed, NotFound, NotShoebox, TransientError, UrlExpired
from shoebox_client.exclusion import Exclusion
from shoebox_client.hashing import fingerprint
from shoebox_client.multipart import MultipartUpload
from shoebox_client.records import Outcome, Record, Report
from shoebox_client.retry import RetryPolicy
from shoebox_client.sending import ByteRange, Sender, UploadInstruction
from shoebox_client.stages import Channel, run_all, run_copies
from shoebox_client.waiting import Waiter
from shoebox_client.walk import LeftOut, Picture, Unreadable, Walked, Watcher, walk

_AHEAD = 200  # files between two stages
_HASHERS = 2
_WALK_STEP = 64
_MAX_FAILED_IN_A_ROW = 3
_WAIT_SECONDS = 600  # where an older service does not say it


@dataclass(frozen=True, slots=True)
class UploadSettings:
    """Settings of a run. Times in seconds; `linger` is how long a batch of registrations waits to be filled.

    `wait`: until each file is READY or REJECTED, polled for with a pause between the two of `poll_pauses`; without it
    a file that is stored is UPLOADED. `processing_timeout` ends a run in which nothing becomes ready for so long; by
    default the service's `wait_seconds` does. `stall_timeout`: an upload in which no byte moves for so long is tried
    again. With `between_scans` a run goes on for ever: it looks again for what is new or changed, and awaits that in
    between.
    """

    concurrency: int = 4
    wait: bool = True
    recursive: bool = True
    processing_timeout: float | None = None
    poll_pauses: tuple[float, float] = (0.25, 2.0)
    exclusion: Exclusion = field(default_factory=Exclusion)
    between_scans: Callable[[], Awaitable[None]] | None = None
    linger: float = 1.0
    stall_timeout: float = 60.0
    retry: RetryPolicy = field(default_factory=RetryPolicy)


class Uploader:
    """One run of uploads. `limits` is the document of `Api.limits`; `listener` is told what happens, as it happens.

    `report` is right at any time, also after an interruption.
    """

    def __init__(
        self,
        api: Api,
        limits: dict[str, Any],
        settings: UploadSettings | None = None,
        listener: events.Listener = events.ignore,
    ) -> None:
        self._limits = limits
        self._settings = settings = settings or UploadSettings()
        self._listener = listener
        self._api = api.with_retry(
            settings.retry, lambda retry: listener(events.RetryScheduled(None, retry.error.detail, retry.since))
        )
        self._sender = Sender(api.session, at_once=settings.concurrency, stall_timeout=settings.stall_timeout)
        timeout = settings.processing_timeout
        if timeout is None:
            timeout = limits.get("wait_seconds", _WAIT_SECONDS)
        self._waiter = Waiter(self._api, self._finish, timeout=timeout, pauses=settings.poll_pauses)
        self._found: Channel[Record] = Channel(_AHEAD)
        self._hashed: Channel[Record] = Channel(_AHEAD)
        self._registered: Channel[tuple[Record, UploadInstruction]] = Channel(_AHEAD)
        self._by_content: dict[str, Record] = {}
        self._duplicates: dict[Record, list[Record]] = {}
        self._failed_in_a_row = 0
        self.report = Report()

    async def run(self, paths: Sequence[Path]) -> Report:
        """Upload everything under `paths`. Errors of single files end in the report.

        Raises:
            NotAllowed: the token is not accepted.
            TransientError: the service or its storage cannot be reached, or only fails, for longer than `retry` allows.
            NotShoebox: the responses make no sense.
        """
        started = time.monotonic()
        try:
            await run_all(self._walk(paths), self._hash(), self._register(), self._send(), self._waiter.run())
        finally:
            for record in list(self._duplicates):
                self._finish_duplicates(record)
            self.report.seconds = time.monotonic() - started
        return self.report

    async def _walk(self, paths: Sequence[Path]) -> None:
        between_scans = self._settings.between_scans
        watcher = Watcher() if between_scans else None
        while True:
            items = walk(paths, recursive=self._settings.recursive, exclusion=self._settings.exclusion)
            while step := await asyncio.to_thread(list, islice(items, _WALK_STEP)):  # a thread reads the disk
                for item in step:
                    if watcher is None or watcher.is_new(item):
                        await self._take_in(item)
            if watcher is None or between_scans is None:
                break
            watcher.end_scan()
            await between_scans()
        self._listener(events.WalkFinished())
        await self._found.close()

    async def _take_in(self, item: Walked) -> None:
        match item:
            case LeftOut(path, reason):
                self.report.left_out.append((path, reason))
                self._listener(events.FileLeftOut(path, reason))
            case Unreadable(path, detail):
                record = self._new_record(path, 0, "")
                self._fail(record, ClientError(f"{path} cannot be read: {detail}.", code="unreadable"))
            case Picture(path, size, content_type):
                record, max_bytes = self._new_record(path, size, content_type), self._limits["max_bytes"]
                # The service refuses these as well, but only after the whole file was read for its checksum.
                if size == 0:
                    self._fail(record, ClientError("The file is empty.", code="size_zero"))
                elif size > max_bytes:
                    detail = f"The file has {size:,} bytes; {max_bytes:,} are allowed."
                    self._fail(record, ClientError(detail, code="size_too_large"))
                elif content_type not in self._limits["content_types"]:
                    self._fail(record, ClientError(f"{content_type} is not accepted.", code="type_unsupported"))
                else:
                    await self._found.put(record)

    def _new_record(self, path: Path, size: int, content_type: str) -> Record:
        record = Record(path, size, content_type)
        self.report.records.append(record)
        self._listener(events.FileFound(record))
        return record

    async def _hash(self) -> None:
        """Hash files, several at once; only the first of those with the same bytes goes on."""

        async def hash_files() -> None:
            async for record in self._found:
                try:
                    record.fingerprint = await asyncio.to_thread(fingerprint, record.path)
                except ClientError as error:
                    self._fail(record, error)
                    continue
                record.size = record.fingerprint.size
                self._listener(events.FileHashed(record))
                first = self._by_content.get(record.sha256)
                if first is None or first.outcome is Outcome.FAILED:  # the same bytes may well be stored at another try
                    self._by_content[record.sha256] = record
                    await self._hashed.put(record)
                    continue
                record.duplicate_of = first
                self._duplicates.setdefault(first, []).append(record)
                if first.finished:  # nobody else would finish this one: the first has told its duplicates already
                    self._finish_duplicates(first)

        await run_copies(hash_files, _HASHERS)
        await self._hashed.close()

    async def _register(self) -> None:
        async for batch in self._hashed.batches(self._limits["max_batch"], self._settings.linger):
            entries = await self._api.register([record.registration() for record in batch])
            for record, entry in zip(batch, entries, strict=True):
                if instruction := self._read_entry(record, entry):
                    await self._registered.put((record, instruction))
        await self._registered.close()

    def _read_entry(self, record: Record, entry: dict[str, Any]) -> UploadInstruction | None:
        """Return how to send the file; None where the service has it already, or does not want it."""
        if problem := entry.get("problem"):
            self._fail(record, ClientError(problem["detail"], code=problem["code"]))
            return None
        record.update(entry)
        if entry.get("upload"):
            return UploadInstruction.from_document(entry["upload"])
        record.stored = record.already_stored = True
        self._follow(record)
        return None

    async def _send(self) -> None:
        """Send files, `concurrency` at once; end the run when several in a row failed in spite of their retries."""

        async def send_files() -> None:
            async for record, instruction in self._registered:
                self._listener(events.UploadStarted(record))
                try:
                    await self._send_file(record, instruction)
                except (NotAllowed, NotShoebox):
                    raise
                except ClientError as error:
                    self._fail(record, error)
                    # After several files in a row that no retry helped, the rest would fail as well.
                    self._failed_in_a_row = self._failed_in_a_row + 1 if isinstance(error, TransientError) else 0
                    if self._failed_in_a_row >= _MAX_FAILED_IN_A_ROW:
                        raise
                else:
                    self._failed_in_a_row = 0

        await run_copies(send_files, self._settings.concurrency)
        self._waiter.no_more()

    async def _send_file(self, record: Record, first: UploadInstruction) -> None:
        settings, progress = self._settings, events.TransferProgress(record, self.report, self._listener)

        async def attempt(last_error: ClientError | None) -> None:
            instruction: UploadInstruction | None = first
            if last_error or first.expires_soon():
                (entry,) = await self._api.register([record.registration()])
                instruction = self._read_entry(record, entry)
            if instruction is None:  # stored or refused meanwhile
                return
            assert record.fingerprint is not None
            if record.size < self._limits["multipart_from"]:
                whole = ByteRange(record.path, record.fingerprint, 0, record.size)
                await self._sender.send(whole, instruction, progress)
            else:
                upload = MultipartUpload(
                    self._api,
                    self._sender,
                    settings.retry,
                    record=record,
                    progress=progress,
                    at_once=settings.concurrency,
                )
                try:
                    await upload.send()
                except NotFound as error:  # it was completed, given up or cleared away; registering again tells which
                    raise UrlExpired(error.detail) from error
            record.stored = True
            self._listener(events.FileStored(record))
            self._follow(record)

        await settings.retry.run(attempt, progress.retrying)

    def _follow(self, record: Record) -> None:
        """Wait for the processing of a file that is stored, unless that is over or not wanted."""
        if record.outcome is Outcome.UNFINISHED and self._settings.wait:
            self._waiter.add(record)
            return
        if record.outcome is Outcome.UNFINISHED:
            record.outcome = Outcome.UPLOADED
        self._finish(record)

    def _fail(self, record: Record, error: ClientError) -> None:
        record.fail(error)
        self._finish(record)

    def _finish(self, record: Record) -> None:
        record.finished = True
        self._listener(events.FileFinished(record))
        self._finish_duplicates(record)

    def _finish_duplicates(self, record: Record) -> None:
        for duplicate in self._duplicates.pop(record, ()):
            duplicate.copy_outcome()
            self._finish(duplicate)
