"""ASGI applications whose responses are streamed: function URLs and REST APIs in streaming mode.

The application runs beside the stream. Its `send` waits until the part before has been taken, so a slow client slows
the application, and no more than one part is kept.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Run = Callable[[Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]]

_log = logging.getLogger("runtime.asgi")


class StreamingExchange:
    """One request's `receive` and `send`, and the response as it comes."""

    def __init__(self, body: bytes) -> None:
        self._request: bytes | None = body
        self._start: Message | None = None
        self._part = b""
        self._complete = False
        self._finished = asyncio.Event()
        self._came = asyncio.Event()
        self._taken = asyncio.Event()

    async def start(self, run: Run) -> tuple[Message, AsyncGenerator[bytes, None]]:
        """Run the application with this exchange's `receive` and `send`: its `http.response.start`, and the body.

        The application goes on while the body is read, and is cancelled when the body is closed. Raises what it
        raises before that message, and RuntimeError if it returns without.
        """
        task = asyncio.ensure_future(run(self.receive, self.send))
        task.add_done_callback(self._returned)
        try:
            await self._came.wait()
            if self._start is None:
                await task
                raise RuntimeError("the ASGI application returned without a whole response")
        except BaseException:
            await _cancel(task)
            raise
        return self._start, self._body(task)

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
        elif kind == "http.response.body" and self._start is not None and not self._complete:
            await self._put(bytes(message.get("body", b"")))
            if not message.get("more_body", False):
                self._complete = True
                self._finished.set()
        else:
            raise RuntimeError(f"unexpected ASGI message {kind!r}")
        self._came.set()

    async def _put(self, part: bytes) -> None:
        while self._part:
            self._taken.clear()
            await self._taken.wait()
        self._part = part

    async def _get(self) -> bytes:
        """The next part, or nothing at the end."""
        while not self._part and not self._finished.is_set():
            self._came.clear()
            await self._came.wait()
        part, self._part = self._part, b""
        self._taken.set()
        return part

    async def _body(self, task: asyncio.Future[None]) -> AsyncGenerator[bytes, None]:
        try:
            while part := await self._get():
                yield part
            await task
            if not self._complete:
                raise RuntimeError("the ASGI application returned without a whole response")
        except (Exception, asyncio.CancelledError):
            if not self._complete:
                raise
            _log.exception("the application failed after its response")
        finally:
            await _cancel(task)

    def _returned(self, _: asyncio.Future[None]) -> None:
        self._finished.set()
        self._came.set()


async def _cancel(task: asyncio.Future[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
