"""One HTTP request of an ASGI application: its `receive` and `send`, by the rules of ASGI 3.

A WholeExchange keeps the response until it is whole. A StreamingExchange gives it as it is made, for function URLs and
REST APIs in streaming mode: the application runs beside the stream, and its `send` waits until the part before has been
taken, so a slow client slows the application, and no more than one part is kept.
"""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Awaitable, Callable, MutableMapping
from typing import Any

from workers.runtime.gateway import GatewayResponse

Message = MutableMapping[str, Any]
Run = Callable[[Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]]
"""An application with its scope: what is left to give is `receive` and `send`."""

INCOMPLETE = "the ASGI application returned without a whole response"

_log = logging.getLogger("runtime.asgi")


class Exchange(ABC):
    """What all exchanges have in common; what becomes of the response's parts is a subclass's."""

    def __init__(self, body: bytes) -> None:
        self.complete = False
        self._request: bytes | None = body
        self._finished = asyncio.Event()
        self._start: Message | None = None

    async def receive(self) -> Message:
        """Return the request's body once; then, when the response is whole or unwanted, the disconnect."""
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
        """Take a part of the response's body."""


class WholeExchange(Exchange):
    """Keeps the response until it is whole."""

    def __init__(self, body: bytes) -> None:
        super().__init__(body)
        self._body = bytearray()

    def response(self) -> GatewayResponse:
        """Return the whole response. Raises RuntimeError if the application ended before it."""
        if self._start is None or not self.complete:
            raise RuntimeError(INCOMPLETE)
        return GatewayResponse(self._start["status"], headers_of(self._start), bytes(self._body))

    async def _put(self, part: bytes) -> None:
        self._body += part


class StreamingExchange(Exchange):
    """Gives the response as it comes."""

    def __init__(self, body: bytes) -> None:
        super().__init__(body)
        self._part = b""
        self._arrived = asyncio.Event()
        """A message, or the application's end."""
        self._taken = asyncio.Event()

    async def start(self, run: Run) -> tuple[Message, AsyncGenerator[bytes, None]]:
        """Run the application; return its `http.response.start` and the body.

        The application goes on while the body is read, and is cancelled when the body is closed. Raises what it
        raises before that message, and RuntimeError if it returns without.
        """
        task = asyncio.ensure_future(run(self.receive, self.send))
        task.add_done_callback(self._returned)
        try:
            await self._arrived.wait()
            if self._start is None:
                await task
                raise RuntimeError(INCOMPLETE)
        except BaseException:
            await _cancel(task)
            raise
        return self._start, self._body(task)

    async def send(self, message: Message) -> None:
        """Take a part of the response, as every exchange; wake whoever reads it."""
        await super().send(message)
        self._arrived.set()

    async def _put(self, part: bytes) -> None:
        while self._part:
            self._taken.clear()
            await self._taken.wait()
        self._part = part

    async def _body(self, task: asyncio.Future[None]) -> AsyncGenerator[bytes, None]:
        try:
            while True:
                while not self._part and not self._finished.is_set():
                    self._arrived.clear()
                    await self._arrived.wait()
                part, self._part = self._part, b""
                self._taken.set()
                if not part:
                    break
                yield part
            await task
            if not self.complete:
                raise RuntimeError(INCOMPLETE)
        except (Exception, asyncio.CancelledError):
            if not self.complete:
                raise
            _log.exception("application_failed", extra={"reason": "after its response was whole"})
        finally:
            await _cancel(task)

    def _returned(self, _: asyncio.Future[None]) -> None:
        self._finished.set()
        self._arrived.set()


async def _cancel(task: asyncio.Future[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def headers_of(start: Message) -> list[tuple[bytes, bytes]]:
    """Return the headers of an `http.response.start`."""
    return [(bytes(name), bytes(value)) for name, value in start.get("headers", ())]
