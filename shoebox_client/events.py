"""What happens during an upload, for whoever shows it. A listener is any callable that takes an event.

Each file goes Found → Hashed → (Registered → Sending → Sent… → Stored) → Settled, or ends in Failed at any point.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from shoebox_client.records import Record


@dataclass(frozen=True, slots=True)
class Found:
    """A picture is to be uploaded."""

    record: Record


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Something is not uploaded, on purpose."""

    path: Path
    reason: str


@dataclass(frozen=True, slots=True)
class AllFound:
    """The folders are walked to their end: no more Found."""


@dataclass(frozen=True, slots=True)
class Hashed:
    """A file's content is known."""

    record: Record


@dataclass(frozen=True, slots=True)
class Sending:
    """A file's bytes are to be sent."""

    record: Record


@dataclass(frozen=True, slots=True)
class Sent:
    """`count` bytes more (less, when a try failed) of a file have gone out."""

    record: Record
    count: int


@dataclass(frozen=True, slots=True)
class Retrying:
    """A try failed; another follows. `record` is None for a call that is about many files.

    `since`: seconds since the first try of the same failed.
    """

    record: Record | None
    detail: str
    since: float = 0.0


@dataclass(frozen=True, slots=True)
class Stored:
    """All bytes of a file are with the service; it is processed now."""

    record: Record


@dataclass(frozen=True, slots=True)
class Settled:
    """A file needs nothing more: it is ready, rejected, failed, stored before, or the twin of another."""

    record: Record


Event: TypeAlias = Found | LeftOut | AllFound | Hashed | Sending | Sent | Retrying | Stored | Settled
Listener: TypeAlias = Callable[[Event], None]


def nobody(event: Event) -> None:
    """A listener that takes no notice."""
