"""An event source mapping: receives messages in batches, has a function work on them, deletes what it has done.

A poller   acquires a slot, receives, filters, collects until the batch is due, and starts its run; then the next one
A run      invokes the function, again while it is throttled; deletes what is done, and leaves the rest to be received
           again when its visibility timeout is over

One poller waits for messages with long polls. While receive calls come back full, extra pollers join it, as many as may
have a batch at work. Rules and their sources: docs/reference/event-source-mapping.md.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from math import ceil
from typing import Protocol, Self

from fleet.backoff import Backoff
from fleet.environments.invocation import InvokeResult
from fleet.errors import InvokeError, Throttled
from fleet.limits.event_source import InvocationOutcome, Scale
from fleet.limits.use import LimitUse
from fleet.metrics import Metrics
from fleet.queues.batch_outcome import BatchOutcome, batch_outcome
from fleet.queues.batches import BatchBuffer, SqsMessage, event_of
from fleet.queues.filters import Filters
from fleet.queues.mapping_errors import MappingErrors
from fleet.queues.mapping_settings import MappingSettings, MappingStatistics
from fleet.queues.source_queue import MAX_PER_CALL, QueueError, SourceQueue
from shoebox.telemetry import get_logger

_EXTRA_POLL_SECONDS = 1  # an extra poller ends after an empty poll: a long one would keep it for nothing
_SHORT_POLL_PAUSE = 0.25  # in the last second of a window, where SQS's whole seconds are too long
_HOST_SECONDS = 5.0  # how long a joined function may have no host before that is shown as an error
_CAPACITY_CHECK_SECONDS = 1.0  # a limit that grows with time wakes nobody, so who waits for a slot looks again

_log = get_logger(action="fleet.event_source")


class FunctionInvoker(Protocol):
    """What runs batches: `fleet.invoke.Invoker`, or S3's part in `fleet.queues.s3_delivery`."""

    async def invoke(self, function: str, payload: bytes) -> InvokeResult:
        """Run a function and wait for its response; errors of the function are in the result.

        Raises:
            InvokeError: it did not run; Throttled where it may run later.
        """


