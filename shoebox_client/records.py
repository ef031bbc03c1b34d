"""What is known of each file of an upload, from the walk to its final state, and the report of a run."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from shoebox_client.errors import ClientError
from shoebox_client.hashing import Fingerprint
from shoebox_client.names import as_unicode, clean_name


class Outcome(StrEnum):
    """Where a file stands at the end of a run."""

    READY = "READY"
    REJECTED = "REJECTED"  # the service looked and refused; `code` is the reason
    UPLOADED = "UPLOADED"  # stored, and nobody waited for the rest
    FAILED = "FAILED"  # never stored; `code` says why
    UNFINISHED = "UNFINISHED"  # interrupted, or not processed in time: run again


@dataclass(slots=True, eq=False)
class Record:
    """A file of an upload: local facts, then the service's.

    Size in bytes, width and height in pixels, `milliseconds` from registration to the final state.
    """

    path: Path
    size: int
    content_type: str
    fingerprint: Fingerprint | None = None
    file_id: str | None = None
    outcome: Outcome = Outcome.UNFINISHED
    stored: bool = False  # all bytes are with the service
    already_stored: bool = False  # and were so before this run
    code: str | None = None
    detail: str | None = None
    width: int | None = None
    height: int | None = None
    milliseconds: int | None = None
    warnings: list[str] = field(default_factory=list)
    duplicate_of: Record | None = None
    finished: bool = False  # this run does nothing more for it

    @property
    def name(self) -> str:
        """The file's name as it is registered: one that the service accepts, whatever the file is called."""
        return clean_name(self.path.name)

    @property
    def succeeded(self) -> bool:
        """Stored, and not refused so far."""
        return self.outcome in {Outcome.READY, Outcome.UPLOADED}

    @property
    def sha256(self) -> str:
        """SHA-256 in hex; the file has been hashed."""
        assert self.fingerprint is not None
        return self.fingerprint.sha256

    def registration(self) -> dict[str, Any]:
        """Return this file as an entry of POST /v1/files."""
        return {"name": self.name, "size": self.size, "content_type": self.content_type, "sha256": self.sha256}

    def fail(self, error: ClientError) -> None:
        """Note why this file is not stored."""
        self.outcome, self.code, self.detail = Outcome.FAILED, error.code, error.detail

    def update(self, file: dict[str, Any]) -> None:
        """Take over what the service says of the file, as a File of the API."""
        self.file_id = file["file_id"]
        self.width, self.height = file.get("width"), file.get("height")
        if file["state"] not in (Outcome.READY, Outcome.REJECTED):
            return
        self.outcome, self.stored = Outcome(file["state"]), True
        self.code, self.detail = file.get("reason"), file.get("detail")
        self.warnings = file.get("warnings") or []
        if (start := file.get("registered_at")) and (end := file.get("finished_at")):
            took = datetime.fromisoformat(end) - datetime.fromisoformat(start)
            self.milliseconds = round(took.total_seconds() * 1000)

    def copy_outcome(self) -> None:
        """End as the file does that this one is a duplicate of."""
        first = self.duplicate_of
        assert first is not None
        self.file_id, self.outcome, self.stored = first.file_id, first.outcome, first.stored
        self.code, self.detail, self.width, self.height = first.code, first.detail, first.width, first.height
        self.milliseconds, self.warnings = first.milliseconds, first.warnings

    def document(self) -> dict[str, Any]:
        """Return this record as JSON; docs/reference/cli.md describes it."""
        return {
            "path": as_unicode(str(self.path)),
            "name": self.name,
            "size": self.size,
            "content_type": self.content_type,
            "sha256": self.fingerprint.sha256 if self.fingerprint else None,
            "file_id": self.file_id,
            "outcome": self.outcome.value,
            "already_stored": self.already_stored,
            "duplicate_of": as_unicode(str(self.duplicate_of.path)) if self.duplicate_of else None,
            "code": self.code,
            "detail": self.detail,
            "width": self.width,
            "height": self.height,
            "milliseconds": self.milliseconds,
            "warnings": self.warnings,
        }


@dataclass(slots=True)
class Report:
    """A run's records in the order they were found, what was left out, bytes sent, and its time in seconds."""

    records: list[Record] = field(default_factory=list)
    left_out: list[tuple[Path, str]] = field(default_factory=list)
    bytes_sent: int = 0
    seconds: float = 0.0

    def count(self, outcome: Outcome) -> int:
        """Count the files that ended with this outcome."""
        return sum(record.outcome is outcome for record in self.records)

    @property
    def succeeded(self) -> bool:
        """Every file is stored and none was refused."""
        return all(record.succeeded for record in self.records)

    def summary(self) -> dict[str, Any]:
        """Return the counts as JSON."""
        seconds = max(self.seconds, 0.001)
        return {
            "files": len(self.records),
            **{outcome.value.lower(): self.count(outcome) for outcome in Outcome},
            "already_stored": sum(r.already_stored for r in self.records),
            "duplicates": sum(r.duplicate_of is not None for r in self.records),
            "left_out": len(self.left_out),
            "bytes_sent": self.bytes_sent,
            "seconds": round(self.seconds, 3),
            "files_per_second": round(sum(r.stored for r in self.records) / seconds, 2),
        }
