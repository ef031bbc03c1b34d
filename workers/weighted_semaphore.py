"""A semaphore that counts weight instead of holders; first come, first served."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SemaphoreStatistics:
    """Weight in use, the capacity, and how many are waiting."""

    used: int
    capacity: int
    waiting: int


class WeightedSemaphore:
    """Lets holders in as long as their weights together are at most `capacity`.

    A weight above the capacity counts as the whole capacity: such a holder is alone instead of waiting for ever.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._used = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @asynccontextmanager
    async def hold(self, weight: int) -> AsyncIterator[None]:
        """Hold `weight` while inside; waits for its turn."""
        share = min(weight, self.capacity)
        await self._acquire(share)
        try:
            yield
        finally:
            self.release(share)

    def acquire_now(self, weight: int) -> bool:
        """Take `weight`, to be given back by `release`, if that needs no waiting; says whether it did."""
        if any(not turn.done() for _, turn in self._waiting) or self._used + weight > self.capacity:
            return False
        self._used += weight
        return True

    def release(self, weight: int) -> None:
        """Give back what `acquire_now` took."""
        self._used -= weight
        self._wake()

    def statistics(self) -> SemaphoreStatistics:
        """Count holders and waiters."""
        waiting = sum(not turn.done() for _, turn in self._waiting)
        return SemaphoreStatistics(self._used, self.capacity, waiting)

    async def _acquire(self, share: int) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((share, turn))
        self._wake()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                self._wake()  # whoever waited behind this one
            else:
                self.release(share)  # its turn had just come
            raise

    def _wake(self) -> None:
        while self._waiting:
            share, turn = self._waiting[0]
            if not turn.done():
                if self._used + share > self.capacity:
                    return
                self._used += share
                turn.set_result(None)
            self._waiting.popleft()
