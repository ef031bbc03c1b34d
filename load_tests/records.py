"""What the phones saw, photo by photo: kept by each Locust process, gathered by the master."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple, TypeAlias

Document: TypeAlias = dict[str, Any]


class Fate(StrEnum):
    """What became of a photo."""

    READY = "READY"
    REJECTED = "REJECTED"
    REFUSED = "refused"
    """Its registration or its PUT never succeeded."""
    UNSETTLED = "unsettled"
    """Its bytes arrived, and it was neither READY nor REJECTED when the run ended."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A call that came to nothing. `passing`: it may succeed when it is tried again."""

    reason: str
    passing: bool


class PhotoRecord(NamedTuple):
    """One photo's way. Moments are the service's own, Unix seconds; those that never came are None."""

    visit: int
    fate: str
    registered: float | None = None
    uploaded: float | None = None
    received: float | None = None
    finished: float | None = None
    reason: str = ""


@dataclass
class Records:
    """What one process, or all of them, have to tell. A `Records` of a part is merged into that of the whole."""

    photos: list[PhotoRecord] = field(default_factory=list)
    begun: int = 0
    """Visits that began in time."""
    brought: int = 0
    """Their photos: so many records there must be at the end."""
    bytes: int = 0
    """Of these photos."""
    late: list[float] = field(default_factory=list)
    """Seconds that these began after their time."""
    done: int = 0
    """Processes whose visits have all ended."""
    ended: int = 0
    """Visits that ended: the others that began are under way."""

    def drain(self) -> Document:
        """Everything since the last time, as a message; and forget it."""
        message = {name: value for name, value in vars(self).items() if value}
        self.__init__()  # type: ignore[misc]  # empty again
        return message

    def merge(self, message: Document) -> None:
        """Add what another process drained."""
        self.photos += [PhotoRecord(*photo) for photo in message.get("photos", ())]
        self.late += message.get("late", ())
        for name in ("begun", "brought", "bytes", "done", "ended"):
            setattr(self, name, getattr(self, name) + message.get(name, 0))


def settled(visit: int, file: Document) -> PhotoRecord:
    """The record of a file that is READY or REJECTED, from the API's document."""
    return PhotoRecord(
        visit,
        str(file["state"]),
        registered=_moment(file.get("registered_at")),
        uploaded=_moment(file.get("uploaded_at")),
        received=_moment(file.get("received_at")),
        finished=_moment(file.get("finished_at")),
        reason=file.get("reason") or "",
    )


def unsettled(visit: int, count: int) -> Iterable[PhotoRecord]:
    """Records of photos whose bytes arrived, and which have no final state."""
    return (PhotoRecord(visit, Fate.UNSETTLED) for _ in range(count))


def _moment(text: str | None) -> float | None:
    return None if text is None else datetime.fromisoformat(text).timestamp()
