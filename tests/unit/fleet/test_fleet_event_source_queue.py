"""The queue of a mapping: its calls to SQS with the function's role, and its limit of messages in flight."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest

from fleet.credentials import CredentialsCache, CredentialsError, RoleCredentials
from fleet.limits.in_flight import InFlight
from fleet.queues.batches import SqsMessage
from fleet.queues.limited_queue import LimitedQueue
from fleet.queues.queue_monitor import QueueMonitor
from fleet.queues.source_queue import QueueError, SqsQueue
from shoebox.aws.credentials import Credentials
from shoebox.config import AwsSettings
from tests.scripted_server import Request, ScriptedServer, json_response, refusal, scripted_server

ARN = "arn:aws:sqs:eu-west-1:1:shoebox-uploads"
GONE = {"Id": "0", "Code": "ReceiptHandleIsInvalid", "SenderFault": True}


def message(identifier: str) -> SqsMessage:
    """Return a received message."""
    return SqsMessage(identifier, "h" + identifier, b"{}", 0.0)


def given(*ids: str) -> bytes:
    """Return ReceiveMessage's response."""
    return json_response(
        {"Messages": [{"MessageId": i, "ReceiptHandle": "h" + i, "Body": "b" + i, "MD5OfBody": "m"} for i in ids]}
    )


class Role:
    """Gives credentials; the second ones are other keys."""

    def __init__(self) -> None:
        self.given = 0
        self.error: Exception | None = None

    async def __call__(self, function: str) -> RoleCredentials:
        """Assume the role."""
        if self.error:
            raise self.error
        self.given += 1
        return RoleCredentials(Credentials(f"KEY{self.given}", "secret", "token"), 1e12)


class Bench:
    """A queue at a scripted SQS."""

    def __init__(self, server: ScriptedServer, *answers: bytes) -> None:
        self.server = server
        self.role = Role()
        self.credentials = CredentialsCache(self.role)
        self.url = server.url + "/1/shoebox-uploads"
        self.queue = SqsQueue("ingest", self.url, ARN, self.credentials, AwsSettings(), clock=lambda: 7.0)

    def sent(self) -> list[tuple[str, dict[str, Any]]]:
        """Return operations and their requests so far."""
        return [(_operation(request), orjson.loads(request.body)) for request in self.server.requests]


def _operation(request: Request) -> str:
    return request.headers["x-amz-target"].removeprefix("AmazonSQS.")


@asynccontextmanager
async def bench_of(*answers: bytes) -> AsyncIterator[Bench]:
    """Open a queue whose SQS gives these answers, one a call; the last one again and again."""
    async with scripted_server(lambda n, _: answers[min(n, len(answers)) - 1]) as server:
        bench = Bench(server)
        async with bench.queue:
            yield bench


async def test_receiving_asks_for_everything_and_makes_records():
    """All attributes, since the event has them; the long poll's seconds as given."""
    async with bench_of(given("1")) as bench:
        (received,) = await bench.queue.receive(10, 20)
    assert bench.sent() == [
        (
            "ReceiveMessage",
            {
                "QueueUrl": bench.url,
                "MaxNumberOfMessages": 10,
                "WaitTimeSeconds": 20,
                "MessageSystemAttributeNames": ["All"],
                "MessageAttributeNames": ["All"],
            },
        )
    ]
    assert (received.message_id, received.body, received.received_at) == ("1", "b1", 7.0)
    assert orjson.loads(received.record)["eventSourceARN"] == ARN


async def test_an_empty_receive_is_no_message():
    """SQS leaves Messages out."""
    async with bench_of(json_response({})) as bench:
        assert await bench.queue.receive(10, 0) == []


async def test_messages_are_deleted_ten_a_call():
    """SQS: at most ten entries."""
    async with bench_of(json_response({"Successful": []})) as bench:
        await bench.queue.delete([message(str(n)) for n in range(12)])
        sizes = sorted(len(request["Entries"]) for _, request in bench.sent())
    assert sizes == [2, 10]
    assert {operation for operation, _ in bench.sent()} == {"DeleteMessageBatch"}


@pytest.mark.parametrize(
    "reply",
    [json_response({"Failed": [GONE]}), refusal("ReceiptHandleIsInvalid")],
    ids=["of one entry", "of the whole call"],
)
async def test_what_is_gone_already_counts_as_deleted(reply: bytes):
    """An emulator says so where SQS would say nothing."""
    async with bench_of(reply) as bench:
        await bench.queue.delete([message("1")])
    assert len(bench.sent()) == 1


