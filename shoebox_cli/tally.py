"""Adds up an upload's events: pure numbers, for any way of showing them."""

from __future__ import annotations

from dataclasses import dataclass, field

from shoebox_client import events
from shoebox_client.records import Outcome, Record


@dataclass(slots=True)
class Tally:
    """Counts of files and bytes so far; `bytes_total` is what has to go out, as far as is known."""

    found: int = 0
    all_found: bool = False
    hashed: int = 0
    stored: int = 0
    finished: int = 0
    bytes_total: int = 0
    bytes_sent: int = 0
    _following: set[Record] = field(default_factory=set)

    def __call__(self, event: events.Event) -> None:
        """Take in an event."""
        match event:
            case events.FileFound(record):
                self.found += 1
                self.bytes_total += record.size
            case events.WalkFinished():
                self.all_found = True
            case events.FileHashed():
                self.hashed += 1
            case events.BytesSent(_, count):
                self.bytes_sent += count
            case events.FileStored(record):
                self.stored += 1
                self._following.add(record)
            case events.FileFinished(record):
                self._finish(record)

    def _finish(self, record: Record) -> None:
        self.finished += 1
        if record in self._following:
            self._following.discard(record)
        elif record.outcome is not Outcome.UNFINISHED or record.already_stored or record.duplicate_of:
            self.bytes_total -= record.size  # none of its bytes have to go out

    @property
    def processing(self) -> int:
        """Files that are stored and not yet looked at."""
        return len(self._following)
