"""One SQS batch as one bounded run: so many messages at once, until the time budget is spent; only failed ids go back.

The rules of the response: AWS Lambda, "Implementing partial batch responses". A message is done only when its work
returned; whatever failed, was cut off or never started is reported. SQS shows it again after its visibility timeout;
what only lacked time (`BatchResult.late`) can be given back at once (`workers.heartbeat`).

FIFO queues: the messages of a group are worked on one after the other, in their order, and other groups meanwhile.
After the first of a group that is not done the later ones are blocked: they go back untouched, as that page asks for.

asyncio-pool bounds the run. Its `async with` waits for its tasks even when cancelled, so `run_batch` never uses that
and cancels the pool itself.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, get_args

from asyncio_pool import AioPool

from shoebox.metrics import BATCH_MESSAGES
from shoebox.telemetry import get_logger, log_context

_log = get_logger()


@dataclass(frozen=True, slots=True)
class Message:
    """A record of an SQS event; `receive_count` is 1 at the first delivery.

    `receipt` and `queue_arn` are empty for what did not come from a queue. `group` is the MessageGroupId, which
    messages of standard queues may have, too ("Amazon SQS fair queues").
    """

    id: str
    body: str
    receive_count: int
    sent_at: datetime
    receipt: str = ""
    queue_arn: str = ""
    group: str = ""

    @property
    def in_order(self) -> bool:
        """Whether it must not overtake others of its group: it is from a FIFO queue."""
        return self.queue_arn.endswith(".fifo")

    @classmethod
    def of_record(cls, record: Mapping[str, Any]) -> Message:
        """Return the message of a record, as Lambda's event source mapping makes it."""
        attributes = record.get("attributes", {})
        return cls(
            id=record["messageId"],
            body=record["body"],
            receive_count=int(attributes.get("ApproximateReceiveCount", 1)),
            sent_at=datetime.fromtimestamp(int(attributes.get("SentTimestamp", 0)) / 1000, UTC),
            receipt=record.get("receiptHandle", ""),
            queue_arn=record.get("eventSourceARN", ""),
            group=attributes.get("MessageGroupId", ""),
        )


@dataclass(frozen=True, slots=True)
class TimeBudget:
    """How long a batch may take, in seconds by `clock`: nothing starts after `start_until`, all ends at `end_at`."""

    start_until: float
    end_at: float
    clock: Callable[[], float] = time.monotonic

    @classmethod
    def of_remaining(
        cls, seconds: float, *, to_start: float = 10.0, to_end: float = 2.0, clock: Callable[[], float] = time.monotonic
    ) -> TimeBudget:
        """Return the budget of an invocation with `seconds` left.

        A message needs `to_start` seconds to be worth starting, the response `to_end` seconds to be sent; of
        a short invocation they take a third and a tenth at most.
        """
        now = clock()
        return cls(
            start_until=now + seconds - min(to_start, seconds / 3),
            end_at=now + seconds - min(to_end, seconds / 10),
            clock=clock,
        )

    def may_start(self) -> bool:
        """Whether there is time to start another message."""
        return self.clock() < self.start_until

    def left(self) -> float:
        """Seconds until everything must have ended; never negative."""
        return max(0.0, self.end_at - self.clock())


@dataclass(frozen=True, slots=True)
class BatchStatistics:
    """How a batch went: message counts and seconds. `blocked`: an earlier message of their FIFO group was not done."""

    done: int
    failed: int
    cut_off: int
    not_started: int
    blocked: int
    seconds: float


@dataclass(frozen=True, slots=True)
class BatchResult:
    """Ids of the messages that go back to the queue, in the batch's order, and the statistics.

    `late` are those messages of them that the budget has cut off or not let start.
    """

    returned: tuple[str, ...]
    statistics: BatchStatistics
    late: tuple[Message, ...] = ()

    def response(self) -> dict[str, Any]:
        """Return the handler's response: a partial batch response."""
        return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in self.returned]}


Outcome = Literal["done", "failed", "cut_off", "not_started", "blocked"]


async def run_batch(
    messages: Sequence[Message],
    work: Callable[[Message], Awaitable[None]],
    *,
    at_once: int,
    budget: TimeBudget,
    function: str,
) -> BatchResult:
    """Run `work` on each message, at most `at_once` together; `function` names the worker in logs and metrics.

    `work` returns when its message is done for good and raises when it should come again.
    """
    began = budget.clock()
    pool = AioPool(size=at_once)
    outcomes: list[Outcome] = ["not_started"] * len(messages)
    over = False

    async def in_turn(line: Sequence[int]) -> None:
        """Work on messages one after the other; the first that raises ends it."""
        for index in line:
            if over or not budget.may_start():
                return
            outcomes[index] = "cut_off"  # until it ends
            with log_context(message_id=messages[index].id, receive_count=messages[index].receive_count):
                await work(messages[index])
            outcomes[index] = "done"

    # Messages that must keep their order share a line; each other message has one of its own.
    lines: dict[object, list[int]] = {}
    for index, message in enumerate(messages):
        lines.setdefault((message.queue_arn, message.group) if message.in_order else index, []).append(index)
    runs = [(line, pool.spawn_n(in_turn(line))) for line in lines.values()]
    try:
        if runs:
            await asyncio.wait([future for _, future in runs], timeout=budget.left())
    finally:
        over = True  # a work that swallows its cancellation must not go on with the next message
        await pool.cancel()
    for line, future in runs:
        error = asyncio.CancelledError() if future.cancelled() else future.exception()
        if error and not isinstance(error, asyncio.CancelledError):  # asyncio-pool has both for what it cancelled
            _note_failure(line, messages, outcomes, error)
    for message, outcome in zip(messages, outcomes, strict=True):
        BATCH_MESSAGES.labels(function, outcome).inc()
        if outcome == "cut_off":
            _log.warning("message_cut_off", message_id=message.id)
    ended = list(zip(messages, outcomes, strict=True))
    return BatchResult(
        returned=tuple(message.id for message, outcome in ended if outcome != "done"),
        statistics=BatchStatistics(
            **{outcome: outcomes.count(outcome) for outcome in get_args(Outcome)}, seconds=budget.clock() - began
        ),
        late=tuple(message for message, outcome in ended if outcome in ("cut_off", "not_started")),
    )


def _note_failure(
    line: Sequence[int], messages: Sequence[Message], outcomes: list[Outcome], error: BaseException
) -> None:
    """Note that the message of the line that was at work has failed, and that those after it are blocked."""
    for index in line:
        if outcomes[index] == "cut_off":
            outcomes[index] = "failed"
            message_id = messages[index].id
            _log.error("message_failed", message_id=message_id, error=type(error).__name__, exc_info=error)
        elif outcomes[index] == "not_started":
            outcomes[index] = "blocked"
