"""How many batches a mapping may have at work, and how long it waits after trouble. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

POLLERS = 5  # AWS Lambda, "Configuring scaling behavior for SQS event source mappings": where every mapping starts


class Scale(Protocol):
    """The number of batches at once; it is told how invocations end, and may change. `now` in seconds."""

    def limit(self, now: float) -> int:
        """Batches that may be at work now."""

    def ended(self, now: float, *, throttled: bool) -> None:
        """An invocation has ended, or was refused."""


@dataclass(frozen=True, slots=True)
class FixedScale:
    """Always the same number: MaximumConcurrency, or the pollers that a mapping starts with."""

    batches: int = POLLERS

    def limit(self, now: float) -> int:
        """Batches that may be at work now."""
        return self.batches

    def ended(self, now: float, *, throttled: bool) -> None:
        """Nothing changes."""


class Backoff:
    """Waits that double, from `first` to `most` seconds, until something succeeds."""

    def __init__(self, first: float, most: float) -> None:
        self._first = first
        self._most = most
        self._next = first

    def next(self) -> float:
        """Seconds to wait now."""
        delay, self._next = self._next, min(self._next * 2, self._most)
        return delay

    def reset(self) -> None:
        """Begin again with the first."""
        self._next = self._first
