"""Counts of a simulated day: in all, and by interval."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from load_tests import results
from load_tests.simulator.backlog import Cohort
from load_tests.simulator.limits import LimitName

STAGES = ("registered → uploaded", "uploaded → received", "received → ready", "registered → ready")
_EXACT_TO, _EXACT, _COARSE = 10.0, 2, 1  # seconds are kept to 10 ms, from ten on to 100 ms: fewer different ones


@dataclass(slots=True)
class Point:
    """An interval that ended at `second`. Photos are of the interval, backlog (messages) and age (s) at its end."""

    second: float
    offered: int
    ready: int
    backlog: int
    age: float
    concurrency: Mapping[str, int]
    """Invocations at once, the highest, by function."""
    max_batches: float
    """The mapping's limit of batches at work."""
    refusals: Mapping[LimitName, int]
    p50: float | None
    p99: float | None


@dataclass(slots=True)
class BilledCalls:
    """Calls to services that AWS bills."""

    requests: int = 0
    invocations: Counter[str] = field(default_factory=Counter)
    seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    write_units: float = 0.0
    read_units: float = 0.0
    puts: int = 0
    gets: int = 0
    messages: int = 0
    """Requests to SQS: S3's to send, the mapping's to receive and to delete."""
    publishes: int = 0


class Tally:
    """Photos by outcome, how long they took, and the calls that are billed for them."""

    def __init__(self) -> None:
        self.calls = BilledCalls()
        self.offered = self.registered = self.ready = self.refused = self.dead = 0
        self.last_ready = 0.0
        self.peak_backlog, self.peak_backlog_at, self.peak_age = 0, 0.0, 0.0
        self.received_again = 0
        self.stages: dict[str, Counter[float]] = {stage: Counter() for stage in STAGES}
        self.points: list[Point] = []
        self._delays: Counter[float] = Counter()
        self._before = (0, 0)

    def photos_ready(self, cohort: Cohort, received: float, at: float) -> None:
        """Count a cohort's photos as READY at second `at`, received at another."""
        photos = cohort.photos
        self.ready += photos
        self.last_ready = max(self.last_ready, at)
        times = (
            cohort.uploaded - cohort.registered,
            received - cohort.uploaded,
            at - received,
            at - cohort.registered,
        )
        for stage, seconds in zip(self.stages.values(), times, strict=True):
            stage[_rounded(seconds)] += photos
        self._delays[_rounded(times[-1])] += photos

    def backlog(self, now: float, waiting: int, age: float) -> None:
        """Record the backlog at this moment."""
        if waiting > self.peak_backlog:
            self.peak_backlog, self.peak_backlog_at = waiting, now
        self.peak_age = max(self.peak_age, age)

    def interval(
        self,
        second: float,
        waiting: int,
        age: float,
        *,
        concurrency: Mapping[str, int],
        max_batches: float,
        refusals: Mapping[LimitName, int],
    ) -> None:
        """End an interval."""
        offered, ready = self.offered - self._before[0], self.ready - self._before[1]
        self._before = self.offered, self.ready
        p50, p99 = (at_rank(self._delays, percent) for percent in (50, 99))
        self._delays.clear()
        self.points.append(Point(second, offered, ready, waiting, age, concurrency, max_batches, refusals, p50, p99))


def at_rank(times: Counter[float], percent: float) -> float | None:
    """Return a percentile of times with their numbers of photos, by nearest rank; None of none."""
    total = times.total()
    return results.at_rank(sorted(times.items()), total, percent) if total else None


def _rounded(seconds: float) -> float:
    return round(seconds, _EXACT if seconds < _EXACT_TO else _COARSE)
