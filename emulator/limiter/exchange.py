"""One request and its answer: passed on as it comes, or held back to be changed."""

from __future__ import annotations

import asyncio
import hashlib
import zlib
from dataclasses import dataclass, field
from typing import Any

import orjson

from fleet.http.asgi import App, Headers, Message, Receive, Response, Scope, Send, respond

_OF_THE_BODY = (b"content-length", b"transfer-encoding", b"x-amz-crc32")


@dataclass(slots=True)
class Answer:
    """What the application answered."""

    status: int = 0
    headers: Headers = field(default_factory=list)
    parts: list[bytes] = field(default_factory=list)

    def add(self, message: Message) -> None:
        """A message of the answer."""
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], list(message.get("headers", ()))
        elif part := message.get("body"):
            self.parts.append(part)

    @property
    def size(self) -> int:
        """Bytes of the body."""
        return sum(map(len, self.parts))

    @property
    def body(self) -> bytes:
        """The whole body."""
        return b"".join(self.parts)

    def document(self) -> dict[str, Any]:
        """The body's JSON; nothing where it is none, or compressed."""
        try:
            document = orjson.loads(self.body)
        except orjson.JSONDecodeError:
            return {}
        return document if isinstance(document, dict) else {}


@dataclass(slots=True)
class Call:
    """A request whose body was read."""

    app: App
    scope: Scope
    body: bytes
    receive: Receive
    send: Send

    async def pass_on(self) -> Answer:
        """Let it through; the answer goes on to the client as it comes, and is returned."""
        answer = Answer()
        send = self.send

        async def forward(message: Message) -> None:
            answer.add(message)
            await send(message)

        await self.app(self.scope, replay(self.body, self.receive), forward)
        return answer

    async def ask_for(self, body: bytes) -> Answer:
        """Let it through with another body; the answer is held."""
        return await hold(self.app, _with_body(self.scope, self.body, body), body, self.receive)

    async def answer(self, response: Response) -> None:
        """Answer it here."""
        await respond(self.send, response)

    async def answer_with(self, held: Answer, document: dict[str, Any]) -> None:
        """Send a held answer with another body; there is none if the client went away."""
        if not held.status:
            return
        body = orjson.dumps(document)
        headers = [(name, value) for name, value in held.headers if name.lower() not in _OF_THE_BODY]
        headers.append((b"x-amz-crc32", str(zlib.crc32(body)).encode()))
        await respond(self.send, Response(held.status, body, headers))


async def hold(app: App, scope: Scope, body: bytes, receive: Receive | None = None) -> Answer:
    """An application's answer to a request; without `receive` its client never goes away."""
    answer = Answer()

    async def keep(message: Message) -> None:
        answer.add(message)

    await app(scope, replay(body, receive or _never), keep)
    return answer


async def _never() -> Message:
    forever: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
    return await forever


def replay(body: bytes, receive: Receive) -> Receive:
    """Gives a body that was read, then whatever else comes: the client's going away."""
    given = False

    async def again() -> Message:
        nonlocal given
        if not given:
            given = True
            return {"type": "http.request", "body": body, "more_body": False}
        return await receive()

    return again


def _with_body(scope: Scope, former: bytes, body: bytes) -> Scope:
    """The request with another body, its signature still good: the hash that was signed is told in a header.

    That header is AWS's own ("Create a signed AWS API request", `x-amz-content-sha256`); emulators that check
    signatures take the hash from there, as S3 does.
    """
    dropped = (b"content-length", b"transfer-encoding", b"accept-encoding")  # the answer will be read; unsigned by SDKs
    headers = [(name, value) for name, value in scope["headers"] if name not in dropped]
    headers.append((b"content-length", str(len(body)).encode()))
    if not any(name == b"x-amz-content-sha256" for name, _ in headers):
        headers.append((b"x-amz-content-sha256", hashlib.sha256(former).hexdigest().encode()))
    return {**scope, "headers": headers}
