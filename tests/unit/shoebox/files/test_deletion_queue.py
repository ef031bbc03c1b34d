"""The queue of deletions in SQS: how long an order waits for a worker."""

from __future__ import annotations

from datetime import UTC, datetime
from unittest.mock import AsyncMock

import pytest

from shoebox.files.model import FileKey, Generation, Owner
from shoebox.files.sqs import SqsDeletionQueue
from shoebox.files.ulid import new_ulid

GENERATION = Generation(FileKey(Owner("demo", "anna"), "f" + "a" * 32), new_ulid(datetime(2026, 11, 23, tzinfo=UTC)))


@pytest.mark.parametrize(
    ("ingest_seconds", "after_ingest", "delay"), [(60, False, 0), (60, True, 65), (895, True, 900), (900, True, 900)]
)
async def test_an_order_waits_for_ingest_as_long_as_sqs_allows(
    ingest_seconds: int, after_ingest: bool, delay: int
) -> None:
    """SQS refuses a delay above 900 seconds, which is also the longest timeout of a function."""
    sqs = AsyncMock()

    async def client() -> AsyncMock:
        return sqs

    queue = SqsDeletionQueue(client, "https://sqs.test/1/deletions", ingest_seconds=ingest_seconds)
    await queue.order(GENERATION, after_ingest=after_ingest)

    assert sqs.send_message.await_args.kwargs["DelaySeconds"] == delay
