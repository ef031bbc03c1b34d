"""A request passed on to the emulator as it came or with another body, and the emulator's response as it was seen."""

from __future__ import annotations

import asyncio
import hashlib
import zlib
from dataclasses import dataclass, field
from typing import Any

import orjson

from fleet.http.asgi import App, Headers, Message, Receive, Response, Scope, Send, respond

_OF_THE_BODY = (b"content-length", b"transfer-encoding", b"x-amz-crc32")
_NOT_FORWARDED = (b"content-length", b"transfer-encoding", b"accept-encoding")


@dataclass(slots=True)
class RecordedResponse:
    """A response as its ASGI messages came; status 0 where none came, since the client went away."""

    status: int = 0
    headers: Headers = field(default_factory=list)
    parts: list[bytes] = field(default_factory=list)

    def add(self, message: Message) -> None:
        """Record one message."""
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], list(message.get("headers", ()))
        elif part := message.get("body"):
            self.parts.append(part)

    @property
    def size(self) -> int:
        """Bytes of the body."""
        return sum(map(len, self.parts))

    def document(self) -> dict[str, Any]:
        """Return the body's JSON object; an empty one where it is none, or compressed."""
        try:
            document = orjson.loads(b"".join(self.parts))
        except orjson.JSONDecodeError:
            return {}
        return document if isinstance(document, dict) else {}


@dataclass(slots=True)
class BufferedRequest:
    """A request whose body was read."""

    app: App
    scope: Scope
    body: bytes
    receive: Receive
    send: Send

    async def forward(self) -> RecordedResponse:
        """Pass it on; the response goes on to the client as it comes, and is returned."""
        response = RecordedResponse()
        send = self.send

        async def record_and_send(message: Message) -> None:
            response.add(message)
            await send(message)

        await self.app(self.scope, replay(self.body, self.receive), record_and_send)
        return response

    async def fetch(self, body: bytes) -> RecordedResponse:
        """Pass it on with another body, and keep the response from the client."""
        headers = [(name, value) for name, value in self.scope["headers"] if name not in _NOT_FORWARDED]
        headers.append((b"content-length", str(len(body)).encode()))
        if not any(name == b"x-amz-content-sha256" for name, _ in headers):
            # The signature covers the hash of the body that the client sent. AWS's own header for that hash ("Create a
            # signed AWS API request") makes emulators that check signatures take it from there, as S3 does.
            headers.append((b"x-amz-content-sha256", hashlib.sha256(self.body).hexdigest().encode()))
        return await fetch(self.app, {**self.scope, "headers": headers}, body, self.receive)

    async def respond(self, response: Response) -> None:
        """Send a response of ours."""
        await respond(self.send, response)

    async def respond_with(self, fetched: RecordedResponse, document: dict[str, Any]) -> None:
        """Send a response that was fetched, with another body; nothing if the client has gone."""
        if not fetched.status:
            return
        body = orjson.dumps(document)
        headers = [(name, value) for name, value in fetched.headers if name.lower() not in _OF_THE_BODY]
        headers.append((b"x-amz-crc32", str(zlib.crc32(body)).encode()))
        await respond(self.send, Response(fetched.status, body, headers))


async def fetch(app: App, scope: Scope, body: bytes, receive: Receive | None = None) -> RecordedResponse:
    """Return an application's response to a request; without `receive` its client never goes away."""
    response = RecordedResponse()

    async def record(message: Message) -> None:
        response.add(message)

    await app(scope, replay(body, receive or _never), record)
    return response


async def _never() -> Message:
    forever: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
    return await forever


def replay(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives a body which was read, then what else comes: the client's going away."""
    given = False

    async def receive_again() -> Message:
        nonlocal given
        if not given:
            given = True
            return {"type": "http.request", "body": body, "more_body": False}
        return await receive()

    return receive_again
