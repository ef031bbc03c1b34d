"""SQS messages, their batches and events."""

import orjson
from hypothesis import given
from hypothesis import strategies as st

from fleet.queues.batches import BatchBuffer, SqsMessage, event_of, message_of


def message(number: int = 0, size: int = 10, at: float = 0.0) -> SqsMessage:
    """Return a message whose record has this many bytes."""
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
    assert buffer.missing() == 12
    buffer.add([message(n) for n in range(10)])
    assert buffer.missing() == 2


def test_six_megabytes_cut_a_batch_and_the_rest_begins_the_next():
    """Metadata count too: it is the event's JSON that is measured."""
    buffer = BatchBuffer(10, 60, max_bytes=100)
    buffer.add([message(1, 40), message(2, 40), message(3, 40)])
    assert buffer.remaining(0.0) == 0
    assert [m.message_id for m in buffer.take()] == ["1", "2"]
    assert [m.message_id for m in buffer.take()] == ["3"]


@given(sizes=st.lists(st.integers(2, 60), max_size=40), limit=st.integers(80, 200), size=st.integers(1, 12))
def test_batches_keep_every_bound_and_lose_nothing(sizes: list[int], limit: int, size: int):
    """Any stream of messages comes out whole and in order, in events within size and bytes."""
    buffer = BatchBuffer(size, 1, max_bytes=limit)
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
    buffer = BatchBuffer(10, 0, max_bytes=100)
    buffer.add([message(1, 200), message(2, 40)])
    assert [[m.message_id for m in buffer.take()] for _ in range(2)] == [["1"], ["2"]]


def test_all_messages_can_be_taken_out_at_once():
    """Nothing is left of them, in number or bytes."""
    buffer = BatchBuffer(2, 0, max_bytes=100)
    buffer.add([message(n, 40) for n in range(3)])
    assert [m.message_id for m in buffer.take_all()] == ["0", "1", "2"]
    assert (len(buffer), buffer.remaining(0.0)) == (0, float("inf"))
    buffer.add([message(4, 40), message(5, 40)])
    assert len(buffer.take()) == 2


RECEIVED = {
    "MessageId": "m1",
    "ReceiptHandle": "h1",
    "MD5OfBody": "d41d8",
    "Body": "hello",
    "Attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": "1545082649183"},
    "MessageAttributes": {
        "trace": {"DataType": "String", "StringValue": "t1"},
        "blob": {"DataType": "Binary", "BinaryValue": "AAE="},
    },
    "MD5OfMessageAttributes": "abc",
}


def test_a_record_looks_as_lambda_makes_it():
    """Names, spelling and nesting are those of AWS's example event."""
    received = message_of(RECEIVED, queue_arn="arn:aws:sqs:eu-west-1:1:q", region="eu-west-1", now=5.0)
    assert orjson.loads(event_of([received])) == {
        "Records": [
            {
                "messageId": "m1",
                "receiptHandle": "h1",
                "body": "hello",
                "attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": "1545082649183"},
                "messageAttributes": {
                    "trace": {
                        "dataType": "String",
                        "stringValue": "t1",
                        "stringListValues": [],
                        "binaryListValues": [],
                    },
                    "blob": {
                        "dataType": "Binary",
                        "binaryValue": "AAE=",
                        "stringListValues": [],
                        "binaryListValues": [],
                    },
                },
                "md5OfBody": "d41d8",
                "md5OfMessageAttributes": "abc",
                "eventSource": "aws:sqs",
                "eventSourceARN": "arn:aws:sqs:eu-west-1:1:q",
                "awsRegion": "eu-west-1",
            }
        ]
    }


def test_a_message_without_attributes_has_empty_ones():
    """The keys are always there."""
    bare = {key: RECEIVED[key] for key in ("MessageId", "ReceiptHandle", "MD5OfBody", "Body")}
    received = message_of(bare, queue_arn="arn", region="eu-west-1", now=0.0)
    record = orjson.loads(received.record)
    assert (record["attributes"], record["messageAttributes"]) == ({}, {})
