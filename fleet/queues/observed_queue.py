"""A queue whose messages are noted as they go by."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence

from fleet.queues.flow import Flow
from fleet.queues.source_queue import BATCH_MOST, SourceQueue
from fleet.queues.sqs_event import SqsMessage


class ObservedQueue:
    """`queue`, told to `flow`, which the mappings of a queue share; `visibility` in seconds, until it is asked for."""

    def __init__(
        self, queue: SourceQueue, flow: Flow, visibility: float, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._queue = queue
        self._flow = flow
        self._visibility = visibility
        self._clock = clock

    async def receive(self, most: int, wait: int) -> list[SqsMessage]:
        """As the queue's own."""
        messages = await self._queue.receive(most, wait)
        self._flow.calls["ReceiveMessage"] += 1
        self._flow.received(self._clock(), messages, self._visibility)
        return messages

    async def delete(self, messages: Sequence[SqsMessage]) -> None:
        """As the queue's own."""
        await self._queue.delete(messages)
        self._flow.calls["DeleteMessageBatch"] += _batches(messages)
        self._flow.gone(messages)

    async def release(self, messages: Sequence[SqsMessage]) -> None:
        """As the queue's own; they wait again, as old as they are."""
        await self._queue.release(messages)
        self._flow.calls["ChangeMessageVisibilityBatch"] += _batches(messages)

    async def visibility_timeout(self) -> int:
        """The queue's own."""
        self._visibility = await self._queue.visibility_timeout()
        return self._visibility


def _batches(messages: Sequence[SqsMessage]) -> int:
    return math.ceil(len(messages) / BATCH_MOST)
