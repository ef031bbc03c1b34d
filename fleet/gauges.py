"""Gauges that a scrape of /metrics reads from the fleet's statistics."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from fleet.limit_board import LimitBoard
from fleet.limits.use import LimitUse
from fleet.metrics import Metrics
from fleet.statistics import FleetStatistics


def show_gauges(metrics: Metrics, statistics: Callable[[], FleetStatistics], limits: LimitBoard) -> None:
    """Environments by state, invocations that wait, batches at work, mappings that SQS refuses, and every limit."""

    def environments() -> Iterable[tuple[list[str], float]]:
        for pool in statistics().pools:
            for state, count in pool.environments.items():
                yield [pool.function, state], count

    def waiting() -> Iterable[tuple[list[str], float]]:
        return [([pool.function], pool.waiting) for pool in statistics().pools]

    def oldest() -> Iterable[tuple[list[str], float]]:
        return [([pool.function], pool.oldest_wait) for pool in statistics().pools]

    def batches() -> Iterable[tuple[list[str], float]]:
        return [([mapping.function], mapping.batches) for mapping in statistics().mappings]

    def blocked() -> Iterable[tuple[list[str], float]]:
        return [([mapping.function], float(bool(mapping.last_error))) for mapping in statistics().mappings]

    def each(value: Callable[[LimitUse], float]) -> Callable[[], Iterable[tuple[list[str], float]]]:
        return lambda: [([use.limit, use.subject], value(use)) for use in limits.uses]

    function = ["function"]
    metrics.watch("fleet_environments", "Environments by state.", ["function", "state"], environments)
    metrics.watch("fleet_waiting", "Invocations that wait for a slot.", function, waiting)
    metrics.watch("fleet_waiting_seconds", "How long the longest waiting invocation waits.", function, oldest)
    metrics.watch("fleet_mapping_batches_at_work", "Batches at work.", function, batches)
    metrics.watch("fleet_mapping_blocked", "1 while SQS refuses a mapping.", function, blocked)
    limit = ["limit", "subject"]
    metrics.watch("fleet_limit_used", "How much of a limit is used.", limit, each(lambda use: use.used))
    metrics.watch("fleet_limit_peak", "The highest use since the start.", limit, each(lambda use: use.peak))
    metrics.watch("fleet_limit_most", "The limit.", limit, each(lambda use: use.most))
    metrics.watch("fleet_limit_throttled", "Refusals by this limit.", limit, each(lambda use: use.throttled))
