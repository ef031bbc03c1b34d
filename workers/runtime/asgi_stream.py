"""ASGI applications whose responses are streamed: function URLs and REST APIs in streaming mode.

The application runs beside the stream. Its `send` waits until the part before has been taken, so a slow client slows
the application, and no more than one part is kept.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable

from workers.runtime.asgi_exchange import INCOMPLETE, Exchange, Message

Run = Callable[[Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]]

_log = logging.getLogger("runtime.asgi")


class StreamingExchange(Exchange):
    """Gives the response as it comes."""

    def __init__(self, body: bytes) -> None:
        super().__init__(body)
        self._part = b""
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
                raise RuntimeError(INCOMPLETE)
        except BaseException:
            await _cancel(task)
            raise
        return self._start, self._body(task)

    async def send(self, message: Message) -> None:
        """As every exchange; whoever reads the response learns of it."""
        await super().send(message)
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
            if not self.complete:
                raise RuntimeError(INCOMPLETE)
        except (Exception, asyncio.CancelledError):
            if not self.complete:
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
