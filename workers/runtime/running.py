"""Which invocations a process runs, in memory that outlives it: so that its supervisor can answer for it.

One row a slot: the lengths of request id and nonce, then both. Writing one is two copies and no system call.
"""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from typing import IO, Protocol

from workers.runtime.protocol import Invocation

ROW_BYTES = 256


@dataclass(frozen=True, slots=True)
class Unanswered:
    """An invocation whose answer is due; enough of it to post an error."""

    request_id: str
    invocation_id: str | None = None


class Row(Protocol):
    """Where a slot notes what it runs."""

    def begin(self, invocation: Invocation) -> None:
        """It has taken this invocation."""

    def end(self) -> None:
        """It has answered."""


class NoRow:
    """Nobody asks: the process has no supervisor."""

    def begin(self, invocation: Invocation) -> None:
        """Nothing to do."""

    def end(self) -> None:
        """Nothing to do."""


class RunningTable:
    """The rows of one process. The file must stay open as long as either side has the table."""

    def __init__(self, file: int, slots: int) -> None:
        self._memory = mmap.mmap(file, slots * ROW_BYTES)
        self._slots = slots

    def row(self, slot: int) -> Row:
        """One slot's row."""
        return _Row(self._memory, slot * ROW_BYTES)

    def unanswered(self) -> list[Unanswered]:
        """What the process had taken and not answered when it was last heard of."""
        return list(filter(None, map(self._read, range(self._slots))))

    def close(self) -> None:
        """Let go of the memory."""
        self._memory.close()

    def _read(self, slot: int) -> Unanswered | None:
        start = slot * ROW_BYTES
        id_bytes, nonce_bytes = self._memory[start], self._memory[start + 1]
        if not id_bytes:
            return None
        middle = start + 2 + id_bytes
        request_id = self._memory[start + 2 : middle].decode("latin-1")
        return Unanswered(request_id, self._memory[middle : middle + nonce_bytes].decode("latin-1") or None)


class _Row:
    def __init__(self, memory: mmap.mmap, start: int) -> None:
        self._memory = memory
        self._start = start

    def begin(self, invocation: Invocation) -> None:
        ids = [text.encode("latin-1") for text in (invocation.request_id, invocation.invocation_id or "")]
        text = b"".join(ids)
        if len(text) > ROW_BYTES - 2:
            return  # AWS's are UUIDs; an invocation with more is answered by its time-out
        start = self._start
        self._memory[start + 1 : start + 2 + len(text)] = bytes([len(ids[1])]) + text
        self._memory[start] = len(ids[0])  # last, so that a row is whole or empty

    def end(self) -> None:
        self._memory[self._start] = 0


def table_file(slots: int) -> IO[bytes]:
    """A file for one table that no folder shows (Linux: memory only)."""
    if hasattr(os, "memfd_create"):
        file: IO[bytes] = os.fdopen(os.memfd_create("lambda-running"), "r+b")
    else:
        file = tempfile.TemporaryFile()  # noqa: SIM115  # whoever calls keeps it open
    file.truncate(slots * ROW_BYTES)
    return file


def shares(slots: int, processes: int) -> Iterable[int]:
    """How many slots each process gets: as even as whole numbers can be, at least one each."""
    whole, rest = divmod(slots, processes)
    return [whole + (number < rest) for number in range(processes)]
