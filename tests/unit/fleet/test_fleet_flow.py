"""A queue as its mappings see it go by: the oldest message's age, and what came again."""

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from fleet.queues.flow import LOST, Flow
from fleet.queues.observed_queue import ObservedQueue
from fleet.queues.sqs_event import SqsMessage, message_of

VISIBILITY = 30.0


def message(name: str, sent_at: float, times: int = 1) -> SqsMessage:
    """A received message."""
    return SqsMessage(name, "h" + name, b"{}", 0.0, sent_at=sent_at, receive_count=times)


def backlog(flow: Flow) -> None:
    """Sent at 100, 101 and later; the first two are in flight, eight wait."""
    flow.looked(99, 0, 0)
    flow.received(110, [message("a", 100), message("b", 101)], VISIBILITY)
    flow.looked(111, 8, 2)


def worked_off(flow: Flow) -> None:
    """As a backlog of which all that was in flight is done."""
    backlog(flow)
    flow.gone([message("a", 100), message("b", 101)])


def emptied(flow: Flow) -> None:
    """As a backlog, and then all is gone."""
    worked_off(flow)
    flow.looked(119, 0, 0)


def deleted_by_others(flow: Flow) -> None:
    """What was in flight is gone from the queue, and nobody told."""
    backlog(flow)
    flow.looked(119, 0, 0)


def never_received(flow: Flow) -> None:
    """Seen empty, then with messages that nobody takes: a dead-letter queue."""
    flow.looked(99, 0, 0)
    flow.looked(100, 3, 0)


def never_empty(flow: Flow) -> None:
    """Full when it is first seen."""
    flow.looked(119, 3, 0)


def long_unseen(flow: Flow) -> None:
    """Nobody looked for longer than what was known holds."""
    flow.looked(119 - LOST - 1, 0, 0)
    flow.looked(119, 3, 0)


def failed_once(flow: Flow) -> None:
    """A message that its function failed comes again; meanwhile younger ones are done."""
    flow.looked(99, 0, 0)
    flow.received(100, [message("a", 100)], VISIBILITY)
    flow.received(115, [message("b", 114)], VISIBILITY)
    flow.gone([message("b", 114)])
    flow.looked(116, 1, 0)


def dead(flow: Flow) -> None:
    """A message at its last try, whose visibility timeout has passed: SQS has moved it."""
    flow.looked(79, 0, 0)
    flow.received(80, [message("a", 80, times=3)], VISIBILITY)
    flow.looked(119, 0, 1)


def not_dead_yet(flow: Flow) -> None:
    """The same while it is hidden."""
    flow.looked(99, 0, 0)
    flow.received(100, [message("a", 80, times=3)], VISIBILITY)


AGES = [
    (backlog, 20.0, "the oldest in flight counts, and is the oldest of all"),
    (worked_off, 19.0, "what waits was sent after the newest that was received"),
    (emptied, 0.0, "an empty queue has no age"),
    (deleted_by_others, 0.0, "an empty queue has nothing in flight"),
    (never_received, 21.0, "since it was last seen empty"),
    (never_empty, None, "nobody knows since when"),
    (long_unseen, None, "what was known is too old"),
    (failed_once, 20.0, "a message that waits for its next try"),
    (dead, 0.0, "a dead letter is not in the queue"),
    (not_dead_yet, 40.0, "a message at its last try"),
    (lambda _: None, 0.0, "nothing was seen"),
]


@pytest.mark.parametrize(("happens", "age"), [pytest.param(*values, id=name) for *values, name in AGES])
def test_the_oldest_messages_age(happens: Callable[[Flow], None], age: float | None):
    """At 120: `ApproximateAgeOfOldestMessage` counts what is not deleted, in flight or waiting."""
    flow = Flow(receives=3)
    happens(flow)
    assert flow.oldest(120) == age


def test_what_comes_again_is_counted():
    """By SQS's own count: a message is new to a fleet that was started anew, and yet comes again."""
    flow = Flow()
    flow.received(0, [message("a", 0), message("b", 0, times=2)], VISIBILITY)
    flow.received(9, [message("a", 0, times=2)], VISIBILITY)
    assert flow.received_again == 2


@pytest.mark.parametrize(
    ("attributes", "sent_at", "count"),
    [
        pytest.param({"SentTimestamp": "1700000000500", "ApproximateReceiveCount": "4"}, 1_700_000_000.5, 4, id="told"),
        pytest.param({}, 0.0, 1, id="not told"),
    ],
)
def test_a_message_knows_when_it_was_sent(attributes: dict[str, str], sent_at: float, count: int):
    """Amazon SQS, "ReceiveMessage": milliseconds since the epoch, and how often it was received."""
    received = {"MessageId": "m", "ReceiptHandle": "h", "Body": "b", "MD5OfBody": "5", "Attributes": attributes}
    made = message_of(received, queue_arn="arn", region="eu-west-1", now=1.0)
    assert (made.sent_at, made.receive_count) == (sent_at, count)


@dataclass
class FakeQueue:
    """Gives what it holds, and remembers what was done."""

    holds: list[SqsMessage] = field(default_factory=list)
    done: list[tuple[str, int]] = field(default_factory=list)

    async def receive(self, most: int, wait: int) -> list[SqsMessage]:
        """All that it holds."""
        return self.holds[:most]

    async def delete(self, messages: list[SqsMessage]) -> None:
        """Note it."""
        self.done.append(("delete", len(messages)))

    async def release(self, messages: list[SqsMessage]) -> None:
        """Note it."""
        self.done.append(("release", len(messages)))

    async def visibility_timeout(self) -> int:
        """Shorter than was described."""
        return 5


async def test_an_observed_queue_is_the_queue():
    """Every call goes on; what is received and deleted is told, what is released goes on waiting."""
    held, flow = FakeQueue([message("a", 10, times=2), message("b", 11, times=2)]), Flow(receives=2)
    queue = ObservedQueue(held, flow, VISIBILITY, clock=lambda: 20.0)
    assert await queue.visibility_timeout() == 5
    assert await queue.receive(10, 0) == held.holds
    assert (flow.oldest(20), flow.oldest(26)) == (10, 0), "hidden for the queue's own seconds, then dead"
    await queue.delete(held.holds[:1])
    await queue.release(held.holds[1:])
    assert flow.oldest(20) == 9
    assert held.done == [("delete", 1), ("release", 1)]


async def test_calls_are_counted_as_sqs_bills_them():
    """Empty receives too; ten entries are one call."""
    flow = Flow()
    queue = ObservedQueue(FakeQueue(), flow, VISIBILITY)
    for _ in range(3):
        await queue.receive(10, 0)
    await queue.delete([message(str(n), 0) for n in range(21)])
    await queue.release([message(str(n), 0) for n in range(10)])
    assert flow.calls == {"ReceiveMessage": 3, "DeleteMessageBatch": 3, "ChangeMessageVisibilityBatch": 1}
