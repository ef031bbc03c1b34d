"""Queues over a run: depth, age of the oldest message, repeated deliveries, dead letters. Pure."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from load_tests.observe.increases import Increases
from load_tests.observe.panels import Panels
from load_tests.observe.scrape import Scrape
from load_tests.results import Queue

_DEPTH = ("waiting", "in_flight", "delayed")


@dataclass(slots=True)
class _QueuePeaks:
    peak_depth: int = 0
    peak_depth_at: float | None = None
    peak_age: float | None = None


class QueuesOfRun:
    """Every queue that the fleet reports, dead-letter queues too, and Lambda's own of asynchronous events."""

    def __init__(self) -> None:
        self._seen: defaultdict[str, _QueuePeaks] = defaultdict(_QueuePeaks)
        self._again: Increases[tuple[str, ...]] = Increases()
        self._first: int | None = None
        self._last = 0
        self._dead_before: dict[str, float] | None = None
        self._dead: dict[str, float] = {}

    def note(self, t: float, scrape: Scrape, panels: Panels) -> None:
        """Record the queues at this sample."""
        depths = self._depths(scrape)
        self._last = sum(depths.values())
        self._first = self._last if self._first is None else self._first
        ages = {name: value for (name,), value in scrape.by("fleet_queue_oldest_seconds", "queue")}
        self._again.note(scrape.by("fleet_queue_received_again_total", "queue"))
        self._note_dead_letters(scrape)
        for name, depth in depths.items():
            seen = self._seen[name]
            if depth > seen.peak_depth:
                seen.peak_depth, seen.peak_depth_at = depth, t
        for name, age in ages.items():
            seen = self._seen[name]
            seen.peak_age = max(seen.peak_age or 0.0, age)
        panels.add("backlog", "messages", t, dict(depths))
        panels.add("age", "s", t, dict(ages))

    @property
    def left(self) -> int | None:
        """Messages and events that were there at the last sample, dead letters too, beyond those of the first."""
        return None if self._first is None else max(0, self._last - self._first)

    def results(self) -> list[Queue]:
        """Return each queue, in the order in which they were first seen."""
        return [
            Queue(
                name=name,
                peak_depth=seen.peak_depth,
                peak_depth_at=seen.peak_depth_at,
                peak_age=seen.peak_age,
                received_again=None if (again := self._again.totals.get((name,))) is None else int(again),
                dead_letters=int(self._dead.get(name, 0)),
            )
            for name, seen in self._seen.items()
        ]

    def _depths(self, scrape: Scrape) -> dict[str, int]:
        depths: defaultdict[str, int] = defaultdict(int)
        for (name, state), count in scrape.by("fleet_queue_messages", "queue", "state"):
            if state in _DEPTH:
                depths[name] += int(count)
        for (function,), count in scrape.by("fleet_async_pending", "function"):
            name = f"asynchronous events of {function}"
            if count or name in self._seen:
                depths[name] = int(count)
        return depths

    def _note_dead_letters(self, scrape: Scrape) -> None:
        """Record the highest number beyond those before the run; a redrive meanwhile takes none of them back."""
        held = {name: count for (name,), count in scrape.by("fleet_queue_dead_letters", "queue")}
        if self._dead_before is None and held:
            self._dead_before = held
        for name, count in held.items():
            more = count - (self._dead_before or {}).get(name, 0.0)
            self._dead[name] = max(self._dead.get(name, 0.0), more)
