"""Which requests a full disk refuses, and with what."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from fleet.emulator_space import SpaceGuard
from fleet.http.asgi import Response

MB = 1_000_000
RESERVE = 100 * MB
SIGNED = b"AWS4-HMAC-SHA256 Credential=AK/20260101/us-east-1/%s/aws4_request, SignedHeaders=host, Signature=0"


def scope(method: str, path: str, size: int = 0, *, target: str = "", service: bytes = b"s3") -> dict[str, Any]:
    """A request, signed for a service."""
    headers = [
        (b"host", b"127.0.0.1:4566"),
        (b"authorization", SIGNED % service),
        (b"content-length", str(size).encode()),
    ]
    if target:
        headers.append((b"x-amz-target", target.encode()))
    return {"type": "http", "method": method, "path": path, "query_string": b"", "headers": headers}


def refusal(free: int, request: dict[str, Any], *, unsaved: str | None = None) -> Response | None:
    """What a guard answers with so many bytes free, of which 100 MB are kept."""

    async def application(*_: object) -> None:
        """Nobody asks it."""

    guard = SpaceGuard(application, Path("/"), lambda _, key: key.startswith("originals/"), lambda _: (free, RESERVE))
    guard.note_save(unsaved)
    return guard.refusal(request)


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


def test_while_the_state_cannot_be_saved_no_object_is_accepted():
    """Its item could not be, and nobody would ever delete it."""
    found = refusal(RESERVE * 2, scope(*RENDITION), unsaved="disk full")
    assert found is not None
    assert found.status == 507
