"""The process of an environment that a host runs, as the fleet sees it: words go to it, and once its end comes back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from fleet.hosts.messages import Command

LOST = -9  # the status of a process whose host has gone without a word: as after SIGKILL
_ANSWER_SECONDS = 2.0  # for a host's word that the process has ended, beyond what the end itself may take


class RemoteProcess:
    """Ends when its host says so, when the host's connection closes, or when it is killed."""

    pid = None  # it has one, on another machine

    def __init__(self) -> None:
        self._words: asyncio.Queue[Command | None] = asyncio.Queue()
        self._status: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def tell(self, word: Command) -> None:
        """Send the host a word."""
        self._words.put_nowait(word)

    async def words(self) -> AsyncIterator[Command]:
        """What is to be sent, until the end."""
        while (word := await self._words.get()) is not None:
            yield word

    def end(self, status: int) -> None:
        """The process has ended; the first to know decides the status."""
        if not self._status.done():
            self._status.set_result(status)
            self._words.put_nowait(None)

    async def wait(self) -> int:
        """Wait for its end; returns the exit status."""
        return await asyncio.shield(self._status)

    async def stop(self, seconds: float) -> None:
        """Ask the host to end it, and give the host up when it has not after `seconds` and a moment."""
        self.tell(Command.STOP)
        try:
            async with asyncio.timeout(seconds + _ANSWER_SECONDS):
                await self.wait()
        except TimeoutError:
            self.kill()

    def kill(self) -> None:
        """Close the connection; a host that still lives then kills the process."""
        self.end(LOST)
