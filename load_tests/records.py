"""What the phones recorded, photo by photo: kept by each Locust process, gathered by the master."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple, TypeAlias

Document: TypeAlias = dict[str, Any]

READY_METHOD = "photo"
"""The method by which Locust's statistics tell photos, from registration to READY, from HTTP calls."""


class Outcome(StrEnum):
    """How a photo ended."""

    READY = "READY"
    REJECTED = "REJECTED"
    REFUSED = "refused"
    """Its registration or its PUT never succeeded."""
    UNSETTLED = "unsettled"
    """Its bytes arrived, and it was neither READY nor REJECTED when the run ended."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A call that failed, and whether it is worth another try."""

    reason: str
    retryable: bool


class PhotoRecord(NamedTuple):
    """One photo of a visit. Times are the service's own, in Unix seconds; None where the service has none."""

    visit: int
    outcome: str
    registered: float | None = None
    uploaded: float | None = None
    received: float | None = None
    finished: float | None = None
    reason: str = ""

    @classmethod
    def of_file(cls, visit: int, file: Document) -> PhotoRecord:
        """Return the record of a file that is READY or REJECTED, from the API's document."""

        def time(name: str) -> float | None:
            text = file.get(name)
            return None if text is None else datetime.fromisoformat(text).timestamp()

        return cls(
            visit,
            str(file["state"]),
            registered=time("registered_at"),
            uploaded=time("uploaded_at"),
            received=time("received_at"),
            finished=time("finished_at"),
            reason=file.get("reason") or "",
        )


@dataclass
class Records:
    """Everything that one process recorded, or all of them: a process's records are merged into those of the whole."""

    photos: list[PhotoRecord] = field(default_factory=list)
    visits_begun: int = 0
    """Visits that began in time."""
    photos_begun: int = 0
    """The photos of these visits: there must be as many records at the end."""
    bytes: int = 0
    """The size of these photos."""
    late: list[float] = field(default_factory=list)
    """For each of these visits, the seconds by which it began after its time."""
    processes_done: int = 0
    """Processes whose visits have all ended."""
    visits_ended: int = 0
    """Visits that ended; the others that began are under way."""

    def drain(self) -> Document:
        """Return everything since the last call, as a message, and forget it."""
        message = {name: value for name, value in vars(self).items() if value}
        self.__init__()  # type: ignore[misc]  # empty again
        return message

    def merge(self, message: Document) -> None:
        """Add what another process drained."""
        # Locust sends msgpack, which makes lists of tuples.
        self.photos += [PhotoRecord(*photo) for photo in message.get("photos", ())]
        self.late += message.get("late", ())
        for name in ("visits_begun", "photos_begun", "bytes", "processes_done", "visits_ended"):
            setattr(self, name, getattr(self, name) + message.get(name, 0))
