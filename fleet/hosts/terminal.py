"""A process with our own terminal, so that a debugger in it can be used."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path


class TerminalProcess:
    """A running process; Ctrl-C reaches it and us."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    async def wait(self) -> int:
        """Wait for its end, and return its exit status."""
        return await self._process.wait()

    async def stop(self, seconds: float) -> None:
        """Send SIGTERM, and SIGKILL when it has not ended after `seconds`."""
        with suppress(ProcessLookupError):
            self._process.terminate()
        try:
            async with asyncio.timeout(seconds):
                await self._process.wait()
        except TimeoutError:
            self.kill()

    def kill(self) -> None:
        """Send SIGKILL."""
        with suppress(ProcessLookupError):
            self._process.kill()


async def start_in_terminal(command: Sequence[str], environment: Mapping[str, str], folder: Path) -> TerminalProcess:
    """Start `command` in `folder` with our own terminal.

    Raises:
        OSError: the program cannot be started.
    """
    terminal = {"TERM": os.environ.get("TERM", "dumb")}  # a debugger draws on it
    process = await asyncio.create_subprocess_exec(*command, cwd=folder, env={**terminal, **environment})
    return TerminalProcess(process)
