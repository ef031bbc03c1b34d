"""Ingest: every uploaded photo is fetched, verified and prepared, and ends READY or REJECTED.

A batch reads its files' states together; then for each photo: bytes from S3, size and SHA-256 against the
registration, header within the limits, renditions, conditional update. Every step may be repeated: the same bytes give
the same renditions, and only REGISTERED files change state. A permanent fault rejects the photo at once; a retryable
one is raised, and SQS delivers the message again. Events are published before any message counts as done.

An upload belongs to a file whose item has the generation that the object's key names. Ingest never deletes: bytes of an
older generation, or without an item, get a tombstone and a deletion order, and so do renditions that were stored for a
file that has gone meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TypeGuard

from shoebox.aws.clients import Clients
from shoebox.aws.dynamodb import DynamoDBClient
from shoebox.config import AwsSettings, IngestSettings, Limits, environment_without_aws
from shoebox.files.deletions import DeletionQueue
from shoebox.files.dynamodb import DynamoDBFileStore
from shoebox.files.events import EventPublisher, FileEvent
from shoebox.files.model import File, Generation, Picture, RenditionInfo, State
from shoebox.files.pictures import Original, PictureStore
from shoebox.files.s3 import open_pictures
from shoebox.files.sns import SnsEventPublisher
from shoebox.files.sqs import SqsDeletionQueue
from shoebox.files.store import FileStore, Stages
from shoebox.metrics import PHOTOS, REPEATED, SKIPPED, STAGE_SECONDS, STALE
from shoebox.telemetry import get_logger, log_context
from workers.batch import BatchResult, Message, TimeBudget, run_batch
from workers.imaging import PictureRejected, Prepared
from workers.render_pool import RenderPool
from workers.sqs_handler import BatchRunner, sqs_handler
from workers.uploads import MalformedEventError, Upload, read_uploads

_PASSING_RECEIVES = 2
_PASSING_TIME = timedelta(minutes=10)
_log = get_logger()


class UnknownGenerationError(Exception):
    """The table knows only older registrations of a file than its upload: at first this counts as a passing fault."""


class Ingest:
    """Takes photos from REGISTERED to READY or REJECTED."""

    def __init__(
        self,
        files: FileStore,
        pictures: PictureStore,
        events: EventPublisher,
        deletions: DeletionQueue,
        pool: RenderPool,
        *,
        max_bytes: int,
    ) -> None:
        self._files = files
        self._pictures = pictures
        self._events = events
        self._deletions = deletions
        self._pool = pool
        self._max_bytes = max_bytes

    async def run(
        self, messages: Sequence[Message], budget: TimeBudget, *, at_once: int, function: str = "ingest"
    ) -> BatchResult:
        """Handle a batch: at most `at_once` photos together, within `budget`."""
        received_at = datetime.now(UTC)
        uploads = {message.id: _readable(message) for message in messages}
        states = await self._files.states(u.generation.key for found in uploads.values() for u in found or ())

        events: list[FileEvent] = []

        async def work(message: Message) -> None:
            found = uploads[message.id]
            if found is None:
                raise MalformedEventError("not an S3 event")
            for upload in found:
                event = await self._handle(upload, states.get(upload.generation.key), message, received_at)
                events.extend([event] if event else [])

        result = await run_batch(messages, work, at_once=at_once, budget=budget, function=function)
        await self._events.publish(events)  # if this fails the whole batch comes again, and publishes again
        return result

    async def _handle(
        self, upload: Upload, file: File | None, message: Message, received_at: datetime
    ) -> FileEvent | None:
        """Process one photo; return the event to publish, if any."""
        key = upload.generation.key
        with log_context(tenant=key.owner.tenant, file_id=key.file_id, generation=upload.generation.ulid):
            if not _is_of(file, upload.generation):
                uploaded_ago = datetime.now(UTC) - upload.at
                passing = message.receive_count <= _PASSING_RECEIVES or uploaded_ago < _PASSING_TIME
                file = await self._look_again(upload.generation, newer_may_come=passing)
            if file is None:
                return None
            if file.state is not State.REGISTERED:
                SKIPPED.inc()
                return _event_again(file) if message.receive_count > 1 else None
            if file.supersedes:  # the API has ordered it, too, but that order may be lost; the final write forgets it
                await self._deletions.order(file.supersedes)
            return await self._prepare(file, Stages(upload.at, received_at))

    async def _look_again(self, generation: Generation, *, newer_may_come: bool) -> File | None:
        """Return the file as it stands now, if the generation is its own; else order what lies under its keys deleted.

        A registration is written before its URL is given out, and this read is consistent. So an upload whose
        generation is newer than the item's has lost its item: it was deleted, and an API host whose clock is behind
        registered the file anew; or the table was restored. No registration comes back to it, for generations are never
        used twice. With `newer_may_come` that is not decided yet: a table that was restored may still get its items.

        Raises:
            UnknownGenerationError: the file's generation is older, and a newer one may come.
        """
        file = (await self._files.states([generation.key])).get(generation.key)
        if _is_of(file, generation):
            return file
        if newer_may_come and file is not None and file.generation.ulid < generation.ulid:
            raise UnknownGenerationError(f"an upload of generation {generation.ulid} after {file.generation.ulid}")
        STALE.inc()
        _log.warning("stale_upload_discarded", state=file.state if file else None)
        await self._files.write_tombstone(generation)
        await self._deletions.order(generation)
        return None

    async def _prepare(self, file: File, stages: Stages) -> FileEvent | None:
        async def fetch() -> Original | None:
            return await self._pictures.fetch(file.generation, max_bytes=self._max_bytes)

        try:
            prepared = await self._pool.prepare(file.registration, fetch)
        except PictureRejected as rejected:
            return await self._reject(file, rejected, stages)
        if prepared is None:
            _log.warning("original_not_found")
            return None
        async with asyncio.TaskGroup() as puts:
            for rendition in prepared.renditions:
                puts.create_task(self._pictures.put_rendition(file.generation, rendition.name, rendition.jpeg))
        picture = _picture(prepared)
        if not await self._files.mark_ready(file.generation, picture, stages):
            await self._skip_duplicate(file)
            return None
        return _finished(file, State.READY, None, stages, picture)

    async def _reject(self, file: File, rejected: PictureRejected, stages: Stages) -> FileEvent | None:
        if not await self._files.mark_rejected(file.generation, rejected.reason, rejected.detail, stages):
            await self._skip_duplicate(file)
            return None
        return _finished(file, State.REJECTED, rejected.reason, stages)

    async def _skip_duplicate(self, file: File) -> None:
        """Count a photo that another delivery has finished meanwhile, and published; or that was deleted."""
        REPEATED.inc()
        _log.info("duplicate_delivery_skipped")
        # If the file has gone, the renditions just stored must go, too. Its item was seen, so it cannot come later.
        await self._look_again(file.generation, newer_may_come=False)


def _readable(message: Message) -> Sequence[Upload] | None:
    try:
        return read_uploads(message.body)
    except MalformedEventError as error:
        _log.error("event_malformed", message_id=message.id, detail=str(error))
        return None


def _is_of(file: File | None, generation: Generation) -> TypeGuard[File]:
    """Whether an upload of this generation is the file's own, and the file is not being deleted."""
    return file is not None and file.generation == generation and file.state is not State.DELETING


