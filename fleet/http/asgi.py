"""As much of ASGI as the fleet needs: types, bodies with a limit, and whole responses (ASGI spec 3.0)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import orjson

from shoebox.response_headers import SAFE_HEADERS

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers: TypeAlias = list[tuple[bytes, bytes]]

ON_UNREAD = "fleet.on_unread"
"""Where an application puts, into the scope, what to call when its response was not read to the end."""

JSON: Headers = [(b"content-type", b"application/json")]
SAFE: Headers = [(name.encode(), value.encode()) for name, value in SAFE_HEADERS.items()]
"""The headers of every response that is not a function's."""
_WITHOUT_CONTENT = frozenset({204, 205, 304})  # bytes after such a head would be read as the next response


class BodyTooLarge(Exception):
    """The request's body is above the limit."""


class Disconnected(Exception):
    """The client has gone before its request was complete."""


@dataclass(frozen=True, slots=True)
class Response:
    """A whole response."""

    status: int
    body: bytes = b""
    headers: Iterable[tuple[bytes, bytes]] = ()


def json_response(status: int, content: object, headers: Headers | None = None) -> Response:
    """Return a response of JSON."""
    return Response(status, orjson.dumps(content), [*JSON, *(headers or [])])


def header(scope: Scope, name: bytes) -> str:
    """Return a request header's first value, or ""; `name` in lower case."""
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), "")


async def read_body(scope: Scope, receive: Receive, limit: int) -> bytes:
    """Return the request's body.

    Raises:
        BodyTooLarge: it has more than `limit` bytes, by its Content-Length or while it comes in.
        Disconnected: the client has gone.
    """
    announced = header(scope, b"content-length")
    if announced.isdigit() and int(announced) > limit:
        raise BodyTooLarge
    return b"".join([part async for part in body_parts(receive, limit)])


async def body_parts(receive: Receive, limit: int) -> AsyncIterator[bytes]:
    """Yield the request's body as it comes in, without empty parts.

    Raises:
        BodyTooLarge: there are more than `limit` bytes.
        Disconnected: the client has gone.
    """
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        part = message.get("body", b"")
        more = message.get("more_body", False)
        size += len(part)
        if size > limit:
            raise BodyTooLarge
        if part:
            yield part


async def wait_for_disconnect(receive: Receive) -> None:
    """Wait until the client closes its connection."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def respond(send: Send, response: Response, *, to_head: bool = False) -> None:
    """Send a whole response; a status without content (RFC 9110, 6.4.1) goes without its body."""
    headers, body = [*response.headers], response.body
    if response.status in _WITHOUT_CONTENT:
        body = b""
    # A response to HEAD whose body was left out before says no length: 0 would be wrong (RFC 9110, 8.6).
    if response.status != 204 and (body or not to_head):
        headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
