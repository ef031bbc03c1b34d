"""An answer that comes in parts: read from the runtime, and handed to a caller who reads it as it is made.

Rules: AWS Lambda, "Response streaming for Lambda functions" (at most 200 MB; a buffered Invoke still takes 6 MB) and
"Building a custom runtime for AWS Lambda" (a failure half-way is told in trailers, its body in base64).
"""

from __future__ import annotations

import base64
import binascii
from asyncio import Event
from collections import deque
from collections.abc import AsyncIterator

from fleet.environments.invocation import RESPONSE_PAYLOAD, STREAM_PAYLOAD
from fleet.http.asgi import Scope, header

_STREAMING = "streaming"
_PARTS = 16


class StreamReader:
    """The caller's end. A caller that reads slowly slows the function; one that has left does not hold it."""

    limit = STREAM_PAYLOAD

    def __init__(self) -> None:
        self._parts: deque[bytes] = deque()
        self._came, self._room = Event(), Event()
        self._left = self._over = False

    async def put(self, part: bytes) -> None:
        """Hand over a part, and wait while the caller is `_PARTS` behind."""
        while len(self._parts) >= _PARTS and not (self._left or self._over):
            self._room.clear()
            await self._room.wait()
        if not self._left:
            self._parts.append(part)
            self._came.set()

    def end(self) -> None:
        """The invocation is over: the caller gets what there is, and then the end."""
        self._over = True
        self._came.set()
        self._room.set()

    def leave(self) -> None:
        """The caller reads no more."""
        self._left = True
        self._parts.clear()
        self._room.set()

    async def parts(self) -> AsyncIterator[bytes]:
        """The parts, until the end."""
        while True:
            while self._parts:
                yield self._parts.popleft()
                self._room.set()
            if self._over:
                return
            self._came.clear()
            await self._came.wait()


class Collector:
    """The end of a caller who wants the whole payload at once (Invoke)."""

    limit = RESPONSE_PAYLOAD

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    async def put(self, part: bytes) -> None:
        """Keep a part."""
        self._parts.append(part)

    def payload(self) -> bytes:
        """All of it."""
        return b"".join(self._parts)


def is_streamed(scope: Scope) -> bool:
    """Whether the runtime posts its answer in parts."""
    return header(scope, b"lambda-runtime-function-response-mode").lower() == _STREAMING


def failure_in_trailers(scope: Scope) -> tuple[str, bytes] | None:
    """Error type and body of a stream that failed half-way.

    `fleet.http.protocol` puts them into the scope when the body has ended.
    """
    trailers: dict[bytes, bytes] = dict(scope.get("trailers", ()))
    kind = trailers.get(b"lambda-runtime-function-error-type", b"").decode("latin-1")
    if not kind:
        return None
    try:
        body = base64.b64decode(trailers.get(b"lambda-runtime-function-error-body", b""), validate=True)
    except binascii.Error:
        body = b""
    return kind, body
