"""Gauges that a scrape of /metrics reads from the fleet's statistics."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from fleet.metrics import Metrics
from fleet.statistics import FleetStatistics


def show_gauges(metrics: Metrics, statistics: Callable[[], FleetStatistics]) -> None:
    """Environments by state, invocations that wait, batches at work, and mappings that SQS refuses."""

    def environments() -> Iterable[tuple[list[str], float]]:
        for pool in statistics().pools:
            for state, count in pool.environments.items():
                yield [pool.function, state], count

    def waiting() -> Iterable[tuple[list[str], float]]:
        return [([pool.function], pool.waiting) for pool in statistics().pools]

    def batches() -> Iterable[tuple[list[str], float]]:
        return [([mapping.function], mapping.batches) for mapping in statistics().mappings]

    def blocked() -> Iterable[tuple[list[str], float]]:
        return [([mapping.function], float(bool(mapping.last_error))) for mapping in statistics().mappings]

    function = ["function"]
    metrics.watch("fleet_environments", "Environments by state.", ["function", "state"], environments)
    metrics.watch("fleet_waiting", "Invocations that wait for a slot.", function, waiting)
    metrics.watch("fleet_mapping_batches_at_work", "Batches at work.", function, batches)
    metrics.watch("fleet_mapping_blocked", "1 while SQS refuses a mapping.", function, blocked)
