"""Cleanup: takes the files that nobody holds out of S3 and then out of the table.

An order names a generation, and only objects of that generation go: a slow or repeated order cannot touch what was
uploaded anew. What that generation has superseded goes with it, for its own order may have been lost. The item, a
file's own or a tombstone, goes last: as long as it says DELETING, an order that comes again finishes what an earlier
one began.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from shoebox.aws.clients import Clients
from shoebox.aws.dynamodb import DynamoDBClient
from shoebox.aws.sqs import open_visibility
from shoebox.config import AwsSettings, CleanupSettings
from shoebox.files.deletions import read_order
from shoebox.files.dynamodb import DynamoDBFileStore
from shoebox.files.model import Generation
from shoebox.files.pictures import PictureStore
from shoebox.files.s3 import open_pictures
from shoebox.files.store import FileStore
from shoebox.telemetry import configure_logging, get_logger, log_context
from workers.batch import Message, TimeBudget, run_batch
from workers.heartbeat import Heartbeat
from workers.runtime.context import Context
from workers.runtime.lifespan import with_lifespan

_AT_ONCE = 10
_log = get_logger()


class Cleanup:
    """Deletes files that are DELETING."""

    def __init__(self, files: FileStore, pictures: PictureStore) -> None:
        self._files = files
        self._pictures = pictures

    async def delete(self, message: Message) -> None:
        """Carry out one order; what is gone, not being deleted, or of another generation is left alone.

        Raises:
            ValueError: the message is no deletion order.
        """
        await self._delete(read_order(message.body))

    async def _delete(self, generation: Generation) -> None:
        key = generation.key
        for pending in await self._files.pending_deletions(generation):
            if pending.supersedes:
                await self._delete(pending.supersedes)
            if pending.upload_id:
                await self._pictures.abort_multipart(generation, pending.upload_id)
            await self._pictures.delete_all(generation, pending.revisions)
            await self._files.remove(pending)
            _log.info("file_deleted", tenant=key.owner.tenant, file_id=key.file_id, generation=generation.ulid)


@asynccontextmanager
async def open_cleanup() -> AsyncIterator[tuple[Cleanup, Heartbeat]]:
    """Everything cleanup needs, opened once a process."""
    configure_logging()
    aws, settings = AwsSettings.from_environment(), CleanupSettings.from_environment()
    async with (
        Clients(aws) as clients,
        open_visibility(aws, clients.credentials) as visibility,
        DynamoDBClient.open(aws, clients.credentials) as dynamodb,
        open_pictures(aws, clients, settings.personal_bucket, s3_url=settings.s3_url) as pictures,
    ):
        await pictures.open_client()
        cleanup = Cleanup(DynamoDBFileStore(dynamodb, settings.files_table), pictures)
        yield cleanup, Heartbeat(visibility, settings.visibility_seconds, "cleanup")


@with_lifespan(open_cleanup)
async def handler(event: Mapping[str, Any], context: Context, resources: tuple[Cleanup, Heartbeat]) -> dict[str, Any]:
    """Lambda handler: an SQS event of deletion orders; the answer is a partial batch response."""
    cleanup, heartbeat = resources
    with log_context(request_id=context.aws_request_id):
        messages = [Message.of_record(record) for record in event["Records"]]
        seconds_left = context.get_remaining_time_in_millis() / 1000
        budget = TimeBudget.of_remaining(seconds_left)
        run = partial(run_batch, messages, cleanup.delete, at_once=_AT_ONCE, budget=budget, function="cleanup")
        return (await heartbeat.run(messages, run, seconds_left=seconds_left)).response()
