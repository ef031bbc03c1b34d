"""A bounded queue between two stages, with an end: readers stop when it is closed and empty."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final, Generic, TypeVar

Thing = TypeVar("Thing")


class _End:
    """Stands in the queue where nothing more follows."""


_END: Final = _End()


class Channel(Generic[Thing]):
    """Holds up to `size` things; `put` waits while it is full."""

    def __init__(self, size: int) -> None:
        self._queue: asyncio.Queue[Thing | _End] = asyncio.Queue(size)

    async def put(self, thing: Thing) -> None:
        """Add a thing."""
        await self._queue.put(thing)

    async def close(self) -> None:
        """Nothing more follows."""
        await self._queue.put(_END)

    async def __aiter__(self) -> AsyncIterator[Thing]:
        while True:
            thing = await self._queue.get()
            if isinstance(thing, _End):
                await self._pass_on_end()
                return
            yield thing

    async def batches(self, most: int, linger: float) -> AsyncIterator[list[Thing]]:
        """Lists of up to `most` things; a list waits no longer than `linger` seconds to be filled."""
        ended = False
        while not ended:
            batch: list[Thing] = []
            first = await self._queue.get()
            ended = isinstance(first, _End)
            if not isinstance(first, _End):
                batch.append(first)
                ended = await self._fill(batch, most, linger)
            if batch:
                yield batch
        await self._pass_on_end()

    async def _fill(self, batch: list[Thing], most: int, linger: float) -> bool:
        try:
            async with asyncio.timeout(linger):
                while len(batch) < most:
                    thing = await self._queue.get()
                    if isinstance(thing, _End):
                        return True
                    batch.append(thing)
        except TimeoutError:
            pass
        return False

    async def _pass_on_end(self) -> None:
        """For the next reader; the place that the end was taken from is free, since writers are done."""
        self._queue.put_nowait(_END)
