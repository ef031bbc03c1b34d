"""What mappings can tell of a queue: the oldest message's age, and what came again."""

from collections.abc import Callable

import pytest

from fleet.queues.batches import SqsMessage, message_of
from fleet.queues.queue_monitor import MAX_GAP_SECONDS, QueueMonitor

VISIBILITY = 30.0


def message(name: str, sent_at: float, times: int = 1) -> SqsMessage:
    """Return a received message."""
    return SqsMessage(name, "h" + name, b"{}", 0.0, sent_at=sent_at, receive_count=times)


def backlog(monitor: QueueMonitor) -> None:
    """Send at 100, 101 and later; the first two are in flight, eight wait."""
    monitor.counted(99, 0, 0)
    monitor.received(110, [message("a", 100), message("b", 101)], VISIBILITY)
    monitor.counted(111, 8, 2)


def worked_off(monitor: QueueMonitor) -> None:
    """Make a backlog of which all that was in flight is done."""
    backlog(monitor)
    monitor.deleted([message("a", 100), message("b", 101)])


def emptied(monitor: QueueMonitor) -> None:
    """Make a backlog that is worked off."""
    worked_off(monitor)
    monitor.counted(119, 0, 0)


def deleted_by_others(monitor: QueueMonitor) -> None:
    """Delete what was in flight without telling."""
    backlog(monitor)
    monitor.counted(119, 0, 0)


def never_received(monitor: QueueMonitor) -> None:
    """See it empty, then with messages that nobody takes: a dead-letter queue."""
    monitor.counted(99, 0, 0)
    monitor.counted(100, 3, 0)


def never_empty(monitor: QueueMonitor) -> None:
    """See it full the first time."""
    monitor.counted(119, 3, 0)


def long_unseen(monitor: QueueMonitor) -> None:
    """Look after a time that is longer than what was known holds."""
    monitor.counted(119 - MAX_GAP_SECONDS - 1, 0, 0)
    monitor.counted(119, 3, 0)


def failed_once(monitor: QueueMonitor) -> None:
    """Have a message wait for its next try; meanwhile a younger one is done."""
    monitor.counted(99, 0, 0)
    monitor.received(100, [message("a", 100)], VISIBILITY)
    monitor.received(115, [message("b", 114)], VISIBILITY)
    monitor.deleted([message("b", 114)])
    monitor.counted(116, 1, 0)


def dead(monitor: QueueMonitor) -> None:
    """Receive a message for the last time; its visibility timeout has passed, and SQS has moved it."""
    monitor.counted(79, 0, 0)
    monitor.received(80, [message("a", 80, times=3)], VISIBILITY)
    monitor.counted(119, 0, 1)


def not_dead_yet(monitor: QueueMonitor) -> None:
    """Receive a message for the last time, which is still hidden."""
    monitor.counted(99, 0, 0)
    monitor.received(100, [message("a", 80, times=3)], VISIBILITY)


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
def test_the_oldest_messages_age(happens: Callable[[QueueMonitor], None], age: float | None):
    """At 120: `ApproximateAgeOfOldestMessage` counts what is not deleted, in flight or waiting."""
    monitor = QueueMonitor(max_receives=3)
    happens(monitor)
    assert monitor.oldest(120) == age


def test_what_comes_again_is_counted():
    """By SQS's own count: a message is new to a fleet that was started anew, and yet comes again."""
    monitor = QueueMonitor()
    monitor.received(0, [message("a", 0), message("b", 0, times=2)], VISIBILITY)
    monitor.received(9, [message("a", 0, times=2)], VISIBILITY)
    assert monitor.received_again == 2


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
