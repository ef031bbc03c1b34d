"""The batch runner: bounded, within its time, and only what is not done goes back."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import pytest

from workers.batch import BatchResult, Message, TimeBudget, run_batch


class Clock:
    """A clock that only moves when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Seconds, as time.monotonic gives them."""
        return self.now


def messages(count: int) -> list[Message]:
    """`count` messages m0, m1, …"""
    return [Message(id=f"m{n}", body="", receive_count=1, sent_at=datetime.now(UTC)) for n in range(count)]


async def run(
    work: Callable[[Message], Awaitable[None]], count: int, *, at_once: int = 10, budget: TimeBudget | None = None
) -> BatchResult:
    """Run `count` messages, with a minute's time unless a budget is given."""
    budget = budget or TimeBudget.of_remaining(60)
    return await run_batch(messages(count), work, at_once=at_once, budget=budget, function="test")


async def test_only_failed_messages_go_back() -> None:
    """A message whose work raises is returned; its neighbours are done."""

    async def work(message: Message) -> None:
        if message.id in ("m1", "m3"):
            raise ConnectionError("gone")

    result = await run(work, 5)

    assert result.response() == {"batchItemFailures": [{"itemIdentifier": "m1"}, {"itemIdentifier": "m3"}]}
    assert (result.statistics.done, result.statistics.failed) == (3, 2)


async def test_all_done_returns_an_empty_list() -> None:
    """Complete success is an empty list, which Lambda takes as delete all."""

    async def work(message: Message) -> None:
        return None

    assert (await run(work, 3)).response() == {"batchItemFailures": []}
    assert (await run(work, 0)).response() == {"batchItemFailures": []}


async def test_never_more_than_at_once() -> None:
    """With room for three, the fourth waits; and three do run together."""
    running, most = 0, 0
    three_run = asyncio.Event()

    async def work(message: Message) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        if running == 3:
            three_run.set()
        await three_run.wait()
        await asyncio.sleep(0)
        running -= 1

    result = await run(work, 9, at_once=3)

    assert (most, result.statistics.done) == (3, 9)


async def test_what_could_not_start_in_time_goes_back_untouched() -> None:
    """When the start of the next message would be too late, it is returned without having been started."""
    clock = Clock()
    started: list[str] = []

    async def work(message: Message) -> None:
        started.append(message.id)
        clock.now += 25

    result = await run(work, 5, at_once=1, budget=TimeBudget.of_remaining(60, clock=clock))

    assert started == ["m0", "m1"]
    assert result.returned == ("m2", "m3", "m4")
    assert result.statistics.not_started == 3


async def test_the_end_of_the_budget_cancels_what_runs() -> None:
    """A message that hangs is cancelled at the end of the budget and returned; the others keep their success."""
    cancelled: list[str] = []

    async def work(message: Message) -> None:
        if message.id != "m1":
            return
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(message.id)
            raise

    budget = TimeBudget(start_until=math.inf, end_at=time.monotonic() + 1)
    result = await asyncio.wait_for(run(work, 3, budget=budget), timeout=30)

    assert (cancelled, result.returned, result.statistics.cut_off) == (["m1"], ("m1",), 1)


async def test_only_what_lacked_time_is_late() -> None:
    """What was cut off or not started may be given back; what failed waits for its visibility timeout."""
    clock = Clock()

    async def work(message: Message) -> None:
        if message.id == "m0":
            raise ConnectionError("gone")
        if message.id == "m1":
            clock.now += 100
            await asyncio.Event().wait()

    budget = TimeBudget(start_until=clock.now + 50, end_at=clock.now + 1, clock=clock)
    result = await asyncio.wait_for(run_batch(messages(4), work, at_once=2, budget=budget, function="test"), timeout=30)

    assert [message.id for message in result.late] == ["m1", "m2", "m3"]
    assert result.returned == ("m0", "m1", "m2", "m3")


def test_a_record_brings_its_receipt_and_queue() -> None:
    """Both are needed to give a message back; an event that S3 sends itself has neither."""
    record = {
        "messageId": "m", "body": "", "receiptHandle": "handle", "eventSourceARN": "arn:aws:sqs:eu-west-1:1:q",
        "attributes": {"ApproximateReceiveCount": "2", "SentTimestamp": "1000"},
    }  # fmt: skip
    message = Message.of_record(record)
    assert (message.receipt, message.queue_arn, message.receive_count) == ("handle", "arn:aws:sqs:eu-west-1:1:q", 2)
    assert Message("m", "", 1, datetime.now(UTC)).receipt == ""


async def test_cancelling_the_run_cancels_its_messages() -> None:
    """When the runtime cancels the handler at its deadline, nothing of the batch keeps running behind it."""
    started, stopped = asyncio.Event(), asyncio.Event()

    async def work(message: Message) -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    task = asyncio.create_task(run(work, 1))
    await started.wait()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, timeout=30)
    assert stopped.is_set()


def test_a_short_invocation_still_starts_its_messages() -> None:
    """The reserves shrink with the invocation, so that a 6 second function is not out of time at once."""
    clock = Clock()
    budget = TimeBudget.of_remaining(6, clock=clock)

    assert budget.may_start()
    clock.now += 4.1
    assert not budget.may_start()
    assert budget.left() == pytest.approx(1.3)


def test_a_record_becomes_a_message() -> None:
    """The fields of Lambda's SQS record are taken over, the times as UTC."""
    record = {
        "messageId": "id-1",
        "body": "text",
        "attributes": {"ApproximateReceiveCount": "3", "SentTimestamp": "1500000000123"},
    }

    message = Message.of_record(record)

    assert (message.id, message.body, message.receive_count) == ("id-1", "text", 3)
    assert message.sent_at == datetime(2017, 7, 14, 2, 40, 0, 123000, UTC)
