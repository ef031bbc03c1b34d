"""SQS over plain signed HTTP: ChangeMessageVisibilityBatch, for functions to hide their messages and give them back."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from botocore.exceptions import BotoCoreError

from shoebox.aws.clients import service_url
from shoebox.aws.connections import Connections
from shoebox.aws.credentials import Credentials, CredentialsSource
from shoebox.aws.json_service import AwsError, JsonService, Patience
from shoebox.config import AwsSettings, ConfigError
from shoebox.telemetry import get_logger

# The next call comes soon, or the invocation is in its last two seconds.
PATIENCE = Patience(attempts=1, answer_seconds=1.0)
_MAX_ENTRIES = 10  # of a batch call
_MAX_CALLS = 10  # at once; a batch may have 10,000 messages
_MAX_BYTES = 1024 * 1024

_log = get_logger()


class VisibilityClient:
    """Changes how long messages stay hidden. `credentials` gives those of the moment."""

    def __init__(self, connections: Connections, credentials: CredentialsSource, aws: AwsSettings) -> None:
        self._connections = connections
        self._credentials = credentials
        self._aws = aws
        self._keys: Credentials | None = None
        self._service: JsonService | None = None

    async def change(self, queue_arn: str, timeouts: Mapping[str, int]) -> int:
        """Hide messages of a queue for so many seconds from now, by receipt handle; returns how many.

        0 lets others receive a message at once. It raises nothing: a message that cannot be changed is logged, and
        comes after the visibility timeout that it has.
        """
        entries = [
            {"Id": str(index % _MAX_ENTRIES), "ReceiptHandle": receipt, "VisibilityTimeout": seconds}
            for index, (receipt, seconds) in enumerate(timeouts.items())
        ]
        calls = [entries[start : start + _MAX_ENTRIES] for start in range(0, len(entries), _MAX_ENTRIES)]
        at_once = asyncio.Semaphore(_MAX_CALLS)

        async def one(part: list[dict[str, Any]]) -> int:
            async with at_once:
                return await self._change(queue_arn, part)

        return sum(await asyncio.gather(*(one(part) for part in calls)))

    async def _change(self, queue_arn: str, entries: list[dict[str, Any]]) -> int:
        """One call; how many messages it has changed."""
        request = {"QueueUrl": queue_url(queue_arn, self._aws), "Entries": entries}
        try:
            response = await (await self._current()).call("ChangeMessageVisibilityBatch", request)
        except (AwsError, ConfigError, BotoCoreError) as error:  # the last two: there are no keys to sign with
            code = getattr(error, "code", type(error).__name__)
            _log.warning("visibility_not_changed", code=code, detail=str(error), messages=len(entries))
            return 0
        failed: list[dict[str, Any]] = response.get("Failed", [])
        for code, messages in Counter(failure.get("Code") for failure in failed).items():
            _log.warning("visibility_not_changed", code=code, messages=messages)
        return len(entries) - len(failed)

    async def _current(self) -> JsonService:
        keys = await self._credentials()
        if self._service is None or keys != self._keys:
            self._keys = keys
            self._service = JsonService(
                self._connections,
                keys,
                region=self._aws.region,
                service="sqs",
                target="AmazonSQS",
                patience=PATIENCE,
            )
        return self._service


def queue_url(queue_arn: str, aws: AwsSettings) -> str:
    """URL of the queue with this ARN (Amazon SQS, "Queue and message identifiers")."""
    *_, account, name = queue_arn.split(":")
    return f"{service_url(aws, 'sqs')}/{account}/{name}"


@asynccontextmanager
async def open_visibility(aws: AwsSettings, credentials: CredentialsSource) -> AsyncIterator[VisibilityClient]:
    """A client; closes its connections at the end."""
    connections = Connections(service_url(aws, "sqs"), most_bytes=_MAX_BYTES)
    try:
        yield VisibilityClient(connections, credentials, aws)
    finally:
        connections.close()
