"""An event source mapping: takes messages in batches, has a function work on them, deletes what is done.

Rules and their sources: docs/reference/event-source-mapping.md. One poller waits for messages with long polls; while
its receive calls come back full, others help it, as many as may have a batch at work. A place for a batch is taken
before its messages are received, so that none waits here with its visibility running out.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from typing import Self

from fleet.limits.event_source import Scale
from fleet.limits.use import LimitUse
from fleet.metrics import Metrics
from fleet.queues.batch_buffer import RECEIVE_MOST, BatchBuffer
from fleet.queues.batch_run import BatchRuns, Invoke
from fleet.queues.filters import Filters
from fleet.queues.mapping_settings import MappingSettings, MappingStatistics
from fleet.queues.polling import Backoff
from fleet.queues.receiver import HELPERS_WAIT, Receiver
from fleet.queues.source_queue import QueueError, SourceQueue
from fleet.queues.sqs_event import SqsMessage
from fleet.queues.troubles import Troubles
from shoebox.telemetry import get_logger

__all__ = ["EventSourceMapping", "MappingSettings", "MappingStatistics"]

_HOST_SECONDS = 5.0  # that a joined function may be without a host before that is an error
_LOOK_AGAIN = 1.0  # a limit that grows with time tells nobody

_log = get_logger(action="fleet.event_source")


class EventSourceMapping:
    """Polls from `async with` to its end; then it takes no more, and gives the batches at work time to finish."""

    def __init__(
        self,
        settings: MappingSettings,
        *,
        queue: SourceQueue,
        invoke: Invoke,
        scale: Scale,
        metrics: Metrics,
        filters: Filters | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.settings = settings
        self._queue = queue
        self._scale = scale
        self._clock = clock
        self._sleep = sleep
        self._troubles = Troubles(settings.function, settings.queue, metrics)
        self._runs = BatchRuns(
            settings,
            queue=queue,
            invoke=invoke,
            scale=scale,
            metrics=metrics,
            troubles=self._troubles,
            clock=clock,
            sleep=sleep,
        )
        self._receiver = Receiver(
            settings,
            queue=queue,
            scale=scale,
            filters=filters or Filters([]),
            runs=self._runs,
            troubles=self._troubles,
            on_full=self._call_for_help,
            clock=clock,
            sleep=sleep,
        )
        self._work: set[asyncio.Task[None]] = set()
        self._gathering = 0  # pollers that have a place for the batch that they receive
        self._place_free = asyncio.Event()
        self._pollers: set[asyncio.Task[None]] = set()
        self._stopping = False

    async def __aenter__(self) -> Self:
        self._start_poller(self._poll())
        return self

    def stop_polling(self) -> None:
        """Take no more messages; the batches at work go on, and with `finish_polls` the polls under way do."""
        self._stopping = True
        for poller in self._pollers:
            if not poller.cancelling():  # a second time would cut its last poll off
                poller.cancel()

    async def __aexit__(self, *exc_info: object) -> None:
        self.stop_polling()
        while self._pollers:
            await asyncio.wait(self._pollers)
        if self._work:
            await asyncio.wait(self._work, timeout=self.settings.drain_seconds)
        for task in self._work:
            task.cancel()
        await asyncio.gather(*self._work, return_exceptions=True)

    @property
    def last_error(self) -> str | None:
        """What SQS refuses at present, in words; None while all is well."""
        return self._troubles.last

    @property
    def pollers(self) -> int:
        """Pollers that receive, or wait for a place."""
        return len(self._pollers)

    def statistics(self) -> MappingStatistics:
        """The mapping as it is now."""
        fates = self._runs.fates
        return MappingStatistics(
            function=self.settings.function,
            queue=self.settings.queue,
            batches=len(self._work),
            limit=self._scale.limit(self._clock()),
            received=fates.received,
            deleted=fates.deleted,
            kept=fates.kept,
            filtered=fates.filtered,
            last_error=self.last_error,
        )

    def uses(self, now: float) -> Iterable[LimitUse]:
        """`lambda.mapping_concurrency` of the function."""
        return self._scale.uses(now)

    # Pollers

    def _start_poller(self, polling: Awaitable[None]) -> None:
        poller = asyncio.ensure_future(polling)
        assert isinstance(poller, asyncio.Task)
        self._pollers.add(poller)
        poller.add_done_callback(self._polling_ended)

    def _polling_ended(self, poller: asyncio.Task[None]) -> None:
        self._pollers.discard(poller)
        if not poller.cancelled() and (error := poller.exception()):
            self._troubles.end(error)

    async def _poll(self) -> None:
        await self._until_allowed()
        buffer = self._new_buffer()
        while True:
            await self._place()
            await self._take_batch(buffer, self.settings.poll_seconds)

    async def _help(self) -> None:
        """As long as there is more than others can fetch."""
        buffer = self._new_buffer()
        while len(buffer) or self._place_is_free():
            await self._place()
            if not await self._take_batch(buffer, min(HELPERS_WAIT, self.settings.poll_seconds)):
                return

    def _call_for_help(self) -> None:
        """A receive call came back full: there is more, and perhaps place for it."""
        large = self.settings.batch_size > RECEIVE_MOST  # gathered one at a time, with several calls at once
        if not (large or self._stopping) and len(self._pollers) < self.settings.receivers and self._place_is_free():
            self._start_poller(self._help())

    def _new_buffer(self) -> BatchBuffer:
        return BatchBuffer(self.settings.batch_size, self.settings.window)

    async def _until_allowed(self) -> None:
        """Lambda refuses a mapping whose queue has a shorter visibility timeout than the function has time."""
        backoff = Backoff(0.2, 5.0)
        while True:
            try:
                seconds = await self._queue.visibility_timeout()
            except QueueError as error:
                self._troubles.note(error)
            else:
                if seconds >= self.settings.function_timeout:
                    break
                text = (
                    f"Queue visibility timeout: {seconds} seconds is less than Function timeout: "
                    f"{self.settings.function_timeout:.0f} seconds. Nothing is received until it is longer"
                )
                self._troubles.refuse("visibility", "InvalidParameterValueException", text)
            await self._sleep(backoff.next())
        self._troubles.well("visibility")
        self._runs.visibility = seconds

    # Places and batches

    def _place_is_free(self) -> bool:
        return len(self._work) + self._gathering < self._scale.limit(self._clock())

    async def _place(self) -> None:
        """Wait until another batch may be at work."""
        since = self._clock()
        if not self._place_is_free():
            self._scale.held(since)
        while not self._place_is_free():
            if not self._can_run() and self._clock() - since >= _HOST_SECONDS:
                self._troubles.pause()
            self._place_free.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_AGAIN):
                    await self._place_free.wait()
        self._troubles.resume()

    def _can_run(self) -> bool:
        """Whether there is anything to run a batch on; a joined function has nothing while it has no host."""
        return self._scale.limit(self._clock()) > 0

    async def _take_batch(self, buffer: BatchBuffer, wait: int) -> bool:
        """Receive a batch and start it, at a place that is free; False when none came in a whole long poll."""
        self._gathering += 1
        try:
            await self._receiver.fill(buffer, wait)
        finally:
            self._gathering -= 1
            self._place_free.set()
        if not len(buffer):
            return False
        if not self._can_run():
            await self._receiver.give_back(buffer)
            return False
        batches = [buffer.take()]
        while self.settings.fifo and len(buffer):
            batches.append(buffer.take())
        self._start(batches)
        return True

    def _start(self, batches: Sequence[list[SqsMessage]]) -> None:
        task = asyncio.create_task(self._runs.run(batches))
        self._work.add(task)
        self._scale.started()
        task.add_done_callback(self._end)

    def _end(self, task: asyncio.Task[None]) -> None:
        self._work.discard(task)
        self._scale.finished()
        self._place_free.set()
        if not task.cancelled() and (error := task.exception()):
            _log.error("batch failed", function=self.settings.function, exc_info=error)
