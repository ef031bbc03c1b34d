"""Dead letters on a real queue service: how they come there, and that they go back whole."""

import asyncio
from typing import Any

from emulator.provision import provision
from emulator.provision.queues import ensure_queues
from fleet.queues.operations import DeadLetters, dead_letters_of, queue_state, redrive
from shoebox.aws.clients import Clients
from shoebox.stack.deployment import ResolvedStack, resolve
from shoebox.stack.model import Queue, Stack

ATTRIBUTES = {
    "kind": {"DataType": "String", "StringValue": "tést"},
    "number": {"DataType": "Number", "StringValue": "7"},
    "bytes": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
}


async def dead_letters(sqs: Any, resolved: ResolvedStack) -> DeadLetters:
    """Return the dead-letter queue of the deletions."""
    queues = [await queue_state(sqs, resolved.name_of("queue", name)) for name in resolved.stack.queues]
    found = dead_letters_of(queues, resolved.name_of("queue", "deletions-dead"))
    assert found is not None
    return found


async def take(sqs: Any, url: str, seconds: int | None = None) -> list[dict[str, Any]]:
    """Every message that can be received now; with `seconds` it is visible again after them."""
    found: list[dict[str, Any]] = []
    more = {} if seconds is None else {"VisibilityTimeout": seconds}
    while True:
        answer = await sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"], **more)
        if not answer.get("Messages"):
            return found
        found += answer["Messages"]


async def test_dead_letters_go_back_whole(own_stack: ResolvedStack, root_clients: Clients):
    """Messages that failed too often are work again, with their bodies and attributes, and the queue of the dead is
    empty."""
    await provision(own_stack, root_clients)
    sqs = await root_clients.open("sqs")
    queue = await dead_letters(sqs, own_stack)
    bodies = [f"{n} – ü" for n in range(23)]
    for body in bodies:
        await sqs.send_message(QueueUrl=queue.source_url, MessageBody=body, MessageAttributes=ATTRIBUTES)
    for _ in range(own_stack.stack.queues["deletions"].max_receive_count):
        for message in await take(sqs, queue.source_url):
            await sqs.change_message_visibility(
                QueueUrl=queue.source_url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0
            )
    assert await take(sqs, queue.source_url) == []
    assert (await queue_state(sqs, own_stack.name_of("queue", "deletions-dead"))).waiting == 23

    assert await asyncio.wait_for(redrive(sqs, queue), 60) == 23

    back = await take(sqs, queue.source_url)
    assert sorted(message["Body"] for message in back) == sorted(bodies)
    assert all(message["MessageAttributes"] == ATTRIBUTES for message in back)
    assert await take(sqs, queue.url) == []


async def test_nothing_dead_is_nothing_to_move(own_stack: ResolvedStack, root_clients: Clients):
    """Both queues stay as they are."""
    await provision(own_stack, root_clients)
    sqs = await root_clients.open("sqs")
    queue = await dead_letters(sqs, own_stack)
    await sqs.send_message(QueueUrl=queue.source_url, MessageBody="at work")

    assert await asyncio.wait_for(redrive(sqs, queue), 60) == 0

    assert [message["Body"] for message in await take(sqs, queue.source_url)] == ["at work"]


async def test_messages_in_flight_are_left(own_stack: ResolvedStack, root_clients: Clients):
    """Somebody looks at a dead letter at this moment: only the others go back."""
    await provision(own_stack, root_clients)
    sqs = await root_clients.open("sqs")
    queue = await dead_letters(sqs, own_stack)
    for body in ("looked at", "waiting"):
        await sqs.send_message(QueueUrl=queue.url, MessageBody=body)
    (looked_at,) = (await sqs.receive_message(QueueUrl=queue.url, MaxNumberOfMessages=1))["Messages"]

    assert await asyncio.wait_for(redrive(sqs, queue), 60) == 1

    assert [m["Body"] for m in await take(sqs, queue.source_url)] != [looked_at["Body"]]
    state = await queue_state(sqs, own_stack.name_of("queue", "deletions-dead"))
    assert (state.waiting, state.in_flight) == (0, 1)


async def test_large_messages_of_a_fifo_queue_go_back_in_their_order(own_stack: ResolvedStack, root_clients: Clients):
    """Seven of 250 KB are more than SQS takes in one call; they are work again in their group and their order."""
    queues = {
        "steps": Queue(fifo=True, dead_letter="steps-dead", max_receive_count=1),
        "steps-dead": Queue(fifo=True),
    }
    resolved = resolve(Stack(name="steps", queues=queues), own_stack.deployment)
    sqs = await root_clients.open("sqs")
    await ensure_queues(resolved, sqs)
    queue = dead_letters_of(
        [await queue_state(sqs, resolved.name_of("queue", name)) for name in queues],
        resolved.name_of("queue", "steps-dead"),
    )
    assert queue is not None
    bodies = [f"{n}" * 250_000 for n in range(7)]
    for body in bodies:
        await sqs.send_message(
            QueueUrl=queue.source_url, MessageBody=body, MessageGroupId="one", MessageDeduplicationId=body[0]
        )
    await sqs.receive_message(QueueUrl=queue.source_url, MaxNumberOfMessages=10, VisibilityTimeout=0)
    assert await take(sqs, queue.source_url) == []

    assert await asyncio.wait_for(redrive(sqs, queue), 60) == 7

    assert [message["Body"][0] for message in await take(sqs, queue.source_url)] == [*"0123456"]
    assert await take(sqs, queue.url) == []
