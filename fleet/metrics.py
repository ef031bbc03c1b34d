"""The fleet's own metrics, in a registry of their own; the environments' come from the multiprocess folder.

The fleet is one process, so its own need no files. Names and meaning: docs/reference/telemetry.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

METRICS_TYPE = (b"content-type", b"text/plain; version=0.0.4; charset=utf-8")
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900)


class Metrics:
    """All metrics of one fleet; `metrics_dir` is where its environments write theirs."""

    def __init__(self, metrics_dir: Path) -> None:
        clear(metrics_dir)
        self._folder = metrics_dir
        own = self._own = CollectorRegistry()
        ProcessCollector(registry=own)
        self.invocations = Counter(
            "fleet_invocations", "Invocations by outcome.", ["function", "outcome"], registry=own
        )
        self.throttles = Counter(
            "fleet_throttles", "Invocations that were refused, by AWS's reason.", ["function", "reason"], registry=own
        )
        self.duration = Histogram(
            "fleet_invocation_seconds", "Hand-over to response.", ["function"], buckets=_SECONDS, registry=own
        )
        self.cold_start = Histogram(
            "fleet_cold_start_seconds", "Start to first poll.", ["function"], buckets=_SECONDS, registry=own
        )
        self.messages = Counter(
            "fleet_mapping_messages", "Messages by what became of them.", ["function", "fate"], registry=own
        )
        self.batches = Counter("fleet_mapping_batches", "Batches by outcome.", ["function", "outcome"], registry=own)
        self.poll_errors = Counter("fleet_mapping_errors", "Failed SQS calls.", ["function", "code"], registry=own)
        self.requests = Counter("fleet_gateway_requests", "Requests by status.", ["route", "status"], registry=own)
        self.latency = Histogram(
            "fleet_gateway_seconds", "Request to response.", ["route"], buckets=_SECONDS, registry=own
        )

    def watch(self, name: str, text: str, labels: list[str], read: Callable[[], Iterable[_Sample]]) -> None:
        """Show a gauge whose values `read` gives at the time of each scrape."""
        self._own.register(_WatchedCollector(partial(GaugeMetricFamily, name, text, labels=labels), read))

    def watch_total(self, name: str, text: str, labels: list[str], read: Callable[[], Iterable[_Sample]]) -> None:
        """Show a counter that another object keeps, in the same way; its series has `_total` at the end."""
        self._own.register(_WatchedCollector(partial(CounterMetricFamily, name, text, labels=labels), read))

    def process_ended(self, pid: int) -> None:
        """Forget the live gauges of a process."""
        forget_process(pid, self._folder)

    def exposition(self) -> bytes:
        """Return all metrics in Prometheus's text format."""
        return generate_latest(self._own) + environments_exposition(self._folder)


def clear(folder: Path) -> None:
    """Make the folder that environments write their metrics to, and delete those of former ones."""
    folder.mkdir(parents=True, exist_ok=True)
    for stale in folder.glob("*.db"):
        stale.unlink()


def environments_exposition(folder: Path) -> bytes:
    """Return the sum of the metrics that environments wrote to a folder, in Prometheus's text format."""
    environments = CollectorRegistry()
    MultiProcessCollector(environments, path=str(folder))  # type: ignore[no-untyped-call]
    return generate_latest(environments)


def forget_process(pid: int, folder: Path) -> None:
    """Forget the live gauges of a process that has ended."""
    mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call]


_Sample = tuple[list[str], float]
_Family = GaugeMetricFamily | CounterMetricFamily


class _WatchedCollector(Collector):
    def __init__(self, new: Callable[[], _Family], read: Callable[[], Iterable[_Sample]]) -> None:
        self._new = new
        self._read = read

    def collect(self) -> Iterable[_Family]:
        family = self._new()
        for labels, value in self._read():
            family.add_metric(labels, value)
        yield family
