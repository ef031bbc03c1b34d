"""`ingest` as S3 invokes it: one photo an invocation, by the same Ingest that the queue's batches go through."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import orjson

from shoebox.aws.clients import Clients
from shoebox.config import AwsSettings
from shoebox.telemetry import configure_logging, log_context
from workers.batch import Message, TimeBudget
from workers.ingest import open_ingest
from workers.runtime.context import Context
from workers.runtime.lifespan import with_lifespan
from workers.sqs_handler import BatchRunner

_RECEIVE_COUNT = 2
"""Lambda does not say whether it tries an event again, so each is taken as repeated: a photo that an earlier try had
finished, perhaps without having published its event, gets it published once more."""


class NotDone(Exception):
    """A passing fault, which the log has; Lambda tries the event again."""


async def take(ingest: BatchRunner, event: Mapping[str, Any], context: Context) -> None:
    """Take the photo of an S3 event to its final state.

    Raises:
        NotDone: it has none yet, and may get one at another try.
    """
    body = orjson.dumps(event).decode()
    message = Message(context.aws_request_id, body, receive_count=_RECEIVE_COUNT, sent_at=datetime.now(UTC))
    with log_context(request_id=context.aws_request_id):
        budget = TimeBudget.of_remaining(context.get_remaining_time_in_millis() / 1000)
        result = await ingest([message], budget=budget, function="ingest")
    if result.returned:
        raise NotDone("the photo is not done; its reason is in the log")


@asynccontextmanager
async def open_naive_ingest() -> AsyncIterator[BatchRunner]:
    """Open what ingest needs; there is no queue, so nothing to keep hidden."""
    configure_logging()
    aws = AwsSettings.from_environment()
    async with Clients(aws) as clients, open_ingest(aws, clients) as ingest:
        yield ingest


@with_lifespan(open_naive_ingest)
async def handler(event: Mapping[str, Any], context: Context, ingest: BatchRunner) -> None:
    """Handle an event of S3's; raises `NotDone` as `take` does."""
    await take(ingest, event, context)
