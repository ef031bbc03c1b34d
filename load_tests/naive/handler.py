"""`ingest` as S3 invokes it: one photo an invocation, by the same Ingest that the queue's batches go through."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson

from shoebox.config import IngestSettings
from shoebox.telemetry import log_context
from workers.batch import Message, TimeBudget
from workers.heartbeat import Heartbeat
from workers.ingest import Ingest, open_ingest
from workers.runtime.context import Context
from workers.runtime.lifespan import with_lifespan

_RECEIVE_COUNT = 2
"""Lambda does not say whether it tries an event again, so each is taken as repeated: a photo that an earlier try had
finished, perhaps without having published its event, gets it published once more."""


class NotDone(Exception):
    """A passing fault, which the log has; Lambda tries the event again."""


async def take(ingest: Ingest, event: Mapping[str, Any], context: Context, *, at_once: int) -> None:
    """Take the photo of an S3 event to its final state.

    Raises:
        NotDone: it has none yet, and may get one at another try.
    """
    body = orjson.dumps(event).decode()
    message = Message(context.aws_request_id, body, receive_count=_RECEIVE_COUNT, sent_at=datetime.now(UTC))
    with log_context(request_id=context.aws_request_id):
        budget = TimeBudget.of_remaining(context.get_remaining_time_in_millis() / 1000)
        result = await ingest.run([message], budget, at_once=at_once)
    if result.returned:
        raise NotDone("the photo is not done; its reason is in the log")


@with_lifespan(open_ingest)
async def handler(
    event: Mapping[str, Any], context: Context, resources: tuple[Ingest, Heartbeat, IngestSettings]
) -> None:
    """Lambda handler: an event of S3's; raises `NotDone` as `take` does."""
    ingest, _, settings = resources  # no queue, so nothing to keep hidden
    await take(ingest, event, context, at_once=settings.pictures_at_once)
