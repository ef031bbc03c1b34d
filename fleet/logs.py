"""The log of a function: every line that its environments print, in a file of bounded size."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self, TypeAlias

LineCallback: TypeAlias = Callable[[str, bytes], None]
"""Called with the function's name in stack.yaml and each line, without its end."""

_CHUNK = 65_536


class FunctionLog:
    """Appends lines to `{folder}/{function}.log`; at `max_bytes` it becomes `.log.1` and a new one begins.

    What cannot be written, on a full disk, is dropped and counted in `lost`: a log must not stop the function.
    """

    def __init__(self, folder: Path, function: str, max_bytes: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"{function}.log"
        self.lost = 0
        self._max_bytes = max_bytes
        self._file = self.path.open("ab", buffering=0)
        self._size = self._file.tell()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._file.close()

    def write(self, lines: bytes) -> None:
        """Append whole lines, each with its end."""
        try:
            if self._size + len(lines) > self._max_bytes and self._size:
                self._rotate()
            written = self._file.write(lines)
        except OSError:
            written = 0
        self._size += written
        self.lost += len(lines) - written

    def _rotate(self) -> None:
        with suppress(FileNotFoundError):  # the last try set it aside, and could not open a new one
            self.path.replace(self.path.with_suffix(".log.1"))
        former, self._file = self._file, self.path.open("ab", buffering=0)
        former.close()
        self._size = 0


async def pump(stream: asyncio.StreamReader, write: Callable[[bytes], None]) -> None:
    """Pass the stream's lines on, as many at a time as have come, until it ends; a line above 64 KB is cut.

    What `write` cannot write (OSError) is dropped: the process would wait for ever if nobody read its output.
    """
    rest = b""
    while chunk := await stream.read(_CHUNK):
        whole, end, rest = (rest + chunk).rpartition(b"\n")
        if end:
            _pass_on(write, whole + end)
        if len(rest) > _CHUNK:
            _pass_on(write, rest + b"\n")
            rest = b""
    if rest:
        _pass_on(write, rest + b"\n")


def _pass_on(write: Callable[[bytes], None], lines: bytes) -> None:
    with suppress(OSError):
        write(lines)
