"""SQS queues: visibility, retention, dead letters, encryption, and who may send to them."""

from __future__ import annotations

import json
from typing import Any

from emulator.provision.report import Outcome, ProvisionError, outcome, reporting
from emulator.provision.settings import none_if
from emulator.provision.tasks import together
from shoebox.stack.deployment import ResolvedStack

_DAY = 86_400
_ABSENT = ("QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue")


async def ensure_queues(resolved: ResolvedStack, sqs: Any) -> list[Outcome]:
    """Every queue as described, dead-letter queues before those that name them."""
    done: dict[str, Outcome] = {}
    while len(done) < len(resolved.stack.queues):
        ready = [
            name
            for name, queue in resolved.stack.queues.items()
            if name not in done and (queue.dead_letter is None or queue.dead_letter in done)
        ]
        if not ready:
            raise ProvisionError("queues", "they are each other's dead-letter queues; one must be the last")
        outcomes = await together(*(_ensure(resolved, sqs, name) for name in ready))
        done.update(zip(ready, outcomes, strict=True))
    return [done[name] for name in resolved.stack.queues]


async def _ensure(resolved: ResolvedStack, sqs: Any, name: str) -> Outcome:
    physical, wanted = resolved.name_of("queue", name), _attributes(resolved, name)
    with reporting("queue", physical):
        found = await none_if(sqs.get_queue_url(QueueName=physical), *_ABSENT)
        if found is None:
            attributes = {k: v for k, v in wanted.items() if v}
            await sqs.create_queue(QueueName=physical, Attributes=attributes | _kind(resolved, name))
            return outcome("queue", physical, created=True)
        answer = await sqs.get_queue_attributes(QueueUrl=found["QueueUrl"], AttributeNames=["All"])
        present = answer.get("Attributes", {})
        different = {k: v for k, v in wanted.items() if _comparable(present.get(k, "")) != _comparable(v)}
        if different:
            await sqs.set_queue_attributes(QueueUrl=found["QueueUrl"], Attributes=different)
        return outcome("queue", physical, created=False, changed=tuple(different))


def _attributes(resolved: ResolvedStack, name: str) -> dict[str, str]:
    """SQS's own names and forms ("SetQueueAttributes"); an empty text removes the attribute."""
    queue = resolved.stack.queues[name]
    redrive = queue.dead_letter and {
        "deadLetterTargetArn": resolved.arn_of("queue", queue.dead_letter),
        "maxReceiveCount": queue.max_receive_count,
    }
    senders = _senders(resolved, name)
    deduplication = {"ContentBasedDeduplication": str(queue.content_based_deduplication).lower()} if queue.fifo else {}
    return {
        **deduplication,
        "VisibilityTimeout": str(queue.visibility_timeout),
        "MessageRetentionPeriod": str(queue.retention_days * _DAY),
        "SqsManagedSseEnabled": "true",
        "RedrivePolicy": json.dumps(redrive) if redrive else "",
        "Policy": json.dumps({"Version": "2012-10-17", "Statement": senders}) if senders else "",
    }


def _kind(resolved: ResolvedStack, name: str) -> dict[str, str]:
    """Only a new queue can be made a FIFO queue; one that is there is it by its name, and SQS takes no other."""
    return {"FifoQueue": "true"} if resolved.stack.queues[name].fifo else {}


def _senders(resolved: ResolvedStack, name: str) -> list[dict[str, Any]]:
    """Statements that let the buckets and topics of the stack, and no others, send to the queue."""
    buckets = [b for b, bucket in resolved.stack.buckets.items() if any(n.queue == name for n in bucket.notifications)]
    topics = [t for t, topic in resolved.stack.topics.items() if name in topic.queues]
    sources = [("s3", resolved.arn_of("bucket", b)) for b in buckets] + [
        ("sns", resolved.arn_of("topic", t)) for t in topics
    ]
    return [
        {
            "Effect": "Allow",
            "Principal": {"Service": f"{service}.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": resolved.arn_of("queue", name),
            "Condition": {
                "ArnEquals": {"aws:SourceArn": source},
                "StringEquals": {"aws:SourceAccount": resolved.deployment.account},
            },
        }
        for service, source in sources
    ]


def _comparable(attribute: str) -> Any:
    """JSON attributes compare by content; SQS gives maxReceiveCount back as a number or as text."""
    if not attribute.startswith("{"):
        return attribute
    content = json.loads(attribute)
    if "maxReceiveCount" in content:
        content["maxReceiveCount"] = int(content["maxReceiveCount"])
    return content
