"""The heartbeat: messages are hidden for a short time, for as long as somebody works on them, and no longer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from shoebox.config import VISIBILITY_SECONDS
from shoebox.stack.model import load_stack
from workers.batch import BatchResult, BatchStatistics, Message
from workers.heartbeat import Heartbeat, hidden_seconds

ROOT = Path(__file__).parents[2]
ARN = "arn:aws:sqs:eu-west-1:1:q"


class Queue:
    """A queue that notes the timeouts of its messages, with the second of its clock; `broken` it changes nothing."""

    def __init__(self, *, broken: bool = False) -> None:
        self.now = 0.0
        self.changes: list[tuple[float, dict[str, int]]] = []
        self.broken = broken
        self._sleeping = asyncio.Event()
        self._wake = asyncio.Event()

    async def change(self, queue_arn: str, timeouts: Mapping[str, int]) -> int:
        """SQS's answer comes later."""
        await asyncio.sleep(0)
        if self.broken:
            return 0
        self.changes.append((self.now, dict(timeouts)))
        return len(timeouts)

    async def sleep(self, seconds: float) -> None:
        """Until the test says that the time is over."""
        self._until = self.now + seconds
        self._sleeping.set()
        await self._wake.wait()
        self._wake.clear()

    async def next_beat(self) -> None:
        """Let the time pass until the heartbeat's next call is made."""
        await self._sleeping.wait()
        self._sleeping.clear()
        self.now = self._until
        self._wake.set()
        await self._sleeping.wait()

    def heartbeat(self, seconds: int = 20) -> Heartbeat:
        """Return a heartbeat for this queue."""
        return Heartbeat(self, seconds, "test", clock=lambda: self.now, sleep=self.sleep)


def message(receipt: str, receive_count: int = 1, arn: str = ARN) -> Message:
    """Return a message that was received so often."""
    return Message(receipt, "", receive_count, datetime.now(UTC), receipt=receipt, queue_arn=arn)


def result(*late: Message) -> BatchResult:
    """Return a batch whose `late` messages lacked time."""
    return BatchResult(tuple(m.id for m in late), BatchStatistics(0, 0, len(late), 0, 0, 0.0), late)


def work_until(done: asyncio.Event, *late: Message) -> Callable[[], Awaitable[BatchResult]]:
    """Work that ends when it is told to."""

    async def work() -> BatchResult:
        await done.wait()
        return result(*late)

    return work


# Receive count, seconds of the function's timeout: seconds that the message is hidden, from 20.
HIDDEN = [(1, 60, 20), (2, 60, 60), (3, 60, 180), (4, 60, 360), (5, 60, 360), (3, 30, 180), (4, 30, 180), (1, 2, 12)]


@pytest.mark.parametrize(("receive_count", "timeout", "seconds"), HIDDEN)
def test_each_receive_hides_for_longer_up_to_the_queues_own(receive_count: int, timeout: int, seconds: int) -> None:
    """A queue hides its messages for at least 6 × the function's timeout, so this is never longer."""
    assert hidden_seconds(20, receive_count, 6 * timeout) == seconds


@pytest.mark.parametrize(("function", "seconds"), [("ingest", 1700), ("cleanup", 980)])
def test_an_outage_of_minutes_makes_no_dead_letters(function: str, seconds: int) -> None:
    """A message that fails at once each time is received for the last time so long after the first, by stack.yaml."""
    stack = load_stack(ROOT / "stack.yaml")
    described = stack.functions[function]
    assert described.queue is not None
    receives = stack.queues[described.queue.name].max_receive_count
    assert sum(hidden_seconds(VISIBILITY_SECONDS, n, 6 * described.timeout) for n in range(1, receives)) == seconds


def test_hidden_times_grow_by_receive() -> None:
    """The fifth receive of an upload comes after more than ten minutes."""
    assert sum(hidden_seconds(20, n, 360) for n in range(1, 5)) == 620


async def test_messages_are_hidden_while_they_are_worked_on() -> None:
    """At the start, then when a third of their time is over; what was received before has more of it."""
    queue, done = Queue(), asyncio.Event()
    running = asyncio.create_task(
        queue.heartbeat(21).run([message("a"), message("b", 2)], work_until(done), seconds_left=60)
    )
    for _ in range(3):
        await queue.next_beat()
    done.set()
    await running

    assert queue.changes == [(0, {"a": 21, "b": 63}), (7, {"a": 21}), (14, {"a": 21}), (21, {"a": 21, "b": 63})]


