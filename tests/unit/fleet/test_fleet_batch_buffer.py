import orjson
from hypothesis import given
from hypothesis import strategies as st

from fleet.queues.batch_buffer import BatchBuffer
from fleet.queues.sqs_event import SqsMessage, event_of


def message(number: int = 0, size: int = 10, at: float = 0.0) -> SqsMessage:
    """A message whose record has this many bytes."""
    return SqsMessage(str(number), "handle", orjson.dumps("x" * (size - 2)), at)


def test_without_a_window_the_first_messages_are_due_at_once():
    """Whatever one receive call brought is a batch."""
    buffer = BatchBuffer(10, 0)
    assert buffer.remaining(0.0) == float("inf")
    buffer.add([message(1), message(2)])
    assert buffer.remaining(0.0) == 0
    assert [m.message_id for m in buffer.take()] == ["1", "2"]


def test_a_window_counts_from_the_first_message():
    """Later messages do not prolong it."""
    buffer = BatchBuffer(100, 5)
    buffer.add([message(1, at=10.0)])
    buffer.add([message(2, at=14.0)])
    assert buffer.remaining(14.0) == 1.0
    assert buffer.remaining(15.0) == 0


def test_a_full_batch_does_not_wait_for_its_window():
    """Size ends the wait."""
    buffer = BatchBuffer(2, 300)
    buffer.add([message(1), message(2)])
    assert buffer.remaining(0.0) == 0


def test_no_more_messages_are_asked_for_than_fit():
    """A batch takes what it lacks."""
    buffer = BatchBuffer(12, 5)
    assert buffer.lacking() == 12
    buffer.add([message(n) for n in range(10)])
    assert buffer.lacking() == 2


def test_six_megabytes_cut_a_batch_and_the_rest_begins_the_next():
    """Metadata count too: it is the event's JSON that is measured."""
    buffer = BatchBuffer(10, 60, most_bytes=100)
    buffer.add([message(1, 40), message(2, 40), message(3, 40)])
    assert buffer.remaining(0.0) == 0
    assert [m.message_id for m in buffer.take()] == ["1", "2"]
    assert [m.message_id for m in buffer.take()] == ["3"]


@given(sizes=st.lists(st.integers(2, 60), max_size=40), limit=st.integers(80, 200), size=st.integers(1, 12))
def test_batches_keep_every_bound_and_lose_nothing(sizes: list[int], limit: int, size: int):
    """Any stream of messages comes out whole and in order, in events within size and bytes."""
    buffer = BatchBuffer(size, 1, most_bytes=limit)
    buffer.add(message(number, length) for number, length in enumerate(sizes))
    out: list[str] = []
    while len(buffer):
        batch = buffer.take()
        assert 1 <= len(batch) <= size
        assert len(event_of(batch)) <= limit
        out += [m.message_id for m in batch]
    assert out == [str(number) for number in range(len(sizes))]


def test_a_message_that_is_too_large_alone_goes_alone():
    """Invoke refuses it, and it ends in the dead-letter queue; it must not hold up the others."""
    buffer = BatchBuffer(10, 0, most_bytes=100)
    buffer.add([message(1, 200), message(2, 40)])
    assert [[m.message_id for m in buffer.take()] for _ in range(2)] == [["1"], ["2"]]
