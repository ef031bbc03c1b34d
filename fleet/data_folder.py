"""The folder that holds a local stack's data: marked as ours, used by one stack at a time, emptied on request.

DataFolderError
├── ForeignFolder        it holds something that we did not put there
└── FolderInUse          another stack runs on it
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

MARKER = "SHOEBOX-DATA"
_LOCK = "lock"
_TEXT = "The data of a local Shoebox. It may be deleted as a whole while no Shoebox runs on it.\n"


class DataFolderError(RuntimeError):
    """The folder cannot be used; the message says why and what to do."""


class ForeignFolder(DataFolderError):
    """It holds something that we did not put there, so nothing is written to it or removed from it."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} is not empty and not a Shoebox data folder. Choose another folder.")


class FolderInUse(DataFolderError):
    """Another stack runs on it."""

    def __init__(self, path: Path, holder: str) -> None:
        by = f" (pid {holder})" if holder else ""
        super().__init__(f"Another Shoebox{by} runs on {path}. Stop it first, or choose another data folder.")


@contextmanager
def data_folder(path: Path, *, fresh: bool = False) -> Iterator[Path]:
    """The folder, ours until the end of the `with`; `fresh` empties it first.

    Raises:
        ForeignFolder: it is not empty and lacks our mark.
        FolderInUse: another stack holds its lock.
        DataFolderError: it cannot be made or written.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        if not (path / MARKER).is_file() and any(path.iterdir()):
            raise ForeignFolder(path)
        (path / MARKER).write_text(_TEXT)
        lock = (path / _LOCK).open("a+")
    except OSError as error:
        raise DataFolderError(f"{path} cannot be used: {error.strerror}.") from error
    with lock:
        _take(lock, path)
        if fresh:
            _empty(path)
        yield path


def _take(lock: IO[str], path: Path) -> None:
    """The kernel lets the lock go when we end, however we end."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.seek(0)
        raise FolderInUse(path, lock.read().strip()) from None
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()


def _empty(path: Path) -> None:
    for entry in path.iterdir():
        if entry.name in (MARKER, _LOCK):
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
