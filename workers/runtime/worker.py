"""One of several processes, seen from its supervisor: started, listened to, ended."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import suppress
from dataclasses import dataclass
from typing import IO

from workers.runtime.failure import EXIT_ERROR, Failure, exit_reason
from workers.runtime.running import RunningTable, Unanswered, table_file
from workers.runtime.seat import VARIABLE, Report, Seat

_LONGEST_REPORT = 2**20
_LAST_WORDS_S = 0.5


@dataclass(frozen=True, slots=True)
class Ended:
    """How a process ended. `failure` is set if it never polled; `status` is as `Process.returncode`."""

    status: int
    failure: Failure | None
    unanswered: list[Unanswered]


class Worker:
    """A process of ours with some of the slots."""

    def __init__(
        self, process: asyncio.subprocess.Process, reports: asyncio.StreamReader, file: IO[bytes], slots: int
    ) -> None:
        self.polls = asyncio.Event()
        """It has asked for its first invocation."""
        self._process = process
        self._reports = reports
        self._file = file
        self._slots = slots
        self._failure: Failure | None = None

    @classmethod
    async def start(cls, number: int, slots: int) -> Worker:
        """Run this very program once more, with a seat. Raises OSError."""
        ours, theirs = os.pipe()
        file = table_file(slots)
        seat = Seat(number, slots, os.getpid(), theirs, file.fileno())
        try:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, *sys.orig_argv[1:]),
                env={**os.environ, VARIABLE: seat.text()},
                pass_fds=(theirs, file.fileno()),
            )
        finally:
            os.close(theirs)
        return cls(process, await _reader(ours), file, slots)

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    async def ended(self) -> Ended:
        """Listen to the process until its end."""
        listening = asyncio.create_task(self._listen())
        status = await self._process.wait()
        await asyncio.wait({listening}, timeout=_LAST_WORDS_S)
        listening.cancel()  # something that it started may hold its pipe open
        table = RunningTable(self._file.fileno(), self._slots)
        unanswered = table.unanswered()
        table.close()
        self._file.close()
        return Ended(status, None if self.polls.is_set() else self._failure or _exited(status), unanswered)

    async def _listen(self) -> None:
        while line := await self._reports.readline():
            report = Report.parse(line)
            if report.polls:
                self.polls.set()
            else:
                self._failure = report.failure

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        with suppress(ProcessLookupError):
            self._process.send_signal(number)


def _exited(status: int) -> Failure:
    return Failure(EXIT_ERROR, exit_reason(status))


async def _reader(pipe: int) -> asyncio.StreamReader:
    reader = asyncio.StreamReader(_LONGEST_REPORT)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(pipe, "rb", buffering=0)
    )
    return reader