class EventSourceMapping:
    """Polls from `async with` to its end; then it receives no more, and gives the batches at work time to finish."""

    def __init__(
        self,
        settings: MappingSettings,
        *,
        queue: SourceQueue,
        invoker: FunctionInvoker,
        scale: Scale,
        metrics: Metrics,
        filters: Filters | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.settings = settings
        self._queue = queue
        self._invoker = invoker
        self._scale = scale
        self._metrics = metrics
        self._filters = filters or Filters([])
        self._clock = clock
        self._sleep = sleep
        self._errors = MappingErrors(settings.function, settings.queue, metrics)
        self._visibility_timeout = settings.visibility_timeout
        self._backoff = Backoff(0.2, 5.0)  # of receive calls that fail, whichever poller makes them
        self._messages: Counter[str] = Counter()  # by what became of them
        self._pollers: set[asyncio.Task[None]] = set()
        self._receiving = 0  # pollers that hold a slot for the batch that they receive
        self._runs: set[asyncio.Task[None]] = set()
        self._slot_released = asyncio.Event()
        self._stopping = False

    async def __aenter__(self) -> Self:
        self._start_poller()
        return self

    def stop_polling(self) -> None:
        """Receive no more messages; batches at work go on, and with `finish_polls` the polls under way do."""
        self._stopping = True
        for poller in self._pollers:
            if not poller.cancelling():  # a second time would cut off the poll that it finishes
                poller.cancel()

    async def __aexit__(self, *exc_info: object) -> None:
        self.stop_polling()
        while self._pollers:
            await asyncio.wait(self._pollers)
        if self._runs:
            await asyncio.wait(self._runs, timeout=self.settings.drain_seconds)
        for run in self._runs:
            run.cancel()
        await asyncio.gather(*self._runs, return_exceptions=True)

    @property
    def last_error(self) -> str | None:
        """What keeps the mapping from its work at present, in words; None while nothing does."""
        return self._errors.last

    @property
    def pollers(self) -> int:
        """Pollers that receive, or wait for a slot."""
        return len(self._pollers)

    def statistics(self) -> MappingStatistics:
        """Return the mapping as it is now."""
        return MappingStatistics(
            function=self.settings.function,
            queue=self.settings.queue,
            batches=len(self._runs),
            limit=self._scale.limit(self._clock()),
            received=self._messages["received"],
            deleted=self._messages["deleted"],
            kept=self._messages["kept"],
            filtered=self._messages["filtered"],
            last_error=self.last_error,
        )

    def uses(self, now: float) -> Iterable[LimitUse]:
        """Return `lambda.mapping_concurrency` of the function."""
        return self._scale.uses(now)

    # Polling

    async def _poll(self, *, extra: bool) -> None:
        """Receive batches and start their runs; an extra poller ends once a whole poll has brought nothing."""
        if not extra:
            await self._check_visibility_timeout()
        seconds = min(_EXTRA_POLL_SECONDS, self.settings.poll_seconds) if extra else self.settings.poll_seconds
        buffer = BatchBuffer(self.settings.batch_size, self.settings.window)
        while not extra or buffer or self._has_capacity():
            # The slot comes first: messages that were received without one would wait for it here, while their
            # visibility timeout runs out.
            await self._acquire_slot()
            try:
                await self._fill(buffer, seconds)
            finally:
                self._receiving -= 1
                self._slot_released.set()
            if buffer and self._scale.limit(self._clock()) < 1:
                await self._return(buffer.take_all())  # the last host of a joined function has left meanwhile
            if buffer:
                self._start_run(buffer)
            elif extra:
                return

    async def _check_visibility_timeout(self) -> None:
        """Wait until a function's run ends before its messages are visible again: else Lambda refuses the mapping."""
        backoff = Backoff(0.2, 5.0)
        while True:
            try:
                seconds = await self._queue.visibility_timeout()
            except QueueError as error:
                self._errors.add_failed_call(error)
            else:
                if seconds >= self.settings.function_timeout:
                    self._errors.clear("visibility")
                    self._visibility_timeout = seconds
                    return
                self._errors.add_invalid_queue(
                    f"Queue visibility timeout: {seconds} seconds is less than Function timeout: "
                    f"{self.settings.function_timeout:.0f} seconds. Nothing is received until it is longer"
                )
            await self._sleep(backoff.next())

    def _start_poller(self, *, extra: bool = False) -> None:
        poller = asyncio.create_task(self._poll(extra=extra))
        self._pollers.add(poller)
        poller.add_done_callback(self._poller_ended)

    def _poller_ended(self, poller: asyncio.Task[None]) -> None:
        self._pollers.discard(poller)
        if not poller.cancelled() and (error := poller.exception()):
            self._errors.add_fault(error)

    # Slots: the batches that may be at work, those being received included

    def _has_capacity(self) -> bool:
        return len(self._runs) + self._receiving < self._scale.limit(self._clock())

    async def _acquire_slot(self) -> None:
        since = self._clock()
        if not self._has_capacity():
            self._scale.blocked(since)
        while not self._has_capacity():
            if self._scale.limit(self._clock()) < 1 and self._clock() - since >= _HOST_SECONDS:
                # To receive all the same would bring messages nearer to the dead-letter queue with each receive.
                self._errors.add_missing_host()
            self._slot_released.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(_CAPACITY_CHECK_SECONDS):
                    await self._slot_released.wait()
        self._errors.clear("capacity")
        self._receiving += 1

    # Receiving

    async def _fill(self, buffer: BatchBuffer, seconds: int) -> None:
        """Receive until the batch is due, or until a whole poll of so many seconds has brought nothing."""
        full = False
        while (remaining := buffer.remaining(self._clock())) > 0:
            wait = int(min(seconds, remaining))
            missing = buffer.missing()
            calls = min(ceil(missing / MAX_PER_CALL), self.settings.max_receivers) if full else 1
            try:
                if calls == 1:
                    full = await self._receive(buffer, min(missing, MAX_PER_CALL), wait)
                else:
                    counts = [min(MAX_PER_CALL, missing - call * MAX_PER_CALL) for call in range(calls)]
                    wait = min(wait, _EXTRA_POLL_SECONDS)
                    receiving = (self._receive(buffer, count, wait) for count in counts)
                    # Errors are raised when all have ended: what the others bring is in the buffer then.
                    outcomes = await asyncio.gather(*receiving, return_exceptions=True)
                    for failed in outcomes:
                        if isinstance(failed, BaseException):
                            raise failed
                    full = all(outcomes)
            except QueueError as error:
                self._errors.add_failed_call(error)
                await self._sleep(self._backoff.next())
                continue
            if not (wait or full):
                await self._sleep(min(remaining, _SHORT_POLL_PAUSE))
            self._errors.clear("receive")
            self._backoff.reset()
            if not buffer:
                return

    async def _receive(self, buffer: BatchBuffer, count: int, wait: int) -> bool:
        """Make one receive call for up to `count` messages; tell whether it came back full."""
        while (pause := self._scale.pause(self._clock())) > 0:
            await self._sleep(pause)
        if self.settings.finish_polls:
            messages = await self._receive_to_the_end(buffer, count, wait)
        else:
            messages = await self._queue.receive(count, wait)
        size = sum(len(message.record) for message in messages)
        self._scale.received(self._clock(), messages=len(messages), wanted=count, size=size)
        self._count("received", len(messages))
        full = len(messages) >= count
        # More messages wait, so an extra poller joins; not for large batches: `_fill` makes several calls for each.
        may_join = len(self._pollers) < self.settings.max_receivers and self.settings.batch_size <= MAX_PER_CALL
        if full and may_join and not self._stopping and self._has_capacity():
            self._start_poller(extra=True)
        buffer.add(await self._filter(messages) if self._filters else messages)
        return full

    async def _receive_to_the_end(self, buffer: BatchBuffer, count: int, wait: int) -> list[SqsMessage]:
        """Receive; where polling stops meanwhile, return what the call brings, and what waits for its batch."""
        call = asyncio.ensure_future(self._queue.receive(count, wait))
        try:
            return await asyncio.shield(call)
        except asyncio.CancelledError:
            late: list[SqsMessage] = []
            try:
                late = await call
            except QueueError as error:
                self._errors.add_failed_call(error)
            await self._return([*buffer.take_all(), *late])
            raise

    async def _filter(self, messages: Sequence[SqsMessage]) -> list[SqsMessage]:
        """Return the messages that the filters let pass, and delete the others, as Lambda does."""
        passing: list[SqsMessage] = []
        filtered: list[SqsMessage] = []
        for message in messages:
            (passing if self._filters.match(message.body) else filtered).append(message)
        if filtered and await self._delete(filtered):
            self._count("filtered", len(filtered))
        return passing

    async def _return(self, messages: Sequence[SqsMessage]) -> None:
        """Make messages visible again that no function will see."""
        try:
            if messages:
                await self._queue.release(messages)
        except QueueError as error:
            self._errors.add_failed_call(error)

    # Running

    def _start_run(self, buffer: BatchBuffer) -> None:
        batches = [buffer.take()]
        # What 6 MB cut off a FIFO batch runs after it, so that no message overtakes another of its group.
        while self.settings.fifo and buffer:
            batches.append(buffer.take())
        run = asyncio.create_task(self._run(batches))
        self._runs.add(run)
        self._scale.started()
        run.add_done_callback(self._run_ended)

    def _run_ended(self, run: asyncio.Task[None]) -> None:
        self._runs.discard(run)
        self._scale.finished()
        self._slot_released.set()
        if not run.cancelled() and (error := run.exception()):
            _log.error("batch_crashed", function=self.settings.function, exc_info=error)

    async def _run(self, batches: Sequence[list[SqsMessage]]) -> None:
        """Have the function work on batches, one after the other, and delete what it has done."""
        function = self.settings.function
        failed_groups: set[str | None] = set()
        for received in batches:
            # The first message of a group must be done before its later ones: they come again with it.
            batch = [m for m in received if m.group not in failed_groups] if failed_groups else received
            self._count("kept", len(received) - len(batch))
            if not batch:
                continue
            found = await self._invoke(batch)
            if found.failure:
                _log.warning("batch_kept", function=function, reason=found.failure, messages=len(batch))
            result = "failed" if found.failure else "partial" if found.keep else "success"
            self._metrics.batches.labels(function, result).inc()
            self._count("kept", len(found.keep))
            done = [m for m in batch if m.message_id in found.delete] if found.keep else batch
            if done and await self._delete(done):
                self._count("deleted", len(done))
            failed_groups |= {m.group for m in batch if m.message_id in found.keep}

    async def _invoke(self, batch: list[SqsMessage]) -> BatchOutcome:
        """Invoke the function, again while it is throttled; return which messages are done."""
        ids = [message.message_id for message in batch]
        event = event_of(batch)
        backoff = Backoff(0.2, 10.0)
        visible_at = batch[0].received_at + self._visibility_timeout
        while True:
            try:
                result = await self._invoker.invoke(self.settings.function, event)
            except Throttled:
                self._scale.invocation_ended(self._clock(), InvocationOutcome.THROTTLED)
            except InvokeError as error:  # such as one message that alone is more than 6 MB
                return BatchOutcome(frozenset(), frozenset(ids), error.message)
            else:
                failed = result.function_error is not None
                ended = InvocationOutcome.FUNCTION_ERROR if failed else InvocationOutcome.SUCCESS
                self._scale.invocation_ended(self._clock(), ended)
                return batch_outcome(ids, result, reports_failures=self.settings.reports_failures)
            pause = backoff.next()
            if self._clock() + pause >= visible_at:  # others receive its messages then, so this copy is dropped
                return BatchOutcome(frozenset(), frozenset(ids), "throttled")
            await self._sleep(pause)

    async def _delete(self, messages: Sequence[SqsMessage]) -> bool:
        try:
            await self._queue.delete(messages)
        except QueueError as error:
            self._errors.add_failed_call(error)
            return False
        self._errors.clear("delete")
        return True

    def _count(self, state: str, messages: int) -> None:
        if messages:
            self._messages[state] += messages
            self._metrics.messages.labels(self.settings.function, state).inc(messages)
