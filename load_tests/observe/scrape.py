"""One sample of a stack: the values of its /metrics that a run needs, and the limits of its /quotas.

Names and meaning: docs/reference/telemetry.md and docs/reference/limits.md.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import orjson
from prometheus_client.parser import text_string_to_metric_families

from fleet.limits.use import LimitUse

WANTED = (
    "fleet_async_events",
    "fleet_async_pending",
    "fleet_concurrency",
    "fleet_emulator_",
    "fleet_environments",
    "fleet_function_memory_bytes",
    "fleet_gateway_requests_total",
    "fleet_invocation_seconds_count",
    "fleet_invocation_seconds_sum",
    "fleet_queue_",
    "fleet_throttles_total",
    "process_cpu_seconds_total",
    "process_resident_memory_bytes",
    "shoebox_photos_repeated_total",
    "shoebox_photos_skipped_total",
)
"""What the names of the samples begin with: the rest, mostly buckets of histograms, costs too much to parse."""

Labels: TypeAlias = frozenset[tuple[str, str]]
Values: TypeAlias = Mapping[Labels, float]


class BadScrape(ValueError):
    """The response is not in Prometheus's text format, or not the document of quotas."""


@dataclass(frozen=True, slots=True)
class Scrape:
    """Samples by name and labels, and how each limit is used."""

    samples: Mapping[str, Values]
    limits: tuple[LimitUse, ...]

    def of(self, name: str) -> Values:
        """Return all samples of a name; none where the stack does not report it."""
        return self.samples.get(name, {})

    def by(self, name: str, *labels: str) -> Iterator[tuple[tuple[str, ...], float]]:
        """Yield each sample of a name with its values of these labels; one that lacks a label is left out."""
        for pairs, value in self.of(name).items():
            found = dict(pairs)
            if all(label in found for label in labels):
                yield tuple(found[label] for label in labels), value

    def one(self, name: str) -> float | None:
        """Return the sum of all samples of a name; None where the stack does not report it."""
        values = self.of(name)
        return sum(values.values()) if values else None


def parse_scrape(metrics: bytes, quotas: bytes) -> Scrape:
    """Return the sample that these two responses show.

    Raises:
        BadScrape: one of them is something else.
    """
    try:
        return Scrape(_samples(metrics.decode()), tuple(map(LimitUse.from_document, orjson.loads(quotas)["limits"])))
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise BadScrape(f"not a fleet's response: {error}") from error


def _samples(text: str) -> dict[str, dict[Labels, float]]:
    wanted = "".join(line for line in text.splitlines(keepends=True) if line.startswith(WANTED))
    samples: dict[str, dict[Labels, float]] = {}
    for family in text_string_to_metric_families(wanted):
        for sample in family.samples:
            if math.isfinite(sample.value):
                samples.setdefault(sample.name, {})[frozenset(sample.labels.items())] = sample.value
    return samples
