"""Cleanup: deletes files from S3 and then from the table.

An order names a generation, and only objects of that generation are deleted: a slow or repeated order cannot touch what
was uploaded anew.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from shoebox.aws.clients import Clients
from shoebox.aws.dynamodb import DynamoDBClient
from shoebox.config import AwsSettings, CleanupSettings
from shoebox.files.deletions import read_order
from shoebox.files.dynamodb import DynamoDBFileStore
from shoebox.files.model import Generation
from shoebox.files.pictures import PictureStore
from shoebox.files.s3 import open_pictures
from shoebox.files.store import FileStore
from shoebox.telemetry import get_logger
from workers.batch import Message, run_batch
from workers.sqs_handler import BatchRunner, sqs_handler

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
            if pending.supersedes:  # its own order may have been lost, and no other record names it
                await self._delete(pending.supersedes)
            if pending.upload_id:
                await self._pictures.abort_multipart(generation, pending.upload_id)
            await self._pictures.delete_all(generation, pending.revisions)
            # Last: as long as the item says DELETING, an order that is delivered again finishes what this one began.
            await self._files.remove(pending)
            _log.info("file_deleted", tenant=key.owner.tenant, file_id=key.file_id, generation=generation.ulid)


@asynccontextmanager
async def open_cleanup(aws: AwsSettings, clients: Clients) -> AsyncIterator[BatchRunner]:
    """Open what cleanup needs, once a process."""
    settings = CleanupSettings.from_environment()
    async with (
        DynamoDBClient.open(aws, clients.credentials) as dynamodb,
        open_pictures(aws, clients, settings.personal_bucket, s3_url=settings.s3_url) as pictures,
    ):
        await pictures.open_client()
        cleanup = Cleanup(DynamoDBFileStore(dynamodb, settings.files_table), pictures)
        yield partial(run_batch, work=cleanup.delete, at_once=_AT_ONCE)


handler = sqs_handler("cleanup", open_cleanup)