async def test_an_entry_that_fails_is_an_error_after_the_other_calls():
    """Batches report per entry, with HTTP 200."""
    reply = json_response({"Failed": [{"Id": "0", "Code": "InternalError", "Message": "oops", "SenderFault": False}]})
    async with bench_of(reply) as bench:
        with pytest.raises(QueueError, match="oops") as caught:
            await bench.queue.delete([message(str(n)) for n in range(12)])
    assert (caught.value.call, caught.value.code, len(bench.sent())) == ("delete", "InternalError", 2)


async def test_releasing_makes_messages_visible_at_once():
    """A visibility timeout of 0."""
    async with bench_of(json_response({})) as bench:
        await bench.queue.release([message("1")])
    ((operation, request),) = bench.sent()
    assert operation == "ChangeMessageVisibilityBatch"
    assert request["Entries"] == [{"Id": "0", "ReceiptHandle": "h1", "VisibilityTimeout": 0}]


async def test_the_queues_visibility_timeout_is_asked_for():
    """One attribute, no more."""
    async with bench_of(json_response({"Attributes": {"VisibilityTimeout": "360"}})) as bench:
        assert await bench.queue.visibility_timeout() == 360
    assert bench.sent()[0][1]["AttributeNames"] == ["VisibilityTimeout"]


@pytest.mark.parametrize("reply", [json_response({}), json_response({"Attributes": {"VisibilityTimeout": "long"}})])
async def test_an_answer_without_the_attribute_is_an_error(reply: bytes):
    """Not a traceback."""
    async with bench_of(reply) as bench:
        with pytest.raises(QueueError, match="no VisibilityTimeout"):
            await bench.queue.visibility_timeout()


# The IAM actions of the three permissions that Lambda needs (AWS Lambda, "Using Lambda with Amazon SQS", execution
# role), and of the one that the fleet needs to give messages back.
DENIED = [
    pytest.param("receive", (1, 0), "sqs:ReceiveMessage", id="receive"),
    pytest.param("delete", ([message("1")],), "sqs:DeleteMessage", id="delete"),
    pytest.param("release", ([message("1")],), "sqs:ChangeMessageVisibility", id="release"),
    pytest.param("visibility_timeout", (), "sqs:GetQueueAttributes", id="attributes"),
]


@pytest.mark.parametrize("code", ["AccessDenied", "AccessDeniedException"])
@pytest.mark.parametrize(("call", "arguments", "action"), DENIED)
async def test_a_denied_call_names_the_missing_action(call: str, arguments: tuple[Any, ...], action: str, code: str):
    """Whichever spelling SQS uses."""
    async with bench_of(refusal(code, 403)) as bench:
        with pytest.raises(QueueError) as caught:
            await getattr(bench.queue, call)(*arguments)
    assert caught.value.denied == action


async def test_renewed_credentials_are_used_at_once_over_the_same_connection():
    """The role's session ends; the queue goes on."""
    async with bench_of(json_response({})) as bench:
        await bench.queue.receive(1, 0)
        bench.credentials.forget()
        await bench.queue.receive(1, 0)
    keys = [request.headers["authorization"].partition("Credential=")[2][:4] for request in bench.server.requests]
    assert keys == ["KEY1", "KEY2"]
    assert bench.server.connections == 1


@pytest.mark.parametrize("error", [CredentialsError("no such role"), OSError("away")])
async def test_a_role_that_cannot_be_assumed_is_an_error_of_the_call(error: Exception):
    """Named by its kind."""
    async with bench_of(json_response({})) as bench:
        bench.role.error = error
        with pytest.raises(QueueError, match=str(error)) as caught:
            await bench.queue.receive(1, 0)
    assert caught.value.code == type(error).__name__


class Messages:
    """A queue that always has messages, unless it is given some."""

    def __init__(self, *holds: SqsMessage) -> None:
        self.holds = list(holds)
        self.asked: list[int] = []
        self.done: list[tuple[str, int]] = []
        self.number = 0

    async def receive(self, count: int, wait: int) -> list[SqsMessage]:
        """Give as many as asked for, or what it holds."""
        self.asked.append(count)
        self.number += count
        return self.holds or [message(f"{self.number}-{n}") for n in range(count)]

    async def delete(self, messages: Sequence[SqsMessage]) -> None:
        """Note it."""
        self.done.append(("delete", len(messages)))

    async def release(self, messages: Sequence[SqsMessage]) -> None:
        """Note it."""
        self.done.append(("release", len(messages)))

    async def visibility_timeout(self) -> int:
        """Return more than was described."""
        return 60


