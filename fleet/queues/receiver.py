"""Receives for an event source mapping: call by call into a batch, past the filters, and back at the end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from math import ceil

from fleet.limits.event_source import Scale
from fleet.queues.batch_buffer import RECEIVE_MOST, BatchBuffer
from fleet.queues.batch_run import BatchRuns
from fleet.queues.filters import Filters
from fleet.queues.mapping_settings import MappingSettings
from fleet.queues.polling import Backoff
from fleet.queues.source_queue import QueueError, SourceQueue
from fleet.queues.sqs_event import SqsMessage
from fleet.queues.troubles import Troubles

HELPERS_WAIT = 1  # seconds of a helper's long poll: it goes when nothing comes
_SHORT_POLL_PAUSE = 0.25  # in the last second of a window, where SQS's whole seconds are too long


class Receiver:
    """Fills the buffers of a mapping's pollers; `on_full` is told of each receive call that came back full."""

    def __init__(
        self,
        settings: MappingSettings,
        *,
        queue: SourceQueue,
        scale: Scale,
        filters: Filters,
        runs: BatchRuns,
        troubles: Troubles,
        on_full: Callable[[], None],
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._settings = settings
        self._queue = queue
        self._scale = scale
        self._filters = filters
        self._runs = runs
        self._troubles = troubles
        self._on_full = on_full
        self._clock = clock
        self._sleep = sleep
        self._backoff = Backoff(0.2, 5.0)

    async def fill(self, buffer: BatchBuffer, wait: int) -> None:
        """Receive until the batch is due, or until a whole long poll brought nothing."""
        full = False
        while (remaining := buffer.remaining(self._clock())) > 0:
            try:
                full = await self._receive_some(buffer, wait, remaining, several=full)
            except QueueError as error:
                self._troubles.note(error)
                await self._sleep(self._backoff.next())
                continue
            self._troubles.well("receive")
            self._backoff.reset()
            if not len(buffer):
                return

    async def _receive_some(self, buffer: BatchBuffer, wait: int, remaining: float, *, several: bool) -> bool:
        """One receive call, or `several` at once where the batch lacks so many; whether all came back full."""
        seconds = int(min(wait, remaining))
        lacking = buffer.lacking()
        calls = min(ceil(lacking / RECEIVE_MOST), self._settings.receivers) if several else 1
        if calls == 1:
            full = await self._receive(buffer, min(lacking, RECEIVE_MOST), seconds)
        else:
            counts = [min(RECEIVE_MOST, lacking - n * RECEIVE_MOST) for n in range(calls)]
            receiving = (self._receive(buffer, count, min(seconds, HELPERS_WAIT)) for count in counts)
            full = all(_results(await asyncio.gather(*receiving, return_exceptions=True)))
        if not (seconds or full):
            await self._sleep(min(remaining, _SHORT_POLL_PAUSE))
        return full

    async def _receive(self, buffer: BatchBuffer, most: int, wait: int) -> bool:
        """One receive call, into the buffer; whether it came back full."""
        while (pause := self._scale.pause(self._clock())) > 0:
            await self._sleep(pause)
        messages = await self._uncut(buffer, self._queue.receive(most, wait))
        size = sum(len(message.record) for message in messages)
        self._scale.received(self._clock(), messages=len(messages), wanted=most, size=size)
        self._runs.fates.received += len(messages)
        self._runs.count("received", len(messages))
        full = len(messages) >= most
        if full:
            self._on_full()
        buffer.add(await self._wanted(messages) if self._filters else messages)
        return full

    async def _wanted(self, messages: list[SqsMessage]) -> list[SqsMessage]:
        """What the filters let pass; the rest is deleted."""
        passing = [message for message in messages if self._filters.match(message.body)]
        if len(passing) < len(messages):
            chosen = {message.receipt_handle for message in passing}
            await self._runs.filter_out([message for message in messages if message.receipt_handle not in chosen])
        return passing

    async def _uncut(self, buffer: BatchBuffer, call: Awaitable[list[SqsMessage]]) -> list[SqsMessage]:
        """The call's messages; with `finish_polls` it is not cut off at the end, but what it brings given back."""
        if not self._settings.finish_polls:
            return await call
        receiving = asyncio.ensure_future(call)
        try:
            return await asyncio.shield(receiving)
        except asyncio.CancelledError:
            await self._give_back(buffer, receiving)
            raise

    async def _give_back(self, buffer: BatchBuffer, receiving: asyncio.Future[list[SqsMessage]]) -> None:
        """Make visible again what comes after the end, and what waits for its batch."""
        messages: list[SqsMessage] = []
        try:
            messages = await receiving
        except QueueError as error:
            self._troubles.note(error)
        await self.give_back(buffer, messages)

    async def give_back(self, buffer: BatchBuffer, messages: Sequence[SqsMessage] = ()) -> None:
        """Make visible again what waits in `buffer`, and these `messages`."""
        returned: list[SqsMessage] = []
        while len(buffer):
            returned += buffer.take()
        returned += messages
        try:
            if returned:
                await self._queue.release(returned)
        except QueueError as error:
            self._troubles.note(error)


def _results(outcomes: Sequence[bool | BaseException]) -> list[bool]:
    """The outcomes, when none of them is an error; raises the first that is."""
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
    return [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
