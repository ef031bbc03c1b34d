"""SQS messages as Lambda hands them to a function (AWS Lambda, "Using Lambda with Amazon SQS", example event)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson


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
    """A message of ReceiveMessage's answer, as its JSON has it: binary values are base64 already."""
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
    """The event of a batch."""
    return b'{"Records":[' + b",".join(message.record for message in batch) + b"]}"


def _attribute(value: Mapping[str, Any]) -> dict[str, Any]:
    attribute: dict[str, Any] = {"stringListValues": [], "binaryListValues": [], "dataType": value["DataType"]}
    if "StringValue" in value:
        attribute["stringValue"] = value["StringValue"]
    if "BinaryValue" in value:
        attribute["binaryValue"] = value["BinaryValue"]
    return attribute