def _event_again(file: File) -> FileEvent | None:
    """Return the event of a file that an earlier delivery finished, but perhaps did not publish."""
    if file.finished_at is None:
        return None
    return FileEvent(file.generation, file.state, file.finished_at, file.reason, file.picture)


def _finished(
    file: File, state: State, reason: str | None, stages: Stages, picture: Picture | None = None
) -> FileEvent:
    now = datetime.now(UTC)
    PHOTOS.labels(state, reason or "").inc()
    for stage, at in (("uploaded", stages.uploaded_at), ("received", stages.received_at), ("finished", now)):
        STAGE_SECONDS.labels(stage).observe(max(0.0, (at - file.registered_at).total_seconds()))
    _log.info("photo_finished", state=state, reason=reason, warnings=picture.warnings if picture else ())
    return FileEvent(file.generation, state, now, reason, picture)


def _picture(prepared: Prepared) -> Picture:
    return Picture(
        width=prepared.width,
        height=prepared.height,
        placeholder=prepared.placeholder,
        renditions=tuple(RenditionInfo(r.name, r.width, r.height, len(r.jpeg)) for r in prepared.renditions),
        metadata=asdict(prepared.metadata),
        warnings=prepared.warnings,
    )


@asynccontextmanager
async def open_ingest(aws: AwsSettings, clients: Clients) -> AsyncIterator[BatchRunner]:
    """Open what ingest needs, once a process; render processes start first, for they take longest."""
    limits, settings = Limits.from_environment(), IngestSettings.from_environment()
    async with (
        RenderPool(limits, memory_at_once=settings.render_memory, environment=environment_without_aws()) as pool,
        DynamoDBClient.open(aws, clients.credentials) as dynamodb,
        open_pictures(aws, clients, settings.personal_bucket, s3_url=settings.s3_url) as pictures,
    ):
        ingest = Ingest(
            DynamoDBFileStore(dynamodb, settings.files_table),
            pictures,
            SnsEventPublisher(clients.when_needed("sns"), settings.file_events_topic_arn),
            SqsDeletionQueue(clients.when_needed("sqs"), settings.deletions_queue_url),
            pool,
            max_bytes=limits.max_bytes,
        )
        await pool.wait_until_ready()
        yield partial(ingest.run, at_once=settings.pictures_at_once)


handler = sqs_handler("ingest", open_ingest)
