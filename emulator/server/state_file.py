"""A file of rows, written in transactions: SQLite, so that a kill or a full disk leaves what was saved before."""

from __future__ import annotations

import errno
import os
import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

_FORMAT = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS state (
    kind TEXT, part TEXT, key TEXT, value BLOB, PRIMARY KEY (kind, part, key)
)
"""
_MAX_LOG_BYTES = 8 * 1024 * 1024  # what SQLite's write-ahead log may keep on disk after it was big

Row: TypeAlias = tuple[str, str, str]
"""kind, part and key."""


class StateError(RuntimeError):
    """The state cannot be loaded; what is on disk is left as it is. The process ends with `status`."""

    status = os.EX_DATAERR


class DiskFullError(StateError):
    """There is no room to open it."""

    status = os.EX_IOERR


@dataclass(slots=True)
class Changes:
    """Rows to write, rows to remove, and parts of a kind whose every row goes first."""

    written: dict[Row, bytes] = field(default_factory=dict)
    removed: set[Row] = field(default_factory=set)
    cleared: set[tuple[str, str]] = field(default_factory=set)

    def __bool__(self) -> bool:
        return bool(self.written or self.removed or self.cleared)

    def copy(self) -> Changes:
        """Return a copy that another thread does not see."""
        return Changes(dict(self.written), set(self.removed), set(self.cleared))

    def write(self, row: Row, value: bytes) -> None:
        """Add a row to write, even if it was to be removed."""
        self.removed.discard(row)
        self.written[row] = value

    def remove(self, row: Row) -> None:
        """Add a row to remove, even if it was to be written."""
        self.written.pop(row, None)
        self.removed.add(row)

    def clear(self, kind: str, part: str) -> None:
        """Remove every row of a part, also those that were to be written."""
        self.cleared.add((kind, part))
        for row in [row for row in self.written if row[:2] == (kind, part)]:
            del self.written[row]


class StateFile:
    """A file of rows; each `write` is one transaction, so that a kill or a full disk leaves the state before it.

    Raises:
        StateError: it is damaged, or of a later version.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._ended = False
        try:
            self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            # Exclusive: no shared memory file, whose pages a full disk would turn into SIGBUS.
            self._database.execute("PRAGMA locking_mode=EXCLUSIVE")
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("PRAGMA synchronous=NORMAL")
            self._database.execute(f"PRAGMA journal_size_limit={_MAX_LOG_BYTES}")
            found = self._database.execute("PRAGMA user_version").fetchone()[0]
            if found > _FORMAT:
                raise StateError(f"{path} was written by a later version of Shoebox (format {found}).")
            self.is_new = not found
            self._database.execute(_SCHEMA)
        except sqlite3.Error as error:
            raise unusable(path, error) from error

    def rows(self, kind: str) -> Iterator[tuple[str, str, bytes]]:
        """Yield part, key and value of each row of a kind."""
        yield from self._database.execute("SELECT part, key, value FROM state WHERE kind = ?", (kind,))

    def write(self, changes: Changes) -> None:
        """Write all of it; sqlite3.Error when it cannot be, and then none of it is written.

        After `end` nothing is written: a thread that comes late brings what is older than the last changes.
        """
        with self._lock:
            if not self._ended:
                self._write(changes)

    def end(self, changes: Changes) -> None:
        """Write the last changes and close, with no write of another thread between; sqlite3.Error as above."""
        with self._lock:
            self._write(changes)
            self._ended = True
            self._database.close()

    def sync(self) -> None:
        """Have all that was written on the disk itself; `write` leaves that to the kernel for a while."""
        with self._lock:
            self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _write(self, changes: Changes) -> None:
        self._database.execute("BEGIN")
        try:
            self._database.executemany("DELETE FROM state WHERE kind = ? AND part = ?", changes.cleared)
            self._database.executemany("DELETE FROM state WHERE kind = ? AND part = ? AND key = ?", changes.removed)
            rows = ((*row, value) for row, value in changes.written.items())
            self._database.executemany("INSERT OR REPLACE INTO state VALUES (?, ?, ?, ?)", rows)
            if self.is_new:
                self._database.execute(f"PRAGMA user_version = {_FORMAT}")
            self._database.execute("COMMIT")
            self.is_new = False
        except BaseException:
            if self._database.in_transaction:  # SQLite itself has rolled back after some errors
                self._database.execute("ROLLBACK")
            raise


def unusable(path: Path, error: Exception) -> StateError:
    """Return what to raise for an error while the file is opened or read."""
    file = getattr(error, "filename", None) or path
    number = getattr(error, "errno", None)
    if number in (errno.ENOSPC, errno.EDQUOT) or getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
        return DiskFullError(f"{file} cannot be written: the disk is full.")
    return StateError(f"{file} cannot be read: {error if isinstance(error, sqlite3.Error | OSError) else repr(error)}.")
