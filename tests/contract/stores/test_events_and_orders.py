"""What every `EventPublisher` and every `DeletionQueue` promises."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from shoebox.aws.clients import Clients
from shoebox.files.deletions import DeletionQueue, order_text, read_order
from shoebox.files.events import EventPublisher, FileEvent
from shoebox.files.memory import MemoryDeletionQueue, MemoryEventPublisher
from shoebox.files.model import FileKey, Generation, Owner, State
from shoebox.files.sns import SnsEventPublisher
from shoebox.files.sqs import SqsDeletionQueue
from shoebox.files.ulid import new_ulid
from tests.contract.stores.conftest import NOW, Backend


@dataclass(frozen=True, slots=True)
class Subscribed:
    """A publisher, and what gives the documents that its subscribers got, when there are so many."""

    publisher: EventPublisher
    received: Callable[[int], Awaitable[list[dict[str, Any]]]]


@pytest.fixture
async def events(backend: Backend | None, clients: Clients | None) -> AsyncIterator[Subscribed]:
    """Open a publisher that somebody listens to."""
    if backend is None or clients is None:
        memory = MemoryEventPublisher()

        async def published(_: int) -> list[dict[str, Any]]:
            return [json.loads(json.dumps(event.document())) for event in memory.events]

        yield Subscribed(memory, published)
        return
    sns, sqs = await clients.open("sns"), await clients.open("sqs")
    topic = (await sns.create_topic(Name=f"events-{uuid.uuid4().hex}"))["TopicArn"]
    url = (await sqs.create_queue(QueueName=f"events-{uuid.uuid4().hex}"))["QueueUrl"]
    arn = (await sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"]))["Attributes"]["QueueArn"]
    allow = {"Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage"}
    policy = {"Version": "2012-10-17", "Statement": [allow | {"Resource": arn}]}
    await sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps(policy)})
    raw = {"RawMessageDelivery": "true"}
    await sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes=raw)

    async def received(number: int) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        async with asyncio.timeout(60):
            while len(found) < number:
                taken = await sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1)
                found += [json.loads(message["Body"]) for message in taken.get("Messages", [])]
        return found

    yield Subscribed(SnsEventPublisher(clients.when_needed("sns"), topic), received)
    await sns.delete_topic(TopicArn=topic)
    await sqs.delete_queue(QueueUrl=url)


@dataclass(frozen=True, slots=True)
class Orders:
    """A queue, and what gives its orders, when there are so many: those to be carried out now, and how many later."""

    queue: DeletionQueue
    taken: Callable[[int], Awaitable[tuple[list[Generation], int]]]


@pytest.fixture
async def orders(backend: Backend | None, clients: Clients | None) -> AsyncIterator[Orders]:
    """Open a queue of one's own."""
    if backend is None or clients is None:
        memory = MemoryDeletionQueue()

        async def given(_: int) -> tuple[list[Generation], int]:
            now = [read_order(order_text(o.generation)) for o in memory.orders if not o.after_ingest]
            return now, len(memory.orders) - len(now)

        yield Orders(memory, given)
        return
    sqs = await clients.open("sqs")
    url = (await sqs.create_queue(QueueName=f"orders-{uuid.uuid4().hex}"))["QueueUrl"]

    async def taken(number: int) -> tuple[list[Generation], int]:
        found: list[Generation] = []
        async with asyncio.timeout(60):
            while len(found) < number:
                response = await sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1)
                found += [read_order(message["Body"]) for message in response.get("Messages", [])]
        name = "ApproximateNumberOfMessagesDelayed"
        attributes = (await sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[name]))["Attributes"]
        return found, int(attributes[name])

    yield Orders(SqsDeletionQueue(clients.when_needed("sqs"), url, ingest_seconds=60), taken)
    await sqs.delete_queue(QueueUrl=url)


def generation(number: int) -> Generation:
    """Return the generation of a file like no other number's."""
    owner = Owner("demo", "anna")
    return Generation(FileKey(owner, owner.file_id(f"{number:064x}")), new_ulid(NOW))


async def test_every_event_is_published(events: Subscribed) -> None:
    """More than fit into one call of SNS, each with what a subscriber needs."""
    many = [FileEvent(generation(n), State.REJECTED, NOW, "corrupt") for n in range(25)]
    await events.publisher.publish([])
    await events.publisher.publish(many)

    documents = await events.received(25)

    assert {document["event_id"] for document in documents} == {event.document()["event_id"] for event in many}
    first = next(document for document in documents if document["file_id"] == many[0].generation.key.file_id)
    assert first == {
        "event": "file.rejected",
        "event_id": f"{many[0].generation.key.file_id}:{many[0].generation.ulid}:file.rejected",
        "tenant": "demo",
        "user": "anna",
        "file_id": many[0].generation.key.file_id,
        "reason": "corrupt",
        "warnings": [],
        "captured_at": None,
        "captured_at_source": None,
        "at": "2026-11-23T12:00:00.000Z",
    }


async def test_an_order_names_its_generation(orders: Orders) -> None:
    """Whoever takes it can carry it out; one behind ingest's back waits."""
    first, second, late = generation(1), generation(2), generation(3)
    await orders.queue.order(first)
    await orders.queue.order(late, after_ingest=True)
    await orders.queue.order(second)

    taken, later = await orders.taken(2)

    assert set(taken) == {first, second}
    assert later == 1
