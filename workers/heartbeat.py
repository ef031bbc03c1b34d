"""Hides the messages of a batch for a short time at a time, for as long as they are worked on.

AWS asks for a queue's visibility timeout of 6 × the function's timeout ("Configuring a queue for use with Lambda"),
which is minutes: a process that dies would leave its messages hidden for so long. So a batch lowers the timeout of its
messages when it begins, renews it while it runs, and stops when it ends, is cancelled, or dies ("Amazon SQS visibility
timeout": heartbeat). A message that is not done then comes back by itself:

receive   1      2      3       4 and later
hidden    20 s   60 s   180 s   6 × the function's timeout

The later ones are longer so that an outage of 28 minutes makes no dead letters in the eight receives of stack.yaml.
What only lacked time is given back at once. None of these calls can fail a batch: without them the queue's own timeout
counts. When the work is done they get a second, and no more than half of the time that is left for the response: a
thousand calls to a slow SQS would take longer.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

from shoebox.metrics import GIVEN_BACK
from workers.batch import BatchResult, Message

_GROWTH = 3
_RENEWALS = 3  # within the time that a message is hidden: one of them may be lost
_LAST_SECONDS = 1.0  # for calls that still run when the work is done
_QUEUE_TIMEOUTS = 6  # a queue hides its messages for at least so many timeouts of its function


class Visibility(Protocol):
    """Changes how long messages stay hidden."""

    async def change(self, queue_arn: str, timeouts: Mapping[str, int]) -> int:
        """Hide messages for so many seconds from now, by receipt handle; returns how many. Raises nothing."""


def hidden_seconds(first: int, receive_count: int, maximum: float) -> int:
    """Return how long this receive hides a message: `first` at the first, three times as long at each later one."""
    later: int = _GROWTH ** (receive_count - 1)
    return max(1, min(first * later, int(maximum)))


class Heartbeat:
    """Hides the messages of `function`'s batches: for `seconds` at their first receive, 0 for the queue's own time."""

    def __init__(
        self,
        visibility: Visibility,
        seconds: int,
        function: str,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._visibility = visibility
        self._seconds = seconds
        self._function = function
        self._clock = clock
        self._sleep = sleep

    async def run(
        self, messages: Sequence[Message], work: Callable[[], Awaitable[BatchResult]], *, seconds_left: float
    ) -> BatchResult:
        """Do the work of a batch, whose invocation has `seconds_left`, with its messages hidden; its result."""
        received = [message for message in messages if message.receipt] if self._seconds else []
        end = self._clock() + seconds_left
        hidden = {
            m.receipt: hidden_seconds(self._seconds, m.receive_count, _QUEUE_TIMEOUTS * seconds_left) for m in received
        }
        lowered = asyncio.create_task(self._change(received, hidden))
        renewing = asyncio.create_task(self._renew(received, hidden, end))
        try:
            result = await work()
        finally:
            renewing.cancel()
            await asyncio.wait([renewing])
            await self._wait_briefly(lowered, end)  # what fails at once has its messages lowered all the same
        given_back = asyncio.create_task(self._change(result.late, {m.receipt: 0 for m in result.late}))
        await self._wait_briefly(given_back, end)
        GIVEN_BACK.labels(self._function).inc(0 if given_back.cancelled() else given_back.result())
        return result

    async def _wait_briefly(self, call: asyncio.Task[int], end: float) -> None:
        """Wait for a call, but not so long that the invocation's response is late; then it is cut off."""
        try:
            await asyncio.wait([call], timeout=max(0.0, min(_LAST_SECONDS, (end - self._clock()) / 2)))
        finally:
            call.cancel()
            await asyncio.wait([call])

    async def _renew(self, messages: Sequence[Message], hidden: Mapping[str, int], end: float) -> None:
        """Renew what is hidden, each message when a third of its time is over, until the invocation must have ended."""
        begin = self._clock()
        due = {message.receipt: begin + hidden[message.receipt] / _RENEWALS for message in messages}
        while (at := min(due.values(), default=math.inf)) < end:
            await self._sleep(at - self._clock())
            now = self._clock()
            renewed = [message for message in messages if due[message.receipt] <= now]
            due |= {message.receipt: now + hidden[message.receipt] / _RENEWALS for message in renewed}
            await self._change(renewed, hidden)

    async def _change(self, messages: Sequence[Message], timeouts: Mapping[str, int]) -> int:
        """Hide messages for so many seconds, by receipt; return how many."""
        queues: dict[str, dict[str, int]] = {}
        for message in messages:
            if message.receipt:
                queues.setdefault(message.queue_arn, {})[message.receipt] = timeouts[message.receipt]
        return sum([await self._visibility.change(arn, changes) for arn, changes in queues.items()])
