"""Fair comparisons: rounds that take turns, so that a disturbance hits every candidate, and medians over the rounds."""

from __future__ import annotations

import statistics
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

Candidate = TypeVar("Candidate")
Measured = TypeVar("Measured")


def interleave(
    candidates: Mapping[str, Candidate], rounds: int, measure: Callable[[Candidate], Measured]
) -> dict[str, list[Measured]]:
    """Measure every candidate once in each round; return the measurements by the candidates' names."""
    measured: dict[str, list[Measured]] = {name: [] for name in candidates}
    for _ in range(rounds):
        for name, candidate in candidates.items():
            measured[name].append(measure(candidate))
    return measured


async def interleave_async(
    candidates: Mapping[str, Candidate], rounds: int, measure: Callable[[Candidate], Awaitable[Measured]]
) -> dict[str, list[Measured]]:
    """Measure as `interleave` does, with a coroutine."""
    measured: dict[str, list[Measured]] = {name: [] for name in candidates}
    for _ in range(rounds):
        for name, candidate in candidates.items():
            measured[name].append(await measure(candidate))
    return measured


def median(rounds: Sequence[Any], attribute: str) -> float:
    """Return the median of one attribute over the rounds."""
    return statistics.median(getattr(measured, attribute) for measured in rounds)


@dataclass(frozen=True, slots=True)
class Timing:
    """Medians over the rounds, in microseconds a call: CPU of this process, and wall clock."""

    cpu_us: float
    wall_us: float


def compare(candidates: Mapping[str, Callable[[], object]], *, calls: int, rounds: int = 7) -> dict[str, Timing]:
    """Time `calls` calls of each candidate in each round, after one call that is not timed."""

    def time_calls(candidate: Callable[[], object]) -> Timing:
        cpu, wall = time.process_time(), time.perf_counter()
        for _ in range(calls):
            candidate()
        return Timing((time.process_time() - cpu) / calls * 1e6, (time.perf_counter() - wall) / calls * 1e6)

    for candidate in candidates.values():
        candidate()
    measured = interleave(candidates, rounds, time_calls)
    return {name: Timing(median(times, "cpu_us"), median(times, "wall_us")) for name, times in measured.items()}
