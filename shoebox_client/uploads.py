"""The upload engine: folders in, stored and prepared pictures out, as a line of stages with bounded queues.

walk → hash (threads) → register (batches) → send (parallel) → wait. A run may be cut off at any time: nothing that is
stored is sent again by the next one, since a file's id is made from its content.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from shoebox_client import events, walk
from shoebox_client.api import Api
from shoebox_client.channel import Channel
from shoebox_client.errors import ClientError, NotAllowed, NotFound, NotShoebox, TransientError, UrlExpired
from shoebox_client.events import TransferProgress
from shoebox_client.exclusion import Exclusion
from shoebox_client.hashing import fingerprint
from shoebox_client.multipart import MultipartUpload
from shoebox_client.records import Outcome, Record, Report
from shoebox_client.retry import Retry, RetryPolicy
from shoebox_client.sending import ByteRange, Sender, UploadInstruction
from shoebox_client.tasks import run_all, run_copies
from shoebox_client.waiting import Waiter
from shoebox_client.watching import Watcher

_AHEAD = 200  # files between two stages
_HASHERS = 2
_WALK_STEP = 64
_LOST_IN_A_ROW = 3
_WAIT_SECONDS = 600  # where an older service does not say it


@dataclass(frozen=True, slots=True)
class UploadSettings:
    """How a run goes. Times in seconds; `linger` is how long a batch of registrations waits to be filled.

    `processing_timeout` ends a run in which nothing becomes ready for so long; without it the service's `wait_seconds`
    does.
    With `between_scans` a run goes on for ever: it looks again for what is new or changed, and awaits that in between.
    """

    concurrency: int = 4
    wait: bool = True
    recursive: bool = True
    processing_timeout: float | None = None
    exclusion: Exclusion = field(default_factory=Exclusion)
    between_scans: Callable[[], Awaitable[None]] | None = None
    linger: float = 1.0
    stall_timeout: float = 60.0
    retry: RetryPolicy = field(default_factory=RetryPolicy)


class Uploader:
    """One run, as patient as `settings.retry`. `limits` is the answer of `Api.limits`.

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
        self._tell = listener
        self._api = api = api.with_retry(settings.retry, self._retrying)
        self._sender = Sender(api.session, at_once=settings.concurrency, stall_timeout=settings.stall_timeout)
        timeout = settings.processing_timeout
        timeout = limits.get("wait_seconds", _WAIT_SECONDS) if timeout is None else timeout
        self._waiter = Waiter(api, self._settle, timeout=timeout)
        self._found: Channel[Record] = Channel(_AHEAD)
        self._hashed: Channel[Record] = Channel(_AHEAD)
        self._registered: Channel[tuple[Record, UploadInstruction]] = Channel(_AHEAD)
        self._by_content: dict[str, Record] = {}
        self._duplicates: dict[Record, list[Record]] = {}
        self._lost_in_a_row = 0
        self.report = Report()

    async def run(self, paths: Sequence[Path]) -> Report:
        """Upload everything under `paths`.

        Faults of single files end in the report. Raises:
            NotAllowed: the token does not do.
            Passing: the service or its storage cannot be reached, or only fails, for longer than `retry` allows.
            NotShoebox: the answers make no sense.
        """
        started = time.monotonic()
        try:
            await run_all(self._walk(paths), self._hash(), self._register(), self._send(), self._waiter.run())
        finally:
            for record in list(self._duplicates):
                self._settle_twins(record)
            self.report.seconds = time.monotonic() - started
        return self.report

    # --- walk --------------------------------------------------------------------------------------------------

    async def _walk(self, paths: Sequence[Path]) -> None:
        again = self._settings.between_scans
        watcher = Watcher() if again else None
        while True:
            steps = walk.walk(paths, recursive=self._settings.recursive, exclusion=self._settings.exclusion)
            while step := await asyncio.to_thread(_take, steps, _WALK_STEP):
                for thing in step:
                    if watcher is None or watcher.is_news(thing):
                        await self._meet(thing)
            if watcher is None or again is None:
                break
            watcher.end_look()
            await again()
        self._tell(events.WalkFinished())
        await self._found.close()

    async def _meet(self, thing: walk.Walked) -> None:
        match thing:
            case walk.LeftOut(path, reason):
                self.report.left_out.append((path, reason))
                self._tell(events.FileLeftOut(path, reason))
            case walk.Unreadable(path, detail):
                record = self._new(path, 0, "")
                self._fail(record, ClientError(f"{path} cannot be read: {detail}.", code="unreadable"))
            case walk.Picture(path, size, content_type, _):
                record = self._new(path, size, content_type)
                if problem := self._outside_limits(record):
                    self._fail(record, problem)
                else:
                    await self._found.put(record)

    def _new(self, path: Path, size: int, content_type: str) -> Record:
        record = Record(path, size, content_type)
        self.report.records.append(record)
        self._tell(events.FileFound(record))
        return record

    def _outside_limits(self, record: Record) -> ClientError | None:
        """The service's own words, before any byte is read."""
        most = self._limits["max_bytes"]
        if record.size == 0:
            return ClientError("The file is empty.", code="size_zero")
        if record.size > most:
            return ClientError(f"The file has {record.size:,} bytes; {most:,} are allowed.", code="size_too_large")
        if record.content_type not in self._limits["content_types"]:
            return ClientError(f"{record.content_type} is not accepted.", code="type_unsupported")
        return None

    # --- hash --------------------------------------------------------------------------------------------------

    async def _hash(self) -> None:
        await run_copies(self._hasher, _HASHERS)
        await self._hashed.close()

    async def _hasher(self) -> None:
        async for record in self._found:
            try:
                record.fingerprint = await asyncio.to_thread(fingerprint, record.path)
            except ClientError as error:
                self._fail(record, error)
                continue
            record.size = record.fingerprint.size
            self._tell(events.FileHashed(record))
            if self._is_first(record):
                await self._hashed.put(record)

    def _is_first(self, record: Record) -> bool:
        """Whether no other file of this run has the same content; else the record ends as that one does."""
        first = self._by_content.get(record.sha256)
        if first is None or first.outcome is Outcome.FAILED:  # that one's fate says nothing of a new try
            self._by_content[record.sha256] = record
            return True
        record.duplicate_of = first
        self._duplicates.setdefault(first, []).append(record)
        if first.finished:
            self._settle_twins(first)
        return False

    # --- register ----------------------------------------------------------------------------------------------

    async def _register(self) -> None:
        async for batch in self._hashed.batches(self._limits["max_batch"], self._settings.linger):
            entries = await self._api.register([record.registration() for record in batch])
            for record, entry in zip(batch, entries, strict=True):
                if instruction := self._read_entry(record, entry):
                    await self._registered.put((record, instruction))
        await self._registered.close()

    def _read_entry(self, record: Record, entry: dict[str, Any]) -> UploadInstruction | None:
        """How to send the file; None where that is not needed or not wanted."""
        if problem := entry.get("problem"):
            self._fail(record, ClientError(problem["detail"], code=problem["code"]))
            return None
        record.update(entry)
        if entry.get("upload"):
            return UploadInstruction.of(entry["upload"])
        record.stored = record.already_stored = True
        self._follow(record)
        return None

    # --- send --------------------------------------------------------------------------------------------------

    async def _send(self) -> None:
        await run_copies(self._sending, self._settings.concurrency)
        self._waiter.no_more()

    async def _sending(self) -> None:
        async for record, instruction in self._registered:
            self._tell(events.UploadStarted(record))
            try:
                await self._send_one(record, instruction)
            except (NotAllowed, NotShoebox):
                raise
            except ClientError as error:
                self._fail(record, error)
                self._count_lost(error)
            else:
                self._lost_in_a_row = 0

    async def _send_one(self, record: Record, first: UploadInstruction) -> None:
        progress = TransferProgress(record, self.report, self._tell)

        async def once(fault: ClientError | None) -> None:
            instruction: UploadInstruction | None = first
            if fault or first.expires_soon():
                instruction = await self._register_again(record)
            if instruction is None:  # stored or refused meanwhile
                return
            await self._send_bytes(record, instruction, progress)
            record.stored = True
            self._tell(events.FileStored(record))
            self._follow(record)

        await self._settings.retry.run(once, progress.retrying)

    async def _send_bytes(self, record: Record, instruction: UploadInstruction, progress: TransferProgress) -> None:
        assert record.fingerprint is not None
        if record.size >= self._limits["multipart_from"]:
            await self._send_parts(record, progress)
        else:
            await self._sender.send(ByteRange(record.path, record.fingerprint, 0, record.size), instruction, progress)

    async def _send_parts(self, record: Record, progress: TransferProgress) -> None:
        at_once, retry = self._settings.concurrency, self._settings.retry
        upload = MultipartUpload(self._api, self._sender, retry, record=record, progress=progress, at_once=at_once)
        try:
            await upload.send()
        except NotFound as gone:  # it was completed, given up or cleared away; the registration knows
            raise UrlExpired(gone.detail) from gone

    async def _register_again(self, record: Record) -> UploadInstruction | None:
        (entry,) = await self._api.register([record.registration()])
        return self._read_entry(record, entry)

    # --- ends --------------------------------------------------------------------------------------------------

    def _follow(self, record: Record) -> None:
        if record.outcome is not Outcome.UNFINISHED:
            self._settle(record)
        elif self._settings.wait:
            self._waiter.add(record)
        else:
            record.outcome = Outcome.UPLOADED
            self._settle(record)

    def _fail(self, record: Record, error: ClientError) -> None:
        record.fail(error)
        self._settle(record)

    def _settle(self, record: Record) -> None:
        record.finished = True
        self._tell(events.FileFinished(record))
        self._settle_twins(record)

    def _settle_twins(self, record: Record) -> None:
        for duplicate_of in self._duplicates.pop(record, ()):
            duplicate_of.copy_outcome()
            self._settle(duplicate_of)

    def _retrying(self, retry: Retry) -> None:
        self._tell(events.RetryScheduled(None, retry.fault.detail, retry.since))

    def _count_lost(self, error: ClientError) -> None:
        """After several files in a row that no retry helped, the rest would fare no better."""
        self._lost_in_a_row = self._lost_in_a_row + 1 if isinstance(error, TransientError) else 0
        if self._lost_in_a_row >= _LOST_IN_A_ROW:
            raise error


def _take(steps: Iterator[walk.Walked], count: int) -> Sequence[walk.Walked]:
    return list(islice(steps, count))
