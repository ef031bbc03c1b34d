"""The results of a load run or a simulated day: one document, `results.json`, for report, thresholds and comparison.

Times are seconds; `t` in a series counts from the run's first second. What is unknown is None, never 0.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterable, Sequence
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field

SCHEMA = 1
WHOLE = "registered → ready"
"""The stage that users feel."""
PERCENTILES = (50, 90, 95, 99, 99.9)
BOUNDS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 5, 7, 10, 15, 20, 30, 60, 120, 300, 600, 1800, 3600, 21600)
"""Upper bounds of a histogram's bars, in seconds; one more bar holds what is above."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Distribution(_Model):
    """How long photos took. `percentiles` by their name, "50" to "99.9"; nearest rank, exact over all photos.

    `too_few_for` names the percentiles that so few photos do not tell from their maximum: p99 of fewer than 100.
    """

    count: int
    mean: float
    max: float
    percentiles: dict[str, float]
    histogram: list[int]
    """Photos by bar: up to BOUNDS[0], …, above BOUNDS[-1]."""
    too_few_for: list[str] = []

    @classmethod
    def of(cls, seconds: Iterable[float]) -> Self | None:
        """Return the distribution of some times; None of none."""
        return cls.of_weighted((value, 1) for value in seconds)

    @classmethod
    def of_weighted(cls, times: Iterable[tuple[float, int]]) -> Self | None:
        """Return the distribution of (seconds, photos) pairs."""
        ordered = sorted((value, count) for value, count in times if count)
        if not ordered:
            return None
        total = sum(count for _, count in ordered)
        histogram = [0] * (len(BOUNDS) + 1)
        for value, count in ordered:
            histogram[bisect.bisect_left(BOUNDS, value)] += count
        return cls(
            count=total,
            mean=sum(value * count for value, count in ordered) / total,
            max=ordered[-1][0],
            percentiles={f"{p:g}": at_rank(ordered, total, p) for p in PERCENTILES},
            histogram=histogram,
            too_few_for=[f"{p:g}" for p in PERCENTILES if total < min_count(p)],
        )

    def percentile(self, name: str) -> float | None:
        """Return seconds; None where there are too few photos to tell."""
        return self.percentiles.get(name) if self.count >= min_count(float(name)) else None


class Offered(_Model):
    """The load that was to arrive. `missed` visits began too late or not at all, by the generator's fault."""

    visits: int
    photos: int
    bytes: int
    missed: int
    late_p99: float | None = None


class PhotoCounts(_Model):
    """Photos by outcome; every one offered is in exactly one of `ready`, `rejected`, `refused`, `unfinished`, `lost`.

    `refused`: a registration or a PUT never succeeded. `lost`: its bytes arrived, and it has no final state after the
    drain, or is gone. `repeated`: prepared once more although it had been (at-least-once delivery), beside the others.
    """

    ready: int
    rejected: int
    refused: int
    unfinished: int
    lost: int
    repeated: int | None = None


class RequestStats(_Model):
    """One kind of call, as the phones saw it; `reasons` of failures with their numbers."""

    name: str
    count: int
    failures: int
    seconds: Distribution | None
    reasons: dict[str, int]


class Series(_Model):
    """One line of a chart: those with the same `panel` share a chart and a unit."""

    panel: str
    name: str
    unit: str
    t: list[float]
    values: list[float | None]


class Limit(_Model):
    """One limit's use over the run, as `fleet.limits.use.LimitUse`; a `maximum` of None is infinite.

    results.json calls the two fields with an alias by it, so that the folders of earlier runs can still be read.
    """

    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)

    limit: str
    subject: str
    unit: str
    peak: float
    maximum: float | None = Field(alias="most")
    throttled: int
    first_at: float | None = None
    """When it was first seen to refuse, seconds of the run."""
    raise_to: float | None = Field(default=None, alias="ask")
    """The value to ask AWS for, where the limit was hit or nearly so."""


class Throttle(_Model):
    """Refusals by one reason: of a function's invocations, or of a service."""

    subject: str
    reason: str
    count: int


