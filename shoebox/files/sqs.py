"""The queue `deletions`: a `DeletionQueue` in SQS."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from shoebox.aws.botocore_errors import aws_errors
from shoebox.files.deletions import order_text
from shoebox.files.faults import retryable_as_unavailable
from shoebox.files.model import Generation

if TYPE_CHECKING:
    from types_aiobotocore_sqs import SQSClient

_MARGIN_SECONDS = 5  # a worker that is cut off at its timeout may still have a request under way
_MAX_DELAY_SECONDS = 900  # "Amazon SQS delay queues": SQS refuses a longer DelaySeconds


class SqsDeletionQueue:
    """Sends deletion orders. `client` gives an aiobotocore client, which is made when it is first needed.

    `ingest_seconds` is the timeout of the function `ingest`.
    """

    def __init__(self, client: Callable[[], Awaitable[SQSClient]], queue_url: str, *, ingest_seconds: int = 0) -> None:
        self._client = client
        self._queue_url = queue_url
        self._delay = min(ingest_seconds + _MARGIN_SECONDS, _MAX_DELAY_SECONDS)

    @retryable_as_unavailable
    async def order(self, generation: Generation, *, after_ingest: bool = False) -> None:
        """Order the deletion of a generation's objects."""
        client, delay = await self._client(), self._delay if after_ingest else 0
        with aws_errors():
            await client.send_message(QueueUrl=self._queue_url, MessageBody=order_text(generation), DelaySeconds=delay)
