"""The queues of a stack as they are now: what waits, what is in work, and where dead letters go."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fleet.queues.redrive import DeadLetters

COUNTS = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible", "ApproximateNumberOfMessagesDelayed")


@dataclass(frozen=True, slots=True)
class QueueState:
    """One queue: messages that wait, are in flight, and are delayed; `dead_letter`: ARN of its dead-letter queue."""

    name: str
    url: str
    arn: str
    waiting: int
    in_flight: int
    delayed: int
    dead_letter: str | None


async def queue_state(sqs: Any, name: str) -> QueueState:
    """The queue with this physical name.

    Raises:
        botocore.exceptions.ClientError: there is none, or it may not be read.
    """
    url = (await sqs.get_queue_url(QueueName=name))["QueueUrl"]
    names = [*COUNTS, "QueueArn", "RedrivePolicy"]
    found = (await sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names))["Attributes"]
    waiting, in_flight, delayed = counts_of(found)
    policy = json.loads(found.get("RedrivePolicy") or "{}")
    return QueueState(name, url, found["QueueArn"], waiting, in_flight, delayed, policy.get("deadLetterTargetArn"))


def counts_of(attributes: Mapping[str, str]) -> tuple[int, int, int]:
    """Messages that wait, are in flight, and are delayed, of a queue with these attributes."""
    waiting, in_flight, delayed = (int(attributes.get(name, 0)) for name in COUNTS)
    return waiting, in_flight, delayed


def dead_letters_of(queues: Sequence[QueueState], name: str) -> DeadLetters | None:
    """The dead-letter queue `name` with the queue that it serves; None when it serves none."""
    dead = next((queue for queue in queues if queue.name == name), None)
    source = dead and next((queue for queue in queues if queue.dead_letter == dead.arn), None)
    return DeadLetters(dead.url, dead.arn, source.url, source.arn) if dead and source else None
