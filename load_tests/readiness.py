"""How long photos took from their registration until READY, as requests of their own in Locust's statistics and page.

Taken from the service's own times, so neither the phone's clock nor how often it asks counts.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from load_tests.records import Document

if TYPE_CHECKING:
    from locust.event import EventHook

METHOD = "photo"


class NotReady(Exception):
    """A photo did not become READY; the message says why."""


class Readiness:
    """Fires Locust's request event once for each photo."""

    def __init__(self, request: EventHook) -> None:
        self._request = request

    def settled(self, file: Document) -> None:
        """A file is READY or REJECTED."""
        why = None if file["state"] == "READY" else f"{file['state']} {file['reason']}"
        self._fire(_milliseconds(file), file["size"], why)

    def gave_up(self, seconds: float) -> None:
        """A file was neither after `seconds`."""
        self._fire(seconds * 1000, 0, f"still not processed after {seconds:g} s")

    def _fire(self, milliseconds: float, size: int, why: str | None) -> None:
        self._request.fire(  # type: ignore[no-untyped-call]
            request_type=METHOD,
            name="READY",
            response_time=milliseconds,
            response_length=size,
            exception=None if why is None else NotReady(why),
            context={},
        )


def _milliseconds(file: Document) -> float:
    registered, finished = (datetime.fromisoformat(file[name]) for name in ("registered_at", "finished_at"))
    return (finished - registered).total_seconds() * 1000
