"""An event source mapping: takes messages in batches, has a function work on them, deletes what is done."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from math import ceil
from typing import Self

from fleet.environments.invocation import InvokeResult
from fleet.errors import Throttled
from fleet.metrics import Metrics
from fleet.queues.batch_buffer import BatchBuffer
from fleet.queues.batch_outcome import Outcome, outcome
from fleet.queues.polling import Backoff, Scale
from fleet.queues.source_queue import QueueError, SourceQueue
from fleet.queues.sqs_event import SqsMessage, event_of
from shoebox.telemetry import get_logger

_log = get_logger(action="fleet.event_source")


@dataclass(frozen=True, slots=True)
class MappingSettings:
    """One mapping: names for its log and metrics; batch size; times in seconds.

    `finish_polls`: at the end the poll under way is waited for, and what it brings given back. Emulators of SQS do not
    notice that a poller has gone, and would hide messages for it until their visibility timeout.
    """

    function: str
    queue: str
    batch_size: int
    window: float
    visibility_timeout: float
    poll_seconds: int = 20
    drain_seconds: float = 20.0
    finish_polls: bool = False


@dataclass(frozen=True, slots=True)
class MappingStatistics:
    """A mapping as it is now: batches at work, messages by fate, and what stands in its way."""

    function: str
    queue: str
    batches: int
    received: int
    deleted: int
    kept: int
    last_error: str | None


class EventSourceMapping:
    """Polls from `async with` to its end; then it takes no more, and gives the batches at work time to finish."""

    def __init__(
        self,
        settings: MappingSettings,
        *,
        queue: SourceQueue,
        invoke: Callable[[bytes], Awaitable[InvokeResult]],
        scale: Scale,
        metrics: Metrics,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.settings = settings
        self._queue = queue
        self._invoke = invoke
        self._scale = scale
        self._metrics = metrics
        self._clock = clock
        self._sleep = sleep
        self._buffer = BatchBuffer(settings.batch_size, settings.window)
        self._poll_backoff = Backoff(0.2, 5.0)
        self._errors: dict[str, str] = {}
        self._work: set[asyncio.Task[None]] = set()
        self._place_free = asyncio.Event()
        self._poller: asyncio.Task[None] | None = None
        self._received = self._deleted = self._kept = 0

    async def __aenter__(self) -> Self:
        self._poller = asyncio.create_task(self._poll())
        self._poller.add_done_callback(self._polling_ended)
        return self

    def stop_polling(self) -> None:
        """Take no more messages; the batches at work go on, and with `finish_polls` the poll under way does."""
        if self._poller is not None and not self._poller.cancelling():  # a second time would cut that poll off
            self._poller.cancel()

    async def __aexit__(self, *exc_info: object) -> None:
        assert self._poller is not None
        self.stop_polling()
        with suppress(asyncio.CancelledError):
            await self._poller
        if self._work:
            await asyncio.wait(self._work, timeout=self.settings.drain_seconds)
        for task in self._work:
            task.cancel()
        await asyncio.gather(*self._work, return_exceptions=True)

    @property
    def last_error(self) -> str | None:
        """What SQS refuses at present, in words; None while all is well."""
        return next(reversed(self._errors.values()), None)

    def statistics(self) -> MappingStatistics:
        """The mapping as it is now."""
        return MappingStatistics(
            function=self.settings.function,
            queue=self.settings.queue,
            batches=len(self._work),
            received=self._received,
            deleted=self._deleted,
            kept=self._kept,
            last_error=self.last_error,
        )

    async def _poll(self) -> None:
        """Receive only while a batch may start, so that no message waits here with its visibility running out."""
        while True:
            while len(self._work) >= self._scale.limit(self._clock()):
                self._place_free.clear()
                await self._place_free.wait()
            if batch := await self._collect():
                task = asyncio.create_task(self._run(batch))
                self._work.add(task)
                task.add_done_callback(self._end)

    def _polling_ended(self, task: asyncio.Task[None]) -> None:
        """A fault of ours must not end a mapping in silence."""
        if not task.cancelled() and (error := task.exception()):
            self._errors["poll"] = f"polling has ended: {error!r}"
            _log.critical("polling ended", function=self.settings.function, exc_info=error)

    def _end(self, task: asyncio.Task[None]) -> None:
        self._work.discard(task)
        self._place_free.set()
        if not task.cancelled() and (error := task.exception()):
            _log.error("batch failed", function=self.settings.function, exc_info=error)

    async def _collect(self) -> list[SqsMessage]:
        """The next batch, or nothing when none came in a whole long poll."""
        while (remaining := self._buffer.remaining(self._clock())) > 0:
            wait = max(1, min(self.settings.poll_seconds, ceil(min(remaining, self.settings.poll_seconds))))
            try:
                messages = await self._receive(wait)
            except QueueError as error:
                self._note(error)
                await self._sleep(self._poll_backoff.next())
                continue
            self._well("receive")
            self._poll_backoff.reset()
            self._buffer.add(messages)
            self._count("received", len(messages))
            self._received += len(messages)
        return self._buffer.take()

    async def _receive(self, wait: int) -> list[SqsMessage]:
        receiving = asyncio.ensure_future(self._queue.receive(self._buffer.wanted(), wait))
        if not self.settings.finish_polls:
            return await receiving
        try:
            return await asyncio.shield(receiving)
        except asyncio.CancelledError:
            await self._give_back(receiving)
            raise

    async def _give_back(self, receiving: asyncio.Future[list[SqsMessage]]) -> None:
        """Make visible again what comes after the end, and what waits for its batch."""
        messages = self._buffer.take()
        try:
            messages += await receiving
        except QueueError as error:
            self._note(error)
        try:
            if messages:
                await self._queue.release(messages)
        except QueueError as error:
            self._note(error)

    async def _run(self, batch: list[SqsMessage]) -> None:
        ids = [message.message_id for message in batch]
        result = await self._invoke_patiently(batch)
        fate = outcome(ids, result) if result else Outcome(frozenset(), frozenset(ids), "throttled")
        if fate.failure:
            _log.warning("batch kept", function=self.settings.function, reason=fate.failure, messages=len(batch))
        self._metrics.batches.labels(self.settings.function, _word(fate)).inc()
        await self._delete([message for message in batch if message.message_id in fate.delete])
        self._kept += len(fate.keep)
        self._count("kept", len(fate.keep))

    async def _invoke_patiently(self, batch: list[SqsMessage]) -> InvokeResult | None:
        """Try until the messages are about to be visible again; None: the function was throttled all that time."""
        backoff = Backoff(0.2, 10.0)
        end = batch[0].received_at + self.settings.visibility_timeout
        event = event_of(batch)
        while True:
            try:
                result = await self._invoke(event)
            except Throttled:
                self._scale.ended(self._clock(), throttled=True)
            else:
                self._scale.ended(self._clock(), throttled=False)
                return result
            delay = backoff.next()
            if self._clock() + delay >= end:
                return None
            await self._sleep(delay)

    async def _delete(self, messages: list[SqsMessage]) -> None:
        if not messages:
            return
        try:
            await self._queue.delete(messages)
        except QueueError as error:
            self._note(error)
            return
        self._well("delete")
        self._deleted += len(messages)
        self._count("deleted", len(messages))

    def _count(self, fate: str, number: int) -> None:
        self._metrics.messages.labels(self.settings.function, fate).inc(number)

    def _note(self, error: QueueError) -> None:
        """Remember an error; log it when it is news."""
        function, queue = self.settings.function, self.settings.queue
        self._metrics.poll_errors.labels(function, error.code).inc()
        if error.denied:
            text = f"AccessDenied: the role of function {function} lacks {error.denied} on queue {queue}"
        else:
            text = f"{error.call} on queue {queue}: {error.code}: {error}"
        if self._errors.get(error.call) != text:
            _log.error(
                "queue refuses", function=function, queue=queue, code=error.code, missing=error.denied, reason=text
            )
        self._errors.pop(error.call, None)
        self._errors[error.call] = text

    def _well(self, call: str) -> None:
        if self._errors.pop(call, None):
            _log.info("queue answers again", function=self.settings.function, queue=self.settings.queue, call=call)


def _word(fate: Outcome) -> str:
    if fate.failure:
        return "failed"
    return "partial" if fate.keep else "success"
