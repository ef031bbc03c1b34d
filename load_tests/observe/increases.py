"""How much counters grew since the first sample. Pure.

A counter that falls belongs to a process that was started anew, and counts from 0 (Prometheus, "increase()"): what it
shows then is new, and what it had counted since the sample before is lost.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)


class Increases(Generic[Key]):
    """Counters of one kind, by key. Those that appear after the first sample began at 0 there."""

    def __init__(self) -> None:
        self._last: dict[Key, float] | None = None
        self.totals: dict[Key, float] = {}
        """The growth of each counter since the first sample."""
        self.restarts = 0
        """How often counters fell."""

    def note(self, values: Iterable[tuple[Key, float]]) -> Mapping[Key, float | None]:
        """Record the counters at this sample; return the growth of each since the one before, None if it fell."""
        if self._last is None:
            self._last = dict(values)
            self.totals = dict.fromkeys(self._last, 0.0)
            return {}
        return {key: self._grown(self._last, key, value) for key, value in values}

    def _grown(self, last: dict[Key, float], key: Key, value: float) -> float | None:
        before = last.get(key, 0.0)
        last[key] = value
        fell = value < before
        self.totals[key] = self.totals.get(key, 0.0) + (value if fell else value - before)
        self.restarts += fell
        return None if fell else value - before
