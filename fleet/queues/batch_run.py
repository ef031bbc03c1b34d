"""A batch from its invocation to the fate of each message.

Source: AWS Lambda, "Handling errors for an SQS event source in Lambda": what a function failed is left to its
visibility timeout; what was throttled is tried again, with back-off, until that timeout passes, and then dropped here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from fleet.environments.invocation import InvokeResult
from fleet.errors import InvokeError, Throttled
from fleet.limits.event_source import InvocationOutcome, Scale
from fleet.metrics import Metrics
from fleet.queues.batch_outcome import Outcome, outcome
from fleet.queues.mapping_settings import Fates, MappingSettings
from fleet.queues.polling import Backoff
from fleet.queues.source_queue import QueueError, SourceQueue
from fleet.queues.sqs_event import SqsMessage, event_of
from fleet.queues.troubles import Troubles
from shoebox.telemetry import get_logger

_log = get_logger(action="fleet.event_source")

Invoke = Callable[[bytes], Awaitable[InvokeResult]]


class BatchRuns:
    """Runs a mapping's batches; `visibility` is the queue's, in seconds."""

    def __init__(
        self,
        settings: MappingSettings,
        *,
        queue: SourceQueue,
        invoke: Invoke,
        scale: Scale,
        metrics: Metrics,
        troubles: Troubles,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self.fates = Fates()
        self.visibility = settings.visibility_timeout
        self._settings = settings
        self._queue = queue
        self._invoke = invoke
        self._scale = scale
        self._metrics = metrics
        self._troubles = troubles
        self._clock = clock
        self._sleep = sleep

    async def run(self, batches: Sequence[list[SqsMessage]]) -> None:
        """Batches one after the other.

        There are several only of a FIFO queue, where one receive was more than 6 MB: of a group that failed, the later
        messages are dropped here, since its first must be done before them.
        """
        failed_groups: set[str | None] = set()
        for batch in batches:
            rest = [message for message in batch if message.group not in failed_groups] if failed_groups else batch
            self._keep(len(batch) - len(rest))
            if rest:
                kept = await self._run(rest)
                failed_groups |= {message.group for message in rest if message.message_id in kept}

    async def _run(self, batch: list[SqsMessage]) -> frozenset[str]:
        """The ids of the messages that were not done."""
        fate = await self._fate(batch)
        if fate.failure:
            _log.warning("batch kept", function=self._settings.function, reason=fate.failure, messages=len(batch))
        self._metrics.batches.labels(self._settings.function, _word(fate)).inc()
        self._keep(len(fate.keep))
        done = batch if not fate.keep else [message for message in batch if message.message_id in fate.delete]
        if await self._delete(done):
            self.fates.deleted += len(done)
            self.count("deleted", len(done))
        return fate.keep

    async def _fate(self, batch: list[SqsMessage]) -> Outcome:
        ids = [message.message_id for message in batch]
        try:
            result = await self._invoke_patiently(batch)
        except InvokeError as error:  # such as one message that alone is more than 6 MB
            return Outcome(frozenset(), frozenset(ids), error.message)
        if result is None:
            return Outcome(frozenset(), frozenset(ids), "throttled")
        return outcome(ids, result, partial=self._settings.partial)

    async def _invoke_patiently(self, batch: list[SqsMessage]) -> InvokeResult | None:
        """Try until the messages are about to be visible again; None: the function was throttled all that time."""
        backoff = Backoff(0.2, 10.0)
        end = batch[0].received_at + self.visibility
        event = event_of(batch)
        while True:
            try:
                result = await self._invoke(event)
            except Throttled:
                self._scale.ended(self._clock(), InvocationOutcome.THROTTLED)
            else:
                failed = result.function_error is not None
                self._scale.ended(
                    self._clock(), InvocationOutcome.FUNCTION_ERROR if failed else InvocationOutcome.SUCCESS
                )
                return result
            delay = backoff.next()
            if self._clock() + delay >= end:
                return None
            await self._sleep(delay)

    async def filter_out(self, messages: Sequence[SqsMessage]) -> None:
        """Delete what no filter lets pass."""
        if await self._delete(messages):
            self.fates.filtered += len(messages)
            self.count("filtered", len(messages))

    async def _delete(self, messages: Sequence[SqsMessage]) -> bool:
        if not messages:
            return False
        try:
            await self._queue.delete(messages)
        except QueueError as error:
            self._troubles.note(error)
            return False
        self._troubles.well("delete")
        return True

    def _keep(self, messages: int) -> None:
        self.fates.kept += messages
        self.count("kept", messages)

    def count(self, fate: str, messages: int) -> None:
        """So many more messages have met this fate."""
        if messages:
            self._metrics.messages.labels(self._settings.function, fate).inc(messages)


def _word(fate: Outcome) -> str:
    if fate.failure:
        return "failed"
    return "partial" if fate.keep else "success"
