"""Which requests a full disk refuses, and with what."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from emulator.server.space_guard import SpaceGuard
from fleet.http.asgi import Message, Receive, Response, Scope, Send, respond

MB = 1_000_000
RESERVE = 100 * MB
SIGNED = b"AWS4-HMAC-SHA256 Credential=AK/20260101/us-east-1/%s/aws4_request, SignedHeaders=host, Signature=0"


def scope(method: str, path: str, size: int = 0, *, target: str = "", service: bytes = b"s3") -> dict[str, Any]:
    """Return a request, signed for a service."""
    headers = [
        (b"host", b"127.0.0.1:4566"),
        (b"authorization", SIGNED % service),
        (b"content-length", str(size).encode()),
    ]
    if target:
        headers.append((b"x-amz-target", target.encode()))
    return {"type": "http", "method": method, "path": path, "query_string": b"", "headers": headers}


def refusal(free: int, request: dict[str, Any], *, unsaved: str | None = None) -> Response | None:
    """Return what a guard answers with so many bytes free, of which 100 MB are kept."""

    return guard(free, unsaved).refusal(request)


def guard(free: int, unsaved: str | None) -> SpaceGuard:
    """Return a guard with so many bytes free; what it passes on is answered 204."""

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        assert (await receive())["body"] == scope["state"]
        await respond(send, Response(204))

    found = SpaceGuard(
        application,
        Path("/"),
        triggers_event=lambda _, key: key.startswith("originals/"),
        receives_events=lambda queue: queue == "uploads",
        space=lambda _: (free, RESERVE),
    )
    found.note_save(unsaved)
    return found


UPLOAD = ("PUT", "/personal/originals/1")
RENDITION = ("PUT", "/personal/renditions/1")


@pytest.mark.parametrize(
    ("free", "request_", "passes"),
    [
        (101 * MB, scope(*UPLOAD), True),
        (99 * MB, scope(*UPLOAD), False),
        (101 * MB, scope(*UPLOAD, 2 * MB), False),
        (99 * MB, scope("POST", "/personal/originals/1"), False),
        (99 * MB, scope(*RENDITION), True),
        (24 * MB, scope(*RENDITION), False),
        (0, scope("GET", "/personal/originals/1"), True),
        (0, scope("HEAD", "/personal/originals/1"), True),
        (0, scope("DELETE", "/personal/originals/1"), True),
        (0, scope("POST", "/personal"), True),
        (0, scope("PUT", "/personal"), True),
        (0, scope("POST", "/", target="DynamoDB_20120810.PutItem", service=b"dynamodb"), True),
    ],
)
def test_what_starts_work_stops_first_and_what_frees_room_never(free: int, request_: dict[str, Any], passes: bool):
    """Uploads leave the reserve, renditions a quarter of it; items are small and wait for a save that fails."""
    found = refusal(free, request_)
    assert (found is None) == passes
    if found:
        assert found.status == 507
        assert b"<Code>InsufficientStorage</Code>" in found.body


@pytest.mark.parametrize(
    ("call", "passes"),
    [
        ("DynamoDB_20120810.PutItem", False),
        ("DynamoDB_20120810.UpdateItem", False),
        ("DynamoDB_20120810.TransactWriteItems", False),
        ("AmazonSQS.SendMessage", False),
        ("DynamoDB_20120810.GetItem", True),
        ("DynamoDB_20120810.BatchGetItem", True),
        ("DynamoDB_20120810.Query", True),
        ("DynamoDB_20120810.DeleteItem", True),
        ("AmazonSQS.ReceiveMessage", True),
        ("AmazonSQS.DeleteMessageBatch", True),
        ("AmazonSQS.ChangeMessageVisibilityBatch", True),
    ],
)
def test_while_the_state_cannot_be_saved_nothing_new_is_accepted(call: str, passes: bool):
    """A 200 for what is gone after a restart would be a lie; 503 is tried again by every AWS client."""
    found = refusal(RESERVE * 2, scope("POST", "/", target=call), unsaved="disk full")
    assert (found is None) == passes
    if found:
        assert found.status == 503
        assert orjson.loads(found.body)["__type"] == "ServiceUnavailable"


@pytest.mark.parametrize(
    ("queue", "free", "unsaved", "status"),
    [
        ("uploads", 51 * MB, None, 204),
        ("uploads", 49 * MB, None, 503),
        ("uploads", RESERVE, "disk full", 503),
        ("deletions", 0, None, 204),
        ("deletions", 0, "disk full", 204),
    ],
)
async def test_work_that_could_not_be_finished_is_not_given_out(
    queue: str, free: int, unsaved: str | None, status: int
):
    """Each receive of an upload would bring it nearer to the dead letters; deletions make room."""
    body = orjson.dumps({"QueueUrl": f"http://127.0.0.1:4566/000000000000/{queue}"})
    assert await status_of_receive(body, guard(free, unsaved)) == status


async def test_a_receive_that_cannot_be_read_is_refused():
    """It names no queue."""
    assert await status_of_receive(b"[]", guard(0, None)) == 400


async def status_of_receive(body: bytes, guard: SpaceGuard) -> int:
    """Return what a ReceiveMessage with this body is answered; passed on, it still has its body."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    await guard({**scope("POST", "/", target="AmazonSQS.ReceiveMessage", service=b"sqs"), "state": body}, receive, send)
    return int(sent[0]["status"])


def test_while_the_state_cannot_be_saved_no_object_is_accepted():
    """Its item could not be, and nobody would ever delete it."""
    found = refusal(RESERVE * 2, scope(*RENDITION), unsaved="disk full")
    assert found is not None
    assert found.status == 507
