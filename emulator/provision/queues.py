"""SQS queues (visibility, retention, dead letters, encryption, senders), and SNS topics with their subscriptions."""

from __future__ import annotations

import json
from typing import Any

from emulator.provision.resources import Outcome, ProvisionError, naming_errors, none_if, outcome
from emulator.tasks import together
from shoebox.stack.deployment import ResolvedStack

_DAY = 86_400
_ABSENT = ("QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue")


async def ensure_queues(resolved: ResolvedStack, sqs: Any) -> list[Outcome]:
    """Create or update every queue, dead-letter queues before those that name them."""
    done: dict[str, Outcome] = {}
    while len(done) < len(resolved.stack.queues):
        ready = [
            name
            for name, queue in resolved.stack.queues.items()
            if name not in done and (queue.dead_letter is None or queue.dead_letter in done)
        ]
        if not ready:
            raise ProvisionError("queues", "they are each other's dead-letter queues; one must be the last")
        outcomes = await together(*(_ensure_queue(resolved, sqs, name) for name in ready))
        done.update(zip(ready, outcomes, strict=True))
    return [done[name] for name in resolved.stack.queues]


async def _ensure_queue(resolved: ResolvedStack, sqs: Any, name: str) -> Outcome:
    physical, wanted = resolved.name_of("queue", name), _attributes(resolved, name)
    with naming_errors("queue", physical):
        found = await none_if(sqs.get_queue_url(QueueName=physical), *_ABSENT)
        if found is None:
            attributes = {k: v for k, v in wanted.items() if v}
            if resolved.stack.queues[name].fifo:  # only now: SQS changes it for no queue that is there
                attributes["FifoQueue"] = "true"
            await sqs.create_queue(QueueName=physical, Attributes=attributes)
            return outcome("queue", physical, created=True)
        response = await sqs.get_queue_attributes(QueueUrl=found["QueueUrl"], AttributeNames=["All"])
        present = response.get("Attributes", {})
        different = {k: v for k, v in wanted.items() if _comparable(present.get(k, "")) != _comparable(v)}
        if different:
            await sqs.set_queue_attributes(QueueUrl=found["QueueUrl"], Attributes=different)
        return outcome("queue", physical, created=False, changed=tuple(different))


def _attributes(resolved: ResolvedStack, name: str) -> dict[str, str]:
    """Return what SetQueueAttributes wants, in SQS's own forms; an empty text removes the attribute."""
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


def _senders(resolved: ResolvedStack, name: str) -> list[dict[str, Any]]:
    """Return statements that let the buckets and topics of the stack, and no others, send to the queue."""
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
    """Return what to compare of an attribute: of JSON its content."""
    if not attribute.startswith("{"):
        return attribute
    content = json.loads(attribute)
    if "maxReceiveCount" in content:  # SQS gives it back as a number or as text
        content["maxReceiveCount"] = int(content["maxReceiveCount"])
    return content


async def ensure_topics(resolved: ResolvedStack, sns: Any) -> list[Outcome]:
    """Create or update every topic. Subscriptions that others have made are left alone."""
    return await together(*(_ensure_topic(resolved, sns, name) for name in resolved.stack.topics))


async def _ensure_topic(resolved: ResolvedStack, sns: Any, name: str) -> Outcome:
    physical, arn = resolved.name_of("topic", name), resolved.arn_of("topic", name)
    with naming_errors("topic", physical):
        found = await none_if(sns.get_topic_attributes(TopicArn=arn), "NotFound", "NotFoundException")
        if found is None:
            await sns.create_topic(Name=physical)
        changed = await _subscribe(resolved, sns, name)
        return outcome("topic", physical, created=found is None, changed=changed)


async def _subscribe(resolved: ResolvedStack, sns: Any, name: str) -> tuple[str, ...]:
    """Subscribe and unsubscribe the stack's own queues as described; return the queues that changed."""
    arn = resolved.arn_of("topic", name)
    ours = {resolved.arn_of("queue", queue): queue for queue in resolved.stack.queues}
    wanted = {resolved.arn_of("queue", queue) for queue in resolved.stack.topics[name].queues}
    pages = sns.get_paginator("list_subscriptions_by_topic").paginate(TopicArn=arn)
    subscriptions = {s["Endpoint"]: s["SubscriptionArn"] async for page in pages for s in page.get("Subscriptions", [])}
    present = {endpoint: subscription for endpoint, subscription in subscriptions.items() if endpoint in ours}
    for endpoint in wanted - present.keys():
        await sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=endpoint, Attributes={"RawMessageDelivery": "true"})
    for endpoint in present.keys() - wanted:
        await sns.unsubscribe(SubscriptionArn=present[endpoint])
    return tuple(sorted(f"queue {ours[endpoint]}" for endpoint in wanted ^ present.keys()))
