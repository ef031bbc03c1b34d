"""The topic `file-events`: what happened to files, for whoever subscribes a queue.

Delivered at least once; `event_id` is the same for every delivery of one fact, and another after a new registration.
Shape: docs/reference/events.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from shoebox.files.model import Generation, Picture, State
from shoebox.timestamps import iso


@dataclass(frozen=True, slots=True)
class FileEvent:
    """A file reached a final state: `file.ready`, with its `picture`, or `file.rejected`, with the reason."""

    generation: Generation
    state: State
    at: datetime
    reason: str | None = None
    picture: Picture | None = None

    @property
    def event(self) -> str:
        """Return the event's name."""
        return f"file.{self.state.lower()}"

    def document(self) -> dict[str, Any]:
        """Return the message as subscribers get it."""
        key = self.generation.key
        metadata = self.picture.metadata if self.picture else {}
        return {
            "event": self.event,
            "event_id": ":".join(part for part in (key.file_id, self.generation.ulid, self.event) if part),
            "tenant": key.owner.tenant,
            "user": key.owner.user,
            "file_id": key.file_id,
            "reason": self.reason,
            "warnings": self.picture.warnings if self.picture else (),
            "captured_at": metadata.get("captured_at"),
            "captured_at_source": metadata.get("captured_at_source"),  # older items have none
            "at": iso(self.at),
        }


class EventPublisher(Protocol):
    """Publishes file events, at least once each."""

    async def publish(self, events: Sequence[FileEvent]) -> None:
        """Publish events; subscribers may filter by the attributes `event` and `tenant`.

        Raises:
            Unavailable: retryable; some of them may not be published, so publish all again.
        """
        ...
