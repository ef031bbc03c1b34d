"""What operators do with queues: see what they hold, and redrive dead letters once their cause is repaired.

AWS and LocalStack have an operation for a redrive ("Configure a dead-letter queue redrive"). The embedded emulator has
none, so messages are copied there: sent first and deleted then, so that a fault in between duplicates one and loses
none. FIFO queues are always copied: LocalStack's operation keeps deduplication ids, and loses what was sent within five
minutes.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shoebox.aws.botocore_errors import aws_errors
from shoebox.aws.errors import AwsRefused

COUNTS = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible", "ApproximateNumberOfMessagesDelayed")
_NOT_THERE = ("InvalidAction", "UnsupportedOperation", "UnknownOperation", "UnknownOperationException")
_BATCH = 10
_BATCH_BYTES = 1024 * 1024  # of all messages of a call, with their attributes ("Amazon SQS message quotas", since 2025)
_HOLD_SECONDS = 60  # a received message is ours for so long
_PAUSE = 0.5


class RedriveError(RuntimeError):
    """The messages could not be moved; the message says why, and how many were."""


@dataclass(frozen=True, slots=True)
class DeadLetters:
    """A dead-letter queue and the queue that its messages came from."""

    url: str
    arn: str
    source_url: str
    source_arn: str

    @property
    def is_fifo(self) -> bool:
        """Whether it is a FIFO queue, as its source then is, too."""
        return self.source_url.endswith(".fifo")


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
    """Look at the queue with this physical name.

    Raises:
        AwsError: there is none, or it may not be read.
    """
    names = [*COUNTS, "QueueArn", "RedrivePolicy"]
    with aws_errors():
        url = (await sqs.get_queue_url(QueueName=name))["QueueUrl"]
        found = (await sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names))["Attributes"]
    waiting, in_flight, delayed = counts_of(found)
    policy = json.loads(found.get("RedrivePolicy") or "{}")
    return QueueState(name, url, found["QueueArn"], waiting, in_flight, delayed, policy.get("deadLetterTargetArn"))


def counts_of(attributes: Mapping[str, str]) -> tuple[int, int, int]:
    """Return the messages that wait, are in flight, and are delayed, of a queue with these attributes."""
    waiting, in_flight, delayed = (int(attributes.get(name, 0)) for name in COUNTS)
    return waiting, in_flight, delayed


def dead_letters_of(queues: Sequence[QueueState], name: str) -> DeadLetters | None:
    """Return the dead-letter queue `name` with the queue that it serves; None when it serves none."""
    dead = next((queue for queue in queues if queue.name == name), None)
    source = dead and next((queue for queue in queues if queue.dead_letter == dead.arn), None)
    return DeadLetters(dead.url, dead.arn, source.url, source.arn) if dead and source else None


async def redrive(sqs: Any, queue: DeadLetters, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> int:
    """Move every message that is visible now back to its queue; return how many.

    Messages that fail again meanwhile, and come back, are left for the next time.

    Raises:
        RedriveError: SQS refused, or the move ended early.
    """
    if not queue.is_fifo:
        try:
            with aws_errors():
                started = await sqs.start_message_move_task(SourceArn=queue.arn, DestinationArn=queue.source_arn)
        except AwsRefused as error:
            if not error.has_code(*_NOT_THERE):
                raise RedriveError(f"SQS does not move the messages: {error}") from error
        else:
            return await _until_moved(sqs, queue, started["TaskHandle"], sleep)
    try:
        with aws_errors():
            return await _copy(sqs, queue)
    except AwsRefused as error:
        raise RedriveError(f"SQS does not take or give a message: {error}") from error


async def _until_moved(sqs: Any, queue: DeadLetters, handle: str, sleep: Callable[[float], Awaitable[None]]) -> int:
    """Wait for the end of a move; SQS allows one a queue at a time, so the newest is ours."""
    while True:
        results = (await sqs.list_message_move_tasks(SourceArn=queue.arn, MaxResults=1))["Results"]
        task = results[0] if results else {"Status": "FAILED", "FailureReason": "SQS does not know it any more"}
        moved = int(task.get("ApproximateNumberOfMessagesMoved", 0))
        match task["Status"]:
            case "COMPLETED":
                return moved
            case "RUNNING" | "CANCELLING":
                await sleep(_PAUSE)
            case status:
                reason = task.get("FailureReason", status)
                raise RedriveError(f"The move {handle[:12]}… ended early, after {moved} messages: {reason}")


async def _copy(sqs: Any, queue: DeadLetters) -> int:
    """Send and delete, ten at a time, as many messages as were there at the start; return how many."""
    found = await sqs.get_queue_attributes(QueueUrl=queue.url, AttributeNames=[COUNTS[0]])
    waiting, _, _ = counts_of(found["Attributes"])
    moved = 0
    while moved < waiting:
        received = await sqs.receive_message(
            QueueUrl=queue.url,
            MaxNumberOfMessages=min(_BATCH, waiting - moved),
            VisibilityTimeout=_HOLD_SECONDS,
            MessageAttributeNames=["All"],
            MessageSystemAttributeNames=["MessageGroupId"],
        )
        messages = received.get("Messages")
        if not messages:
            break
        await _send(sqs, queue, messages, moved)
        moved += len(messages)
    return moved


def _copy_of(message: dict[str, Any], *, fifo: bool) -> dict[str, Any]:
    """Return a copy to send, in the message's group, which a fair standard queue has, too.

    On a FIFO queue its deduplication id is the id of the message that failed, as SQS has it in a dead-letter queue
    ("Configure a dead-letter queue redrive"): so it is no duplicate of the one that was sent first.
    """
    copy = {"MessageBody": message["Body"], "MessageAttributes": message.get("MessageAttributes", {})}
    if group := message.get("Attributes", {}).get("MessageGroupId"):
        copy["MessageGroupId"] = group
    if fifo:
        copy["MessageDeduplicationId"] = message["MessageId"]
    return copy


async def _send(sqs: Any, queue: DeadLetters, messages: Sequence[dict[str, Any]], before: int) -> None:
    copies = [{"Id": str(n), **_copy_of(message, fifo=queue.is_fifo)} for n, message in enumerate(messages)]
    for part in _parts(copies):
        sent = await sqs.send_message_batch(QueueUrl=queue.source_url, Entries=part)
        done = [int(entry["Id"]) for entry in sent.get("Successful", [])]
        handles = [{"Id": str(n), "ReceiptHandle": messages[n]["ReceiptHandle"]} for n in done]
        if handles:
            await sqs.delete_message_batch(QueueUrl=queue.url, Entries=handles)
        before += len(done)
        if failed := sent.get("Failed"):
            reason = failed[0].get("Message") or failed[0]["Code"]
            left = len(messages) - int(part[0]["Id"]) - len(done)
            raise RedriveError(f"{left} messages stay, after {before} were moved: {reason}")


def _parts(copies: Sequence[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Yield the messages in their order, as many for each call as SQS takes."""
    part: list[dict[str, Any]] = []
    size = 0
    for copy in copies:
        if part and size + _size(copy) > _BATCH_BYTES:
            yield part
            part, size = [], 0
        part.append(copy)
        size += _size(copy)
    if part:
        yield part


def _size(copy: dict[str, Any]) -> int:
    """Bytes of a message as SQS counts them: the body, and each attribute's name, type and value."""
    values = [value for name, attribute in copy["MessageAttributes"].items() for value in (name, *attribute.values())]
    return sum(len(v) if isinstance(v, bytes) else len(str(v).encode()) for v in (copy["MessageBody"], *values))
