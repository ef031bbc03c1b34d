"""The batch runner: bounded, within its time, and only what is not done goes back."""

from __future__ import annotations

import asyncio
import contextlib
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
    running, peak = 0, 0
    three_run = asyncio.Event()

    async def work(message: Message) -> None:
        nonlocal running, peak
        running += 1
        peak = max(peak, running)
        if running == 3:
            three_run.set()
        await three_run.wait()
        await asyncio.sleep(0)
        running -= 1

    result = await run(work, 9, at_once=3)

    assert (peak, result.statistics.done) == (3, 9)


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


FIFO = "arn:aws:sqs:eu-west-1:1:q.fifo"
# What is received (group and number), what fails, and what goes back, in this order.
GROUPS = [
    pytest.param(FIFO, "a1 a2 a3", "a1", "a1 a2 a3", id="the first of a group stops it"),
    pytest.param(FIFO, "a1 b1 a2 b2 a3 b3", "a2 b3", "a2 a3 b3", id="other groups go on"),
    pytest.param(FIFO, "a1 a2 a3", "", "", id="all done"),
    pytest.param(FIFO, "a1 b1 a2 b2", "a1 b1", "a1 b1 a2 b2", id="in the batch's order, not by group"),
    pytest.param("arn:aws:sqs:eu-west-1:1:q", "a1 a2 a3", "a1", "a1", id="a standard queue's groups have no order"),
]


def in_groups(arn: str, names: str) -> list[Message]:
    """Return a message for each name, whose first letter is its group."""
    now = datetime.now(UTC)
    return [Message(name, "", 1, now, receipt=name, queue_arn=arn, group=name[0]) for name in names.split()]


@pytest.mark.parametrize(("arn", "received", "failing", "returned"), GROUPS)
async def test_a_fifo_group_stops_at_its_first_failure(arn: str, received: str, failing: str, returned: str) -> None:
    """AWS Lambda, "Implementing partial batch responses": the failed and all later messages of the group go back."""
    worked: list[str] = []

    async def work(message: Message) -> None:
        worked.append(message.id)
        await asyncio.sleep(0)
        if message.id in failing.split():
            raise ConnectionError("gone")

    budget = TimeBudget.of_remaining(60)
    result = await run_batch(in_groups(arn, received), work, at_once=10, budget=budget, function="test")

    assert " ".join(result.returned) == returned
    assert result.late == ()
    for group in "ab":
        of_group = [name for name in worked if name[0] == group]
        assert of_group == sorted(of_group)
    done, failed, blocked = result.statistics.done, result.statistics.failed, result.statistics.blocked
    assert (failed, done + failed + blocked) == (len(failing.split()), len(received.split()))
    assert len(worked) == done + failed


async def test_groups_are_worked_on_together_and_their_messages_are_not() -> None:
    """The second group runs while the first waits; within a group the next begins when the one before is done."""
    running: set[str] = set()
    together: set[frozenset[str]] = set()
    both = asyncio.Event()

    async def work(message: Message) -> None:
        running.add(message.id)
        together.add(frozenset(running))
        if len(running) == 2:
            both.set()
        await both.wait()
        running.discard(message.id)

    result = await asyncio.wait_for(
        run_batch(in_groups(FIFO, "a1 a2 b1 b2"), work, at_once=4, budget=TimeBudget.of_remaining(60), function="test"),
        timeout=30,
    )

    assert (result.returned, frozenset({"a1", "b1"}) in together) == ((), True)
    assert not any({"a1", "a2"} <= some or {"b1", "b2"} <= some for some in together)


async def test_a_fifo_group_that_lacks_time_goes_back_whole() -> None:
    """The message that is cut off and all behind it are late, and nothing of the group starts while it is cancelled."""
    started: list[str] = []

    async def work(message: Message) -> None:
        started.append(message.id)
        if message.id == "a2":
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
            raise TimeoutError

    budget = TimeBudget(start_until=math.inf, end_at=time.monotonic() + 0.2)
    run = run_batch(in_groups(FIFO, "a1 a2 a3 b1"), work, at_once=4, budget=budget, function="test")
    result = await asyncio.wait_for(run, timeout=30)

    assert (result.returned, sorted(started)) == (("a2", "a3"), ["a1", "a2", "b1"])


async def test_a_message_that_is_delivered_twice_is_done_twice() -> None:
    """A standard queue may give a message twice in one batch; each delivery has its own outcome."""
    now = datetime.now(UTC)
    twice = [Message("m", "", 1, now, receipt=receipt) for receipt in ("r1", "r2")]

    async def work(message: Message) -> None:
        if message.receipt == "r1":
            raise ConnectionError("gone")

    result = await run_batch(twice, work, at_once=2, budget=TimeBudget.of_remaining(60), function="test")

    assert (result.returned, result.statistics.done) == (("m",), 1)


def test_a_record_brings_its_receipt_and_queue() -> None:
    """Both are needed to give a message back; an event that S3 sends itself has neither."""
    record = {
        "messageId": "m", "body": "", "receiptHandle": "handle", "eventSourceARN": "arn:aws:sqs:eu-west-1:1:q",
        "attributes": {"ApproximateReceiveCount": "2", "SentTimestamp": "1000", "MessageGroupId": "g"},
    }  # fmt: skip
    message = Message.of_record(record)
    assert (message.receipt, message.queue_arn, message.receive_count) == ("handle", "arn:aws:sqs:eu-west-1:1:q", 2)
    assert (message.group, message.in_order) == ("g", False)
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
