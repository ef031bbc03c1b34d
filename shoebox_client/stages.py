"""What connects the stages of an upload: bounded channels with an end, and tasks that end together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, Final, Generic, TypeVar

Item = TypeVar("Item")


class _End:
    """Marks the end of a channel."""


_END: Final = _End()


class Channel(Generic[Item]):
    """A queue of up to `size` items between two stages; every reader stops when it is closed and empty."""

    def __init__(self, size: int) -> None:
        self._queue: asyncio.Queue[Item | _End] = asyncio.Queue(size)

    async def put(self, item: Item) -> None:
        """Add an item, as soon as there is room."""
        await self._queue.put(item)

    async def close(self) -> None:
        """End the channel: nothing more is put."""
        await self._queue.put(_END)

    async def __aiter__(self) -> AsyncIterator[Item]:
        while not isinstance(item := await self._queue.get(), _End):
            yield item
        self._leave_end()

    async def batches(self, max_size: int, linger: float) -> AsyncIterator[list[Item]]:
        """Yield lists of up to `max_size` items; a list waits at most `linger` seconds to be filled."""
        loop, ended = asyncio.get_running_loop(), False
        while not ended:
            batch: list[Item] = []
            try:
                async with asyncio.timeout(None) as timer:
                    while len(batch) < max_size and not ended:
                        item = await self._queue.get()
                        if isinstance(item, _End):
                            ended = True
                        else:
                            batch.append(item)
                        if len(batch) == 1:
                            timer.reschedule(loop.time() + linger)
            except TimeoutError:
                pass
            if batch:
                yield batch
        self._leave_end()

    def _leave_end(self) -> None:
        # For the next reader. There is room: the mark was just taken out, and writers are done.
        self._queue.put_nowait(_END)


async def run_copies(work: Callable[[], Coroutine[Any, Any, None]], count: int) -> None:
    """Run `work()` `count` times at once, as `run_all` does."""
    await run_all(*(work() for _ in range(count)))


async def run_all(*work: Coroutine[Any, Any, None]) -> None:
    """Run all coroutines at once; the first error cancels the others and is raised as it is, not in a group."""
    try:
        async with asyncio.TaskGroup() as group:
            for each in work:
                group.create_task(each)
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
