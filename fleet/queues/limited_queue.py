"""A queue within SQS's limit of messages in flight, which tells a monitor what it receives and deletes."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Sequence

from fleet.limits.in_flight import InFlight
from fleet.queues.batches import SqsMessage
from fleet.queues.queue_monitor import QueueMonitor
from fleet.queues.source_queue import MAX_PER_CALL, QueueError, SourceQueue


class LimitedQueue:
    """`queue` within its limit of messages in flight; mappings of the same queue share `in_flight` and `monitor`.

    Amazon SQS, "Amazon SQS message quotas": beyond the limit a standard queue refuses with OverLimit, and a FIFO queue
    is empty. `now` is the wall clock, for the ages of messages.
    """

    def __init__(
        self,
        queue: SourceQueue,
        in_flight: InFlight,
        monitor: QueueMonitor,
        *,
        fifo: bool = False,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._queue = queue
        self._in_flight = in_flight
        self._monitor = monitor
        self._fifo = fifo
        self._clock = clock
        self._now = now
        self._sleep = sleep

    async def receive(self, count: int, wait: int) -> list[SqsMessage]:
        """Receive as from the queue itself, but never beyond the limit.

        Raises:
            QueueError: also OverLimit, of a standard queue.
        """
        room = self._in_flight.room(self._clock())
        if room < 1:
            self._in_flight.refused()
            if not self._fifo:
                text = "Too many messages in flight; delete some, or let them become visible again"
                raise QueueError("receive", "OverLimit", text)
            messages = []
            await self._sleep(min(wait, 1) or 0.1)  # an empty response at once would be asked for again at once
        else:
            messages = await self._queue.receive(int(min(count, room)), wait)
            self._in_flight.received(self._clock(), (message.message_id for message in messages))
        self._monitor.calls["ReceiveMessage"] += 1
        self._monitor.received(self._now(), messages, self._in_flight.visibility)
        return messages

    async def delete(self, messages: Sequence[SqsMessage]) -> None:
        """Delete messages; they make room for others."""
        await self._queue.delete(messages)
        self._in_flight.gone(message.message_id for message in messages)
        self._monitor.calls["DeleteMessageBatch"] += math.ceil(len(messages) / MAX_PER_CALL)
        self._monitor.deleted(messages)

    async def release(self, messages: Sequence[SqsMessage]) -> None:
        """Let others receive messages at once; their age goes on from when they were sent."""
        await self._queue.release(messages)
        self._in_flight.gone(message.message_id for message in messages)
        self._monitor.calls["ChangeMessageVisibilityBatch"] += math.ceil(len(messages) / MAX_PER_CALL)

    async def visibility_timeout(self) -> int:
        """Return the queue's own; messages count as in flight for so long."""
        seconds = await self._queue.visibility_timeout()
        self._in_flight.visibility = seconds
        return seconds
