"""SQS over plain signed HTTP: for event source mappings, and for functions that hide their messages or give them back.

Why not through aiobotocore: docs/decisions/0015-own-sqs-client.md.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from shoebox.aws.connections import Connections
from shoebox.aws.credentials import CredentialsSource
from shoebox.aws.errors import AwsError
from shoebox.aws.json_service import JsonService, service_url
from shoebox.aws.retry import RetryPolicy
from shoebox.config import AwsSettings, ConfigError
from shoebox.telemetry import get_logger

_MAX_ENTRIES = 10  # of a batch call
_MAX_CALLS = 10  # at once; a batch may have 10,000 messages
_MAX_BYTES = 1024 * 1024

_log = get_logger()


class SqsClient(JsonService):
    """Operations of SQS by `call`; a queue's URL is part of each request."""

    service = "sqs"
    target = "AmazonSQS"
    retry = RetryPolicy(attempts=3)
    response_seconds = 10.0  # beyond those of a long poll


class VisibilityClient:
    """Changes how long messages stay hidden."""

    def __init__(self, connections: Connections, credentials: CredentialsSource, aws: AwsSettings) -> None:
        self._aws = aws
        self._sqs = SqsClient(
            connections,
            credentials,
            region=aws.region,
            # The next call comes soon, or the invocation is in its last two seconds.
            retry=RetryPolicy(attempts=1),
            response_seconds=1.0,
        )

    async def change(self, queue_arn: str, timeouts: Mapping[str, int]) -> int:
        """Hide messages of a queue for so many seconds from now, by receipt handle; return how many.

        0 lets others receive a message at once. It raises nothing: a message that cannot be changed is logged, and
        comes after the visibility timeout that it has.
        """
        entries = [
            {"Id": str(index % _MAX_ENTRIES), "ReceiptHandle": receipt, "VisibilityTimeout": seconds}
            for index, (receipt, seconds) in enumerate(timeouts.items())
        ]
        url = queue_url(queue_arn, self._aws)
        at_once = asyncio.Semaphore(_MAX_CALLS)

        async def change(start: int) -> int:
            async with at_once:
                return await self._change_batch(url, entries[start : start + _MAX_ENTRIES])

        return sum(await asyncio.gather(*(change(start) for start in range(0, len(entries), _MAX_ENTRIES))))

    async def _change_batch(self, url: str, entries: list[dict[str, Any]]) -> int:
        try:
            response = await self._sqs.call("ChangeMessageVisibilityBatch", {"QueueUrl": url, "Entries": entries})
        except (AwsError, ConfigError) as error:  # ConfigError: there are no credentials
            reason = error.code if isinstance(error, AwsError) else type(error).__name__
            _log.warning("visibility_not_changed", code=reason, detail=str(error), messages=len(entries))
            return 0
        failed: list[dict[str, Any]] = response.get("Failed", [])
        for code, messages in Counter(failure.get("Code") for failure in failed).items():
            _log.warning("visibility_not_changed", code=code, messages=messages)
        return len(entries) - len(failed)


def queue_url(queue_arn: str, aws: AwsSettings) -> str:
    """Return the URL of the queue with this ARN (Amazon SQS, "Queue and message identifiers")."""
    *_, account, name = queue_arn.split(":")
    return f"{service_url(aws, 'sqs')}/{account}/{name}"


@asynccontextmanager
async def open_visibility(aws: AwsSettings, credentials: CredentialsSource) -> AsyncIterator[VisibilityClient]:
    """Open a client, and close its connections at the end."""
    connections = Connections(service_url(aws, "sqs"), max_bytes=_MAX_BYTES)
    try:
        yield VisibilityClient(connections, credentials, aws)
    finally:
        connections.close()
