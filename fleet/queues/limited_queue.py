"""A queue that gives no more than SQS would: at most so many messages in flight."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

from fleet.limits.in_flight import InFlight
from fleet.queues.source_queue import QueueError, SourceQueue
from fleet.queues.sqs_event import SqsMessage

OVER_LIMIT = "OverLimit"
_TEXT = "Too many messages in flight; delete some, or let them become visible again"


class LimitedQueue:
    """`queue` within its limit of messages in flight, which mappings of the same queue share.

    Amazon SQS, "Amazon SQS message quotas": beyond it a standard queue refuses with OverLimit, a FIFO queue is empty.
    """

    def __init__(
        self,
        queue: SourceQueue,
        in_flight: InFlight,
        *,
        fifo: bool = False,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._queue = queue
        self._in_flight = in_flight
        self._fifo = fifo
        self._clock = clock
        self._sleep = sleep

    async def receive(self, most: int, wait: int) -> list[SqsMessage]:
        """As the queue's own, but never beyond the limit.

        Raises:
            QueueError: also OverLimit, of a standard queue.
        """
        room = self._in_flight.room(self._clock())
        if room < 1:
            return await self._refuse(wait)
        messages = await self._queue.receive(int(min(most, room)), wait)
        self._in_flight.received(self._clock(), (message.message_id for message in messages))
        return messages

    async def _refuse(self, wait: int) -> list[SqsMessage]:
        self._in_flight.refused()
        if not self._fifo:
            raise QueueError("receive", OVER_LIMIT, _TEXT)
        await self._sleep(min(wait, 1) or 0.1)  # an empty answer at once would be asked for again at once
        return []

    async def delete(self, messages: Sequence[SqsMessage]) -> None:
        """As the queue's own."""
        await self._queue.delete(messages)
        self._in_flight.gone(message.message_id for message in messages)

    async def release(self, messages: Sequence[SqsMessage]) -> None:
        """As the queue's own."""
        await self._queue.release(messages)
        self._in_flight.gone(message.message_id for message in messages)

    async def visibility_timeout(self) -> int:
        """The queue's own; messages in flight are counted for so long."""
        self._in_flight.visibility = await self._queue.visibility_timeout()
        return int(self._in_flight.visibility)
