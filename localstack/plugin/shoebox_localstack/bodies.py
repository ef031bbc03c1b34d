"""S3's bodies on disk.

LocalStack 4.14 keeps each object below 512 KB in memory, and an open descriptor for each larger one: with renditions of
a third of a megabyte a photo some thousands of photos fill the container's memory.
"""

from __future__ import annotations

import os
from pathlib import Path
from shutil import rmtree
from tempfile import mkstemp

from localstack.services.s3.storage import ephemeral
from localstack.services.s3.storage.ephemeral import EphemeralS3ObjectStore, LockedFileMixin

FOLDER = Path("/var/lib/localstack/s3")


def store_on_disk(folder: Path = FOLDER) -> EphemeralS3ObjectStore:
    """LocalStack's store of objects, whose files are these; what a run before this one left is removed."""
    rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    ephemeral.LockedSpooledTemporaryFile = FileOnDisk
    return EphemeralS3ObjectStore(str(folder))


class FileOnDisk(LockedFileMixin):
    """The bytes of an object or a part, with the methods that the store uses of a file.

    It is opened for each read and write (64 KB), so that descriptors do not bound the number of objects. The store
    holds `position_lock` from a seek to what follows it.
    """

    def __init__(self, dir: str, max_size: int) -> None:  # noqa: A002  # as LockedSpooledTemporaryFile is called
        super().__init__()
        descriptor, path = mkstemp(dir=dir)
        os.close(descriptor)
        self._path = Path(path)
        self._position = 0

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Set the position, as a file's `seek`."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._path.stat().st_size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def seekable(self) -> bool:
        """Return True: the whole body is a file."""
        return True

    def read(self, size: int | None = -1) -> bytes:
        """Read up to `size` bytes from the position; all that is left if it is negative or None."""
        with self._path.open("rb") as file:
            file.seek(self._position)
            data = file.read(size)
        self._position += len(data)
        return data

    def write(self, data: bytes) -> int:
        """Write at the position."""
        with self._path.open("r+b") as file:
            file.seek(self._position)
            file.write(data)
        self._position += len(data)
        return len(data)

    def truncate(self, size: int | None = None) -> int:
        """Cut to `size` bytes, or at the position."""
        size = self._position if size is None else size
        os.truncate(self._path, size)
        return size

    def close(self) -> None:
        """Remove it, as closing a temporary file does."""
        self._path.unlink(missing_ok=True)
