"""Permits by weight: at most so many megapixels in memory at once, whoever holds them; first come, first served."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class PermitStatistics:
    """Weight in use, the capacity, and how many are waiting."""

    used: float
    capacity: float
    waiting: int


class Permits:
    """A semaphore that counts weight instead of holders.

    A weight above the capacity counts as the whole capacity: such a picture runs alone instead of never.
    """

    def __init__(self, capacity: float) -> None:
        self._capacity = capacity
        self._used = 0.0
        self._waiting: deque[tuple[float, asyncio.Future[None]]] = deque()

    @asynccontextmanager
    async def hold(self, weight: float) -> AsyncIterator[None]:
        """Hold `weight` while inside; waits for its turn."""
        share = min(weight, self._capacity)
        await self._acquire(share)
        try:
            yield
        finally:
            self._release(share)

    def statistics(self) -> PermitStatistics:
        """How things stand now."""
        waiting = sum(not turn.done() for _, turn in self._waiting)
        return PermitStatistics(self._used, self._capacity, waiting)

    async def _acquire(self, share: float) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((share, turn))
        self._wake()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                self._wake()  # whoever waited behind this one
            else:
                self._release(share)  # its turn had just come
            raise

    def _release(self, share: float) -> None:
        self._used -= share
        self._wake()

    def _wake(self) -> None:
        while self._waiting:
            share, turn = self._waiting[0]
            if not turn.done():
                if self._used + share > self._capacity + _ROUNDING:
                    return
                self._used += share
                turn.set_result(None)
            self._waiting.popleft()
