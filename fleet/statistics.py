"""A fleet's statistics, and the gauges and counters that a scrape of /metrics reads from them and from its queues."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from fleet.async_events import AsyncStatistics
from fleet.environments.pool import PoolStatistics
from fleet.gateway.authorizer import CacheStatistics
from fleet.limit_registry import LimitRegistry
from fleet.limits.use import LimitUse
from fleet.metrics import Metrics
from fleet.queues.depths import Depths
from fleet.queues.mapping_settings import MappingStatistics
from fleet.queues.queue_monitor import QueueMonitor

Read: TypeAlias = Callable[[], Iterable[tuple[list[str], float]]]


@dataclass(frozen=True, slots=True)
class FleetStatistics:
    """Pools and mappings in the order of stack.yaml, asynchronous events by function, and the authorizer's cache.

    Behind the mappings are S3's deliveries, where it invokes functions itself (fleet.queues.s3_delivery).
    """

    pools: Sequence[PoolStatistics]
    mappings: Sequence[MappingStatistics]
    events: Sequence[AsyncStatistics]
    authorizer: CacheStatistics


def show_gauges(metrics: Metrics, statistics: Callable[[], FleetStatistics], limits: LimitRegistry) -> None:
    """Show environments by state, waiting invocations, mappings and what SQS refuses them, every limit, and events."""

    def environments() -> Iterable[tuple[list[str], float]]:
        for pool in statistics().pools:
            for state, count in pool.environments.items():
                yield [pool.function, state], count

    def of_pools(value: Callable[[PoolStatistics], float]) -> Read:
        return lambda: [([pool.function], value(pool)) for pool in statistics().pools]

    def of_mappings(value: Callable[[MappingStatistics], float]) -> Read:
        return lambda: [([mapping.function], value(mapping)) for mapping in statistics().mappings]

    def of_limits(value: Callable[[LimitUse], float]) -> Read:
        return lambda: [([use.limit, use.subject], value(use)) for use in limits.uses]

    metrics.watch("fleet_environments", "Environments by state.", ["function", "state"], environments)
    function, limit = ["function"], ["limit", "subject"]
    for name, text, labels, read in (
        (
            "fleet_concurrency",
            "Invocations that a limit admitted: those that run and those that wait for a slot.",
            function,
            of_pools(lambda p: p.running + p.waiting),
        ),
        (
            "fleet_function_memory_bytes",
            "What a function's environment has.",
            function,
            of_pools(lambda p: p.memory * 2**20),
        ),
        ("fleet_waiting", "Invocations that wait for a slot.", function, of_pools(lambda p: p.waiting)),
        (
            "fleet_waiting_seconds",
            "How long the longest waiting invocation waits.",
            function,
            of_pools(lambda p: p.oldest_wait),
        ),
        ("fleet_mapping_batches_at_work", "Batches at work.", function, of_mappings(lambda m: m.batches)),
        (
            "fleet_mapping_blocked",
            "1 while SQS refuses a mapping.",
            function,
            of_mappings(lambda m: bool(m.last_error)),
        ),
        ("fleet_limit_used", "How much of a limit is used.", limit, of_limits(lambda use: use.used)),
        ("fleet_limit_peak", "The highest use since the start.", limit, of_limits(lambda use: use.peak)),
        ("fleet_limit_most", "The limit.", limit, of_limits(lambda use: use.maximum)),
        ("fleet_limit_throttled", "Refusals by this limit.", limit, of_limits(lambda use: use.throttled)),
    ):
        metrics.watch(name, text, labels, read)
    _show_events(metrics, statistics)


def _show_events(metrics: Metrics, statistics: Callable[[], FleetStatistics]) -> None:
    """Show asynchronous events: those that are pending, the outcomes of the others, and the tries that it took."""

    def of_events(*names: str) -> Read:
        return lambda: [([e.function, name], getattr(e, name)) for e in statistics().events for name in names]

    def of_pending(value: Callable[[AsyncStatistics], float]) -> Read:
        return lambda: [([events.function], value(events)) for events in statistics().events]

    for name, text, read in (
        ("fleet_async_pending", "Asynchronous events that wait or run.", of_pending(lambda e: e.pending)),
        ("fleet_async_oldest_seconds", "Age of the oldest of them.", of_pending(lambda e: e.oldest)),
    ):
        metrics.watch(name, text, ["function"], read)
    for name, text, label, read in (
        ("fleet_async_events", "Asynchronous events that ended.", "fate", of_events("succeeded", "given_up")),
        ("fleet_async_tries", "Tries that did not succeed.", "outcome", of_events("throttled", "failed")),
    ):
        metrics.watch_total(name, text, ["function", label], read)


def show_counts(metrics: Metrics, limits: LimitRegistry) -> None:
    """Show what is counted at the emulator: requests that reached it, and units of capacity."""
    metrics.watch_total(
        "fleet_emulator_requests",
        "Requests to S3, SQS and SNS that reached the emulator.",
        ["service", "operation"],
        lambda: [([count.service, count.operation], count.value) for count in limits.requests],
    )
    metrics.watch_total(
        "fleet_emulator_units",
        "Capacity units that tables and indexes used.",
        ["service", "operation", "subject"],
        lambda: [([count.service, count.operation, count.subject], count.value) for count in limits.units],
    )


def show_queues(metrics: Metrics, depths: Depths, monitors: Mapping[str, QueueMonitor]) -> None:
    """Show messages in each queue, the age of the oldest, dead letters, and what was received again."""

    def messages() -> Iterable[tuple[list[str], float]]:
        for depth in depths.known:
            yield [depth.queue, "waiting"], depth.waiting
            yield [depth.queue, "in_flight"], depth.in_flight
            yield [depth.queue, "delayed"], depth.delayed

    queue = ["queue"]
    metrics.watch("fleet_queue_messages", "Messages in a queue, by state.", [*queue, "state"], messages)
    metrics.watch(
        "fleet_queue_oldest_seconds",
        "Age of the oldest message that is not deleted.",
        queue,
        lambda: [([depth.queue], depth.oldest) for depth in depths.known if depth.oldest is not None],
    )
    metrics.watch(
        "fleet_queue_dead_letters",
        "Messages in a queue's dead-letter queue.",
        queue,
        lambda: [([depth.queue], depth.dead_letters) for depth in depths.known if depth.dead_letters is not None],
    )
    metrics.watch_total(
        "fleet_queue_received_again",
        "Messages that mappings received and that had been received before.",
        queue,
        lambda: [([name], monitor.received_again) for name, monitor in monitors.items()],
    )
    metrics.watch_total(
        "fleet_queue_calls",
        "Calls of SQS that mappings made, by operation.",
        [*queue, "operation"],
        lambda: [([name, operation], n) for name, queue in monitors.items() for operation, n in queue.calls.items()],
    )