async def test_a_short_batch_costs_one_call() -> None:
    """Ten messages that are done within seconds."""
    queue, done = Queue(), asyncio.Event()
    done.set()
    await queue.heartbeat().run([message(f"m{n}") for n in range(10)], work_until(done), seconds_left=60)
    assert [(at, len(changed)) for at, changed in queue.changes] == [(0, 10)]


async def test_nothing_is_renewed_after_the_invocations_end() -> None:
    """Work that does not end when it is cancelled must not keep its messages from others."""
    queue, done = Queue(), asyncio.Event()
    running = asyncio.create_task(queue.heartbeat(21).run([message("a")], work_until(done), seconds_left=10))
    await queue._sleeping.wait()
    queue.now = 7
    queue._wake.set()
    for _ in range(20):
        await asyncio.sleep(0)
    assert [at for at, _ in queue.changes] == [0, 7]  # 14 is after the end
    done.set()
    await running


@pytest.mark.parametrize("end", ["fails", "is cancelled"])
async def test_when_the_work_ends_early_the_heartbeat_stops(end: str) -> None:
    """Nothing is given back: what was not done comes after the seconds that it is hidden for."""
    queue, begun = Queue(), asyncio.Event()

    async def work() -> BatchResult:
        begun.set()
        if end == "fails":
            raise ConnectionError("gone")
        await asyncio.Event().wait()
        raise AssertionError

    running = asyncio.create_task(queue.heartbeat().run([message("a")], work, seconds_left=60))
    await begun.wait()
    if end == "is cancelled":
        running.cancel()
    with pytest.raises(ConnectionError if end == "fails" else asyncio.CancelledError):
        await running

    assert queue.changes == [(0, {"a": 20})]
    others = asyncio.all_tasks() - {asyncio.current_task()}
    assert not others


async def test_what_only_lacked_time_is_given_back_at_once() -> None:
    """After the work, which has the last word on what is told to others before."""
    queue, done, late = Queue(), asyncio.Event(), message("late")
    done.set()
    await queue.heartbeat().run([message("a"), late], work_until(done, late), seconds_left=60)
    assert queue.changes[-1][1] == {"late": 0}


async def test_switched_off_only_what_lacked_time_is_given_back() -> None:
    """0 seconds: the queue's own visibility timeout counts."""
    queue, done, late = Queue(), asyncio.Event(), message("late")
    done.set()
    await queue.heartbeat(0).run([message("a"), late], work_until(done, late), seconds_left=60)
    assert queue.changes == [(0, {"late": 0})]


async def test_messages_of_several_queues_are_hidden_in_each() -> None:
    """The record says which queue a message is from; what is from none is left alone."""
    queue, done = Queue(), asyncio.Event()
    done.set()
    messages = [message("a"), message("b", arn=f"{ARN}.fifo"), message("", arn="")]
    await queue.heartbeat().run(messages, work_until(done), seconds_left=60)
    assert [changed for _, changed in queue.changes] == [{"a": 20}, {"b": 20}]


async def test_a_queue_that_does_not_answer_delays_no_batch() -> None:
    """The last calls are cut off before the invocation's time is over, and nothing of them is left."""
    queue, done, late = Queue(), asyncio.Event(), message("late")
    done.set()
    cut_off: list[Mapping[str, int]] = []

    async def change(queue_arn: str, timeouts: Mapping[str, int]) -> int:
        try:
            await asyncio.Event().wait()
        finally:
            cut_off.append(timeouts)
        return 0

    queue.change = change  # type: ignore[method-assign]
    async with asyncio.timeout(1):
        found = await queue.heartbeat().run([late], work_until(done, late), seconds_left=0.02)
    assert found.returned == ("late",)
    assert cut_off == [{"late": 1}, {"late": 0}]
    assert not asyncio.all_tasks() - {asyncio.current_task()}


async def test_a_queue_that_refuses_fails_no_batch() -> None:
    """Without the permission, say: the batch's result is what counts."""
    queue, done, late = Queue(broken=True), asyncio.Event(), message("late")
    done.set()
    found = await queue.heartbeat().run([late], work_until(done, late), seconds_left=60)
    assert found.returned == ("late",)