class Limited:
    """A limited queue, and its clock."""

    def __init__(self, limit: float, *holds: SqsMessage, fifo: bool = False) -> None:
        self.now = 0.0
        self.slept: list[float] = []
        self.messages = Messages(*holds)
        self.in_flight = InFlight("uploads", limit, 30)
        self.monitor = QueueMonitor(max_receives=2)
        self.queue = self.of(self.messages, fifo=fifo)

    def of(self, messages: Messages, *, fifo: bool = False) -> LimitedQueue:
        """Return another mapping's view of the queue."""
        clock = {"clock": lambda: self.now, "now": lambda: self.now, "sleep": self._sleep}
        return LimitedQueue(messages, self.in_flight, self.monitor, fifo=fifo, **clock)

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


async def test_a_standard_queue_refuses_beyond_its_limit():
    """ "Amazon SQS message quotas": OverLimit; the call before it gets what is left."""
    limited = Limited(15)
    first, second = await limited.queue.receive(10, 20), await limited.queue.receive(10, 20)
    assert (len(first), len(second)) == (10, 5)
    with pytest.raises(QueueError) as caught:
        await limited.queue.receive(10, 20)
    assert (caught.value.code, caught.value.denied) == ("OverLimit", None)
    assert limited.messages.asked == [10, 5]


async def test_a_fifo_queue_is_empty_beyond_its_limit():
    """ "Amazon SQS message quotas": no error; a response that came at once would be asked for again at once."""
    limited = Limited(10, fifo=True)
    await limited.queue.receive(10, 20)
    assert (await limited.queue.receive(10, 20), limited.slept) == ([], [1])
    assert limited.messages.asked == [10]


@pytest.mark.parametrize("end", ["delete", "release", "expire"])
async def test_messages_that_are_done_make_room(end: str):
    """Deleted, released, or visible again after the queue's real timeout of 60 s."""
    limited = Limited(10)
    await limited.queue.visibility_timeout()
    messages = await limited.queue.receive(10, 20)
    if end == "expire":
        limited.now = 59.0
        assert limited.in_flight.room(limited.now) == 0
        limited.now = 60.0
    else:
        await getattr(limited.queue, end)(messages)
    assert len(await limited.queue.receive(10, 20)) == 10


async def test_mappings_of_one_queue_share_its_limit():
    """It is the queue's, not the mapping's."""
    limited = Limited(10)
    other = limited.of(Messages())
    await asyncio.gather(limited.queue.receive(6, 0), other.receive(4, 0))
    with pytest.raises(QueueError, match="in flight"):
        await other.receive(1, 0)


async def test_messages_are_monitored_on_their_way():
    """What is received and deleted is told to the queue's monitor; what is released goes on waiting."""
    held = [SqsMessage(name, name, b"{}", 0.0, sent_at=10.0 + n, receive_count=2) for n, name in enumerate("ab")]
    limited = Limited(100, *held)
    limited.now = 20.0
    assert await limited.queue.visibility_timeout() == 60
    assert await limited.queue.receive(10, 0) == held
    oldest = limited.monitor.oldest(20), limited.monitor.oldest(79), limited.monitor.oldest(80)
    assert oldest == (10, 69, 0), "hidden for the queue's own seconds, and a dead letter then"
    await limited.queue.delete(held[:1])
    await limited.queue.release(held[1:])
    assert limited.monitor.oldest(20) == 9
    assert limited.messages.done == [("delete", 1), ("release", 1)]


async def test_calls_are_counted_as_sqs_bills_them():
    """Empty receives too; ten entries are one call."""
    limited = Limited(100)
    for _ in range(3):
        await limited.queue.receive(10, 0)
    await limited.queue.delete([message(str(n)) for n in range(21)])
    await limited.queue.release([message(str(n)) for n in range(10)])
    assert limited.monitor.calls == {"ReceiveMessage": 3, "DeleteMessageBatch": 3, "ChangeMessageVisibilityBatch": 1}
