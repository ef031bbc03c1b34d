"""One HTTP request of an ASGI application: its `receive` and `send`, by the rules of ASGI 3."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import MutableMapping
from typing import Any

from workers.runtime.gateway import GatewayResponse

Message = MutableMapping[str, Any]
INCOMPLETE = "the ASGI application returned without a whole response"


class Exchange(ABC):
    """What all exchanges have in common; what becomes of the response's parts is a subclass's."""

    def __init__(self, body: bytes) -> None:
        self.complete = False
        self._request: bytes | None = body
        self._finished = asyncio.Event()
        self._start: Message | None = None

    async def receive(self) -> Message:
        """The request's body once; then, when the response is whole or unwanted, the disconnect."""
        if self._request is not None:
            body, self._request = self._request, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self._finished.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Take a part of the response. Raises RuntimeError if ASGI forbids it here."""
        kind = message["type"]
        if kind == "http.response.start" and self._start is None:
            self._start = message
        elif kind == "http.response.body" and self._start is not None and not self.complete:
            await self._put(bytes(message.get("body", b"")))
            if not message.get("more_body", False):
                self.complete = True
                self._finished.set()
        else:
            raise RuntimeError(f"unexpected ASGI message {kind!r}")

    @abstractmethod
    async def _put(self, part: bytes) -> None:
        """A part of the response's body."""


class WholeExchange(Exchange):
    """Keeps the response until it is whole."""

    def __init__(self, body: bytes) -> None:
        super().__init__(body)
        self._body = bytearray()

    def response(self) -> GatewayResponse:
        """The whole response. Raises RuntimeError if the application ended before it."""
        if self._start is None or not self.complete:
            raise RuntimeError(INCOMPLETE)
        return GatewayResponse(self._start["status"], headers_of(self._start), bytes(self._body))

    async def _put(self, part: bytes) -> None:
        self._body += part


def headers_of(start: Message) -> list[tuple[bytes, bytes]]:
    """The headers of an `http.response.start`."""
    return [(bytes(name), bytes(value)) for name, value in start.get("headers", ())]
