"""The folder that holds a local stack's data: marked as ours, used by one stack at a time, emptied on request.

DataFolderError
├── ForeignFolder        it holds something that we did not put there
└── FolderInUse          another stack runs on it
    └── StillSaving      that stack was killed, and its emulator still saves
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
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


class StillSaving(FolderInUse):
    """The stack that ran on it was killed; its emulator saves what it has, which takes a moment."""

    def __init__(self, path: Path, holder: str) -> None:
        super().__init__(path, holder)
        self.args = (
            f"The last Shoebox on {path} was killed, and its emulator has not ended yet: two at once would lose data."
            f" Try again in a moment. The process is the one that has {path / _LOCK} open.",
        )


@dataclass(frozen=True, slots=True)
class DataFolder:
    """A folder that is locked; a process that inherits the descriptor `lock` keeps it locked for as long as it runs."""

    path: Path
    lock: int


@contextmanager
def data_folder(path: Path, *, fresh: bool = False) -> Iterator[DataFolder]:
    """Hold the folder until the end of the `with`; `fresh` empties it first.

    Raises:
        ForeignFolder: it is not empty and lacks our mark.
        FolderInUse: another stack holds its lock.
        StillSaving: that stack was killed, and its emulator saves for a moment more.
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
        yield DataFolder(path, lock.fileno())


def _take(lock: IO[str], path: Path) -> None:
    # The kernel releases the lock when the last process that has it ends, however it ends.
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.seek(0)
        holder = lock.read().strip()
        raise (FolderInUse if is_alive(holder) else StillSaving)(path, holder) from None
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()


def is_alive(pid: str) -> bool:
    """Tell whether a process with this id runs; one that has ended and was not waited for does not."""
    if not pid.isdigit():
        return True
    try:
        os.kill(int(pid), 0)
        state = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0]
    except ProcessLookupError:
        return False
    except (OSError, OverflowError, IndexError):  # another user's, or no Linux
        return True
    return state != b"Z"


def _empty(path: Path) -> None:
    for entry in path.iterdir():
        if entry.name in (MARKER, _LOCK):
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
