"""A DynamoDB that says what it is told, and requests as clients send them."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from fleet.http.asgi import App, Message, Receive, Response, Scope, Send, read_body, respond

ARN = "arn:aws:dynamodb:us-east-1:000000000000:table/files"
DESCRIPTION: dict[str, Any] = {
    "TableName": "files",
    "TableArn": ARN,
    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
    "BillingModeSummary": {"BillingMode": "PAY_PER_REQUEST"},
    "GlobalSecondaryIndexes": [
        {
            "IndexName": "by-owner",
            "KeySchema": [
                {"AttributeName": "owner", "KeyType": "HASH"},
                {"AttributeName": "listed", "KeyType": "RANGE"},
            ],
            "Projection": {"ProjectionType": "ALL"},
        }
    ],
}


@dataclass
class FakeDynamoDB:
    """Describes its table, answers `status` and `answer` to everything else, and keeps what it was asked."""

    description: dict[str, Any] = field(default_factory=lambda: DESCRIPTION)
    status: int = 200
    answer: dict[str, Any] = field(default_factory=dict)
    requests: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    headers: dict[bytes, bytes] = field(default_factory=dict)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        self.headers = dict(scope["headers"])
        operation = self.headers.get(b"x-amz-target", b"").decode().rpartition(".")[2]
        body = await read_body(scope, receive, 10**8)
        self.requests.append((operation, orjson.loads(body) if body.startswith(b"{") else {}))
        status, answer = self.status, self.answer
        if operation == "DescribeTable":
            status, answer = (200, {"Table": self.description}) if self.description else (400, {})
        content = orjson.dumps(answer)
        crc = str(zlib.crc32(content)).encode()
        await respond(send, Response(status, content, [(b"x-amz-crc32", crc), (b"x-of-theirs", b"kept")]))

    @property
    def operations(self) -> list[str]:
        """What it was asked, without DescribeTable."""
        return [operation for operation, _ in self.requests if operation != "DescribeTable"]


@dataclass(frozen=True)
class Reply:
    """What a client gets."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes

    @property
    def document(self) -> dict[str, Any]:
        """Its JSON."""
        document: dict[str, Any] = orjson.loads(self.body)
        return document


def scope_of(method: str, path: str, query: bytes = b"", headers: Mapping[bytes, bytes] | None = None) -> Scope:
    """Return a request's scope; a client on this machine."""
    return {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query,
        "headers": [*{b"host": b"127.0.0.1:4566", **(headers or {})}.items()],
        "client": ("127.0.0.1", 1),
    }


async def request(app: App, scope: Scope, body: bytes = b"") -> Reply:
    """Send a request with its body in two pieces."""
    pieces = [body[:10], body[10:]]
    messages: list[Message] = []

    async def receive() -> Message:
        piece = pieces.pop(0) if pieces else b""
        return {"type": "http.request", "body": piece, "more_body": bool(pieces)}

    async def send(message: Message) -> None:
        messages.append(message)

    await app(scope, receive, send)
    content = b"".join(message.get("body", b"") for message in messages[1:])
    return Reply(messages[0]["status"], dict(messages[0]["headers"]), content)


async def dynamodb(app: App, operation: str, **parameters: Any) -> Reply:
    """Call DynamoDB as a role does."""
    body = orjson.dumps(parameters)
    authorization = b"AWS4-HMAC-SHA256 Credential=ASIAX/20260101/eu-west-1/dynamodb/aws4_request, SignedHeaders=host"
    headers = {
        b"x-amz-target": f"DynamoDB_20120810.{operation}".encode(),
        b"authorization": authorization,
        b"content-length": str(len(body)).encode(),
    }
    return await request(app, scope_of("POST", "/", headers=headers), body)
