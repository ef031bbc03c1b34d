"""What happens during an upload, for callers that show it. A listener is any callable that takes an event.

Each file goes FileFound → FileHashed → (UploadStarted → BytesSent… → FileStored) → FileFinished; one that fails goes to
FileFinished from any of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from shoebox_client.records import Record, Report
from shoebox_client.retry import Retry


@dataclass(frozen=True, slots=True)
class FileFound:
    """A picture is to be uploaded."""

    record: Record


@dataclass(frozen=True, slots=True)
class FileLeftOut:
    """Something is not uploaded, on purpose."""

    path: Path
    reason: str


@dataclass(frozen=True, slots=True)
class WalkFinished:
    """The folders are walked to their end: no more FileFound."""


@dataclass(frozen=True, slots=True)
class FileHashed:
    """A file's content is known."""

    record: Record


@dataclass(frozen=True, slots=True)
class UploadStarted:
    """A file's bytes are to be sent."""

    record: Record


@dataclass(frozen=True, slots=True)
class BytesSent:
    """`count` bytes more (less, when a try failed) of a file have gone out."""

    record: Record
    count: int


@dataclass(frozen=True, slots=True)
class RetryScheduled:
    """A try failed; another follows. `record` is None for a call that is about many files.

    `since`: seconds since the first try of the same failed.
    """

    record: Record | None
    detail: str
    since: float = 0.0


@dataclass(frozen=True, slots=True)
class FileStored:
    """All bytes of a file are with the service; it is processed now."""

    record: Record


@dataclass(frozen=True, slots=True)
class FileFinished:
    """A file needs nothing more: it is ready, rejected, failed, stored before, or the twin of another."""

    record: Record


Event: TypeAlias = (
    FileFound
    | FileLeftOut
    | WalkFinished
    | FileHashed
    | UploadStarted
    | BytesSent
    | RetryScheduled
    | FileStored
    | FileFinished
)
Listener: TypeAlias = Callable[[Event], None]


def ignore(event: Event) -> None:
    """Take no notice of an event."""


class TransferProgress:
    """The bytes of one file that have gone out: added up in `report`, and told to `listener` at each change."""

    def __init__(self, record: Record, report: Report, listener: Listener) -> None:
        self._record = record
        self._report = report
        self._listener = listener
        self._shown = 0

    def sent(self, count: int) -> None:
        """Count bytes that have gone out; a negative `count` takes back those of an attempt that failed."""
        self._report.bytes_sent += count
        self.kept(count)

    def kept(self, count: int) -> None:
        """Show bytes as sent that the service holds from an earlier run."""
        self._shown += count
        self._listener(BytesSent(self._record, count))

    def rewind(self) -> None:
        """Show nothing of this file as sent: it starts anew."""
        self.kept(-self._shown)

    def retrying(self, retry: Retry) -> None:
        """Tell that an attempt failed and another follows."""
        self._listener(RetryScheduled(self._record, retry.error.detail, retry.since))
