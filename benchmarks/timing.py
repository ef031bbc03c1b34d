"""Fair timing: interleaved repeats, medians, and CPU time beside wall time."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timing:
    """Medians over the repeats, in microseconds a call: CPU of this process, and wall clock."""

    cpu_us: float
    wall_us: float


def compare(candidates: Mapping[str, Callable[[], object]], *, calls: int, repeats: int = 7) -> dict[str, Timing]:
    """Time each candidate `calls` times, `repeats` rounds, one after the other within each round."""
    for candidate in candidates.values():
        candidate()
    rounds: dict[str, list[tuple[float, float]]] = {name: [] for name in candidates}
    for _ in range(repeats):
        for name, candidate in candidates.items():
            rounds[name].append(_time(candidate, calls))
    return {
        name: Timing(statistics.median(cpu for cpu, _ in times), statistics.median(wall for _, wall in times))
        for name, times in rounds.items()
    }


def _time(candidate: Callable[[], object], calls: int) -> tuple[float, float]:
    cpu, wall = time.process_time(), time.perf_counter()
    for _ in range(calls):
        candidate()
    return (time.process_time() - cpu) / calls * 1e6, (time.perf_counter() - wall) / calls * 1e6
