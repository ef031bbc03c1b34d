"""Fingerprints of files: SHA-256 with the size and time of change that tell whether the file is still the same."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

from shoebox_client.errors import FileError

_CHUNK = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Content and identity of a file: `size` in bytes, `changed_at` in nanoseconds, `sha256` as 64 hex digits."""

    size: int
    changed_at: int
    sha256: str

    def still_holds(self, file: BufferedReader) -> bool:
        """Tell whether the open file has the same size and time of change."""
        status = os.fstat(file.fileno())
        return (status.st_size, status.st_mtime_ns) == (self.size, self.changed_at)


def fingerprint(path: Path) -> Fingerprint:
    """Read a file once and hash it. Blocks: call it in a thread.

    Raises:
        FileError: it cannot be read, or changed meanwhile.
    """
    with open_file(path) as file:
        before = os.fstat(file.fileno())
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        found = Fingerprint(before.st_size, before.st_mtime_ns, digest)
        if not found.still_holds(file) or file.tell() != before.st_size:
            raise changed(path)
    return found


def part_digest(path: Path, start: int, length: int) -> str:
    """Return the SHA-256 (hex) of `length` bytes from `start`. Blocks: call it in a thread.

    Raises:
        FileError: it cannot be read, or is too short now.
    """
    digest = hashlib.sha256()
    with open_file(path) as file:
        file.seek(start)
        while length:
            data = file.read(min(_CHUNK, length))
            if not data:
                raise changed(path)
            digest.update(data)
            length -= len(data)
    return digest.hexdigest()


def open_file(path: Path) -> BufferedReader:
    """Open a file to read.

    Raises:
        FileError: it cannot be read.
    """
    try:
        return path.open("rb")
    except OSError as error:
        raise FileError(f"{path} cannot be read: {error.strerror}.", code="unreadable") from error


def changed(path: Path) -> FileError:
    """Return the error of a file that changed after it was hashed."""
    return FileError(
        f"{path} changed while it was being uploaded; upload it again when it is at rest.", code="file_changed"
    )