class Queue(_Model):
    """A queue over the run: highest depth (waiting and in flight), oldest message's age, and its dead letters."""

    name: str
    peak_depth: int
    peak_depth_at: float | None
    peak_age: float | None
    received_again: int | None
    """Messages that came more than once: failed, throttled, or their visibility timeout passed."""
    dead_letters: int


class Process(_Model):
    """A process, or all of one role: CPU seconds over the run and its highest memory (proportional set size), in MB."""

    role: str
    count: int
    cpu_seconds: float
    memory_mb: float


class Host(_Model):
    """The generator's machine over the run, as shares of all its processors: `steal` is what its hypervisor took."""

    busy: float
    steal: float


class CostLine(_Model):
    """One priced item: what a million uploads like this run's would use of it, and cost in US dollars."""

    service: str
    item: str
    quantity: float
    unit: str
    price: float
    usd: float
    verified: bool


class Cost(_Model):
    """Dollars for a million uploads, from prices of `dated`; storage and traffic out are not in it unless named."""

    dated: str
    region: str
    lines: list[CostLine]
    storage: list[CostLine] = []
    """What keeping these uploads for a month costs; not in `usd`, which is paid once."""

    @property
    def usd(self) -> float:
        """All lines together."""
        return sum(line.usd for line in self.lines)


class Threshold(_Model):
    """One expectation and whether it was met: `metric` `operator` `bound`. `value` None: there was nothing to see."""

    metric: str
    operator: Literal["<", "<=", ">", ">=", "=="]
    bound: float
    value: float | None
    ok: bool
    note: str = ""
    """What `value` is, where the metric's name does not say it: a percentile of few is the slowest of them."""


class Results(_Model):
    """One run. `stages`: "registered → uploaded", "uploaded → received", "received → ready", "registered → ready"."""

    version: int = SCHEMA
    kind: Literal["load", "simulation"]
    scenario: str
    title: str
    about: str
    started_at: str
    seconds: float
    """Of offered load; the drain comes on top."""
    drain_seconds: float
    scale: float
    """The load and the limits are this part of what they stand for: 100 is a hundredth (aws/100)."""
    quotas: str
    seed: int
    config: dict[str, str | int | float | bool | None]
    versions: dict[str, str]
    machine: dict[str, str | int | float]
    invalid: list[str]
    """Why the run says nothing: a saturated generator, too many missed arrivals. Empty: it is valid."""
    offered: Offered
    photos: PhotoCounts
    ready_per_second: float
    """Photos READY by `ready_seconds`."""
    ready_seconds: float | None = None
    """What all rates are over: from the run's first second until its load had ended and the last photo was READY. None
    in documents of before, whose rate began with the first registration."""
    stages: dict[str, Distribution]
    requests: list[RequestStats]
    limits: list[Limit]
    throttles: list[Throttle]
    queues: list[Queue]
    processes: list[Process]
    host: Host | None = None
    cost: Cost | None
    thresholds: list[Threshold]
    series: list[Series]
    notes: list[str]
    """What a reader must know to believe the figures: the scale, what is not seen from here."""

    @property
    def rate_seconds(self) -> float:
        """`ready_seconds`; where the document has none, what agrees with its rate."""
        if self.ready_seconds is not None:
            return self.ready_seconds
        return self.photos.ready / self.ready_per_second if self.ready_per_second else self.seconds

    @property
    def passed(self) -> bool:
        """Valid, and every threshold met."""
        return not self.invalid and all(threshold.ok for threshold in self.thresholds)


def min_count(percent: float) -> int:
    """Return how many values a percentile needs to differ from their maximum: 100 for p99, 1,000 for p99.9."""
    return math.ceil(round(100 / (100 - percent), 6))


def at_rank(ordered: Sequence[tuple[float, int]], total: int, percent: float) -> float:
    """Return a percentile by nearest rank, of (value, photos) ordered by value; `total`: all photos, one at least."""
    rank = math.ceil(total * percent / 100)
    for value, count in ordered:
        rank -= count
        if rank <= 0:
            return value
    return ordered[-1][0]
