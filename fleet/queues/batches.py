"""SQS messages, the batches that they are collected in, and the events that functions get. Pure.

Source: AWS Lambda, "Using Lambda with Amazon SQS": example event; polling and batching behaviour.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from fleet.environments.invocation import SYNC_PAYLOAD

_FRAME = len(b'{"Records":[]}')


@dataclass(frozen=True, slots=True)
class SqsMessage:
    """A received message: its ids, its record as JSON, and when it was received (seconds, the mapping's clock).

    `body` is what filters look at; `group` the MessageGroupId, which every message of a FIFO queue has. `sent_at` is in
    seconds since the epoch, by SQS's clock; `receive_count` is 1 at the first delivery.
    """

    message_id: str
    receipt_handle: str
    record: bytes
    received_at: float
    body: str = ""
    group: str | None = None
    sent_at: float = 0.0
    receive_count: int = 1


def message_of(received: Mapping[str, Any], *, queue_arn: str, region: str, now: float) -> SqsMessage:
    """Return a message of ReceiveMessage's response, as its JSON has it: binary values are base64 already."""
    attributes = received.get("Attributes", {})
    record = {
        "messageId": received["MessageId"],
        "receiptHandle": received["ReceiptHandle"],
        "body": received["Body"],
        "attributes": attributes,
        "messageAttributes": {name: _attribute(value) for name, value in received.get("MessageAttributes", {}).items()},
        "md5OfBody": received["MD5OfBody"],
        "eventSource": "aws:sqs",
        "eventSourceARN": queue_arn,
        "awsRegion": region,
    }
    if "MD5OfMessageAttributes" in received:
        record["md5OfMessageAttributes"] = received["MD5OfMessageAttributes"]
    return SqsMessage(
        received["MessageId"],
        received["ReceiptHandle"],
        orjson.dumps(record),
        now,
        received["Body"],
        attributes.get("MessageGroupId"),
        int(attributes.get("SentTimestamp", 0)) / 1000,
        int(attributes.get("ApproximateReceiveCount", 1)),
    )


def event_of(batch: list[SqsMessage]) -> bytes:
    """Return the event of a batch."""
    return b'{"Records":[' + b",".join(message.record for message in batch) + b"]}"


def _attribute(value: Mapping[str, Any]) -> dict[str, Any]:
    attribute: dict[str, Any] = {"stringListValues": [], "binaryListValues": [], "dataType": value["DataType"]}
    if "StringValue" in value:
        attribute["stringValue"] = value["StringValue"]
    if "BinaryValue" in value:
        attribute["binaryValue"] = value["BinaryValue"]
    return attribute


class BatchBuffer:
    """Collects messages: a batch has at most `size` of them and 6 MB, and is due `window` seconds after its first."""

    def __init__(self, size: int, window: float, *, max_bytes: int = SYNC_PAYLOAD) -> None:
        self._size = size
        self._window = window
        self._max_bytes = max_bytes
        self._messages: deque[SqsMessage] = deque()
        self._bytes = 0  # of the records

    def __len__(self) -> int:
        return len(self._messages)

    def add(self, messages: Iterable[SqsMessage]) -> None:
        """Add messages that were received."""
        for message in messages:
            self._messages.append(message)
            self._bytes += len(message.record)

    def missing(self) -> int:
        """Return how many messages there may be until the batch is full."""
        return max(0, self._size - len(self._messages))

    def remaining(self, now: float) -> float:
        """Return the seconds until the batch is due; infinite without messages."""
        if not self._messages:
            return float("inf")
        if len(self._messages) >= self._size or self._fitting() < len(self._messages):
            return 0.0
        return max(0.0, self._messages[0].received_at + self._window - now)

    def take(self) -> list[SqsMessage]:
        """Take out the next batch; what does not fit begins the one after it."""
        batch = [self._messages.popleft() for _ in range(self._fitting())]
        self._bytes -= sum(len(message.record) for message in batch)
        return batch

    def take_all(self) -> list[SqsMessage]:
        """Take out all messages, for whatever batch they were."""
        messages = list(self._messages)
        self._messages.clear()
        self._bytes = 0
        return messages

    def _fitting(self) -> int:
        """Return how many make a batch; a message that is too large alone goes alone, and Invoke refuses it."""
        count = len(self._messages)
        if count <= self._size and _FRAME + self._bytes + max(0, count - 1) <= self._max_bytes:
            return count
        total = _FRAME
        for fitting, message in enumerate(self._messages):
            total += len(message.record) + (1 if fitting else 0)
            if fitting and (total > self._max_bytes or fitting >= self._size):
                return fitting
        return count
