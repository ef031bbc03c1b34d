"""SNS topics and the queues that are subscribed to them."""

from __future__ import annotations

from typing import Any

from emulator.provision.report import Outcome, outcome, reporting
from emulator.provision.settings import none_if
from emulator.provision.tasks import together
from shoebox.stack.deployment import ResolvedStack


async def ensure_topics(resolved: ResolvedStack, sns: Any) -> list[Outcome]:
    """Every topic as described. Subscriptions that others have made are left alone."""
    return await together(*(_ensure(resolved, sns, name) for name in resolved.stack.topics))


async def _ensure(resolved: ResolvedStack, sns: Any, name: str) -> Outcome:
    physical, arn = resolved.name_of("topic", name), resolved.arn_of("topic", name)
    with reporting("topic", physical):
        found = await none_if(sns.get_topic_attributes(TopicArn=arn), "NotFound", "NotFoundException")
        if found is None:
            await sns.create_topic(Name=physical)
        changed = await _subscribe(resolved, sns, name)
        return outcome("topic", physical, created=found is None, changed=changed)


async def _subscribe(resolved: ResolvedStack, sns: Any, name: str) -> tuple[str, ...]:
    """Bring the stack's own queues' subscriptions to what is described; the queues that changed."""
    arn = resolved.arn_of("topic", name)
    ours = {resolved.arn_of("queue", queue): queue for queue in resolved.stack.queues}
    wanted = {resolved.arn_of("queue", queue) for queue in resolved.stack.topics[name].queues}
    present = {e: s for e, s in (await _subscriptions(sns, arn)).items() if e in ours}
    for endpoint in wanted - present.keys():
        await sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=endpoint, Attributes={"RawMessageDelivery": "true"})
    for endpoint in present.keys() - wanted:
        await sns.unsubscribe(SubscriptionArn=present[endpoint])
    return tuple(sorted(f"queue {ours[endpoint]}" for endpoint in wanted ^ present.keys()))


async def _subscriptions(sns: Any, topic_arn: str) -> dict[str, str]:
    """Endpoint → subscription ARN, of all pages."""
    pages = sns.get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic_arn)
    return {s["Endpoint"]: s["SubscriptionArn"] async for page in pages for s in page.get("Subscriptions", [])}
