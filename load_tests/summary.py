"""From records and Locust's counters to the parts of the run's results. Pure but for `machine` and `versions`."""

from __future__ import annotations

import itertools
import math
import os
import platform
import re
import shutil
import subprocess
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

from load_tests.arrivals import Visit
from load_tests.records import READY_METHOD, Outcome, PhotoRecord, Records
from load_tests.results import Distribution, Offered, PhotoCounts, RequestStats, Series

PACKAGES = ("locust", "gevent", "aiobotocore", "pydantic", "uvloop", "shoebox")
MAX_MISSED = 0.01
"""A larger share of missed arrivals makes a run invalid."""
_STAGES = (
    ("registered → uploaded", "registered", "uploaded"),
    ("uploaded → received", "uploaded", "received"),
    ("received → ready", "received", "finished"),
    ("registered → ready", "registered", "finished"),
)
_POINTS = 600  # of a line, about


@dataclass(frozen=True, slots=True)
class GeneratorState:
    """How the load generator ended: was one of its processes saturated, did some get lost, was it stopped early?"""

    saturated: bool = False
    workers_lost: int = 0
    stopped_after: float | None = None
    """Seconds, where the run did not come to its end."""


def offered(schedule: Sequence[Visit], records: Records) -> Offered:
    """Return what was to arrive; visits that did not begin in time, whatever the reason, are missed."""
    late = Distribution.of(records.late)
    return Offered(
        visits=len(schedule),
        photos=sum(visit.photos for visit in schedule),
        bytes=records.bytes,
        missed=len(schedule) - records.visits_begun,
        late_p99=late.percentiles["99"] if late else None,
    )


def photo_counts(records: Records, still_queued: int | None, repeated: int | None) -> PhotoCounts:
    """Count the photos by outcome. Unsettled ones that no queue holds any more are lost.

    `still_queued`: messages that wait, are in work or dead letters at the end; None where nobody could look: then
    all unsettled ones count as lost.
    """
    counts = Counter(record.outcome for record in records.photos)
    unsettled = counts[Outcome.UNSETTLED]
    unfinished = min(unsettled, still_queued or 0)
    return PhotoCounts(
        ready=counts[Outcome.READY],
        rejected=counts[Outcome.REJECTED],
        refused=counts[Outcome.REFUSED],
        unfinished=unfinished,
        lost=unsettled - unfinished,
        repeated=repeated,
    )


def ready_seconds(records: Iterable[PhotoRecord], *, start: float, load_seconds: float) -> float:
    """Return what all rates are over: from `start` (Unix seconds) until load had ended and the last photo was READY."""
    finished = (r.finished - start for r in records if r.outcome == Outcome.READY and r.finished is not None)
    return max(load_seconds, max(finished, default=0.0))


def stages(records: Iterable[PhotoRecord]) -> dict[str, Distribution]:
    """Return how long READY photos took from stage to stage, by the service's own times."""
    ready = [record for record in records if record.outcome == Outcome.READY]
    found = {}
    for name, begin, end in _STAGES:
        pairs = ((getattr(record, begin), getattr(record, end)) for record in ready)
        # The stages' times are of several hosts: a clock that is behind is no negative time.
        if distribution := Distribution.of(max(0.0, b - a) for a, b in pairs if a is not None and b is not None):
            found[name] = distribution
    return found


def requests(entries: Iterable[Any], errors: Iterable[Any]) -> list[RequestStats]:
    """Return Locust's statistics by call (`StatsEntry`, `StatsError`); response times are as Locust rounds them."""
    reasons: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for error in errors:
        text = str(error.error)
        if text.startswith("CatchResponseError("):
            text = text.removeprefix("CatchResponseError('").removesuffix("')")
        reasons[f"{error.method} {error.name}"][text] += error.occurrences
    return [
        RequestStats(
            name=f"{entry.method} {entry.name}",
            count=entry.num_requests,
            failures=entry.num_failures,
            seconds=Distribution.of_weighted((ms / 1000, n) for ms, n in entry.response_times.items()),
            reasons=dict(reasons[f"{entry.method} {entry.name}"]),
        )
        for entry in sorted(entries, key=lambda entry: (entry.name, entry.method))
        if entry.method != READY_METHOD
    ]


def invalid_reasons(offered_: Offered, records: Records, generator: GeneratorState) -> list[str]:
    """Return why the run says nothing about the service; nothing when it does."""
    why = []
    unknown = records.photos_begun - len(records.photos)
    if generator.stopped_after is not None:
        why.append(f"it was stopped after {generator.stopped_after:.0f} s, before its end")
    elif not offered_.visits:
        why.append("nobody came: the scenario ended before its first visit")
    elif offered_.missed > MAX_MISSED * offered_.visits:
        share = offered_.missed / offered_.visits
        why.append(f"the generator missed {offered_.missed:,} of {offered_.visits:,} arrivals ({share:.1%})")
    elif unknown:
        why.append(f"what became of {unknown:,} photos is not known: a part of the generator failed")
    if generator.saturated:
        why.append("the generator was saturated: a Locust process used more than 90 % of its core; take more workers")
    if generator.workers_lost:
        why.append(f"{generator.workers_lost} of the generator's processes went missing")
    return why


def photo_series(
    records: Sequence[PhotoRecord], schedule: Iterable[Visit], *, start: float, seconds: float
) -> Iterator[Series]:
    """Yield photos offered and READY a second, and their delay, over the run. `start`: Unix seconds of its first."""
    width = max(1.0, math.ceil(seconds / _POINTS))
    offered_counts = Counter[int]()
    for visit in schedule:
        offered_counts[int(visit.at / width)] += visit.photos
    ready = [
        (r.registered, r.finished)
        for r in records
        if r.outcome == Outcome.READY and r.registered is not None and r.finished is not None
    ]
    ready_counts = Counter(int((finished - start) / width) for _, finished in ready)
    bins = range(max([*offered_counts, *ready_counts, 0]) + 1)
    at = [n * width for n in bins]
    for name, counts in (("offered", offered_counts), ("ready", ready_counts)):
        yield Series(panel="photos/s", name=name, unit="photos/s", t=at, values=[counts[n] / width for n in bins])
    yield from _delay_series(ready, start, max(5.0, width * 5))


def _delay_series(ready: Iterable[tuple[float, float]], start: float, width: float) -> Iterator[Series]:
    delays: defaultdict[int, list[float]] = defaultdict(list)
    for registered, finished in ready:
        delays[int((finished - start) / width)].append(finished - registered)
    if not delays:
        return
    bins = range(max(delays) + 1)
    shown = [Distribution.of(delays[n]) if n in delays else None for n in bins]
    for percentile in ("50", "99"):
        values = [found.percentiles[percentile] if found else None for found in shown]
        yield Series(panel="delay", name=f"p{percentile}", unit="s", t=[n * width for n in bins], values=values)


def call_series(samples: Sequence[tuple[float, Mapping[str, tuple[int, int]]]]) -> Iterator[Series]:
    """Yield the API's responses and failures a second, from samples (t, {call: (requests, failures)}) of Locust."""

    def api_sum(counts: Mapping[str, tuple[int, int]], index: int) -> int:
        return sum(pair[index] for name, pair in counts.items() if "/v1/" in name)

    spans = [(a, b) for a, b in itertools.pairwise(samples) if b[0] > a[0]]
    for name, index in (("answers", 0), ("failures", 1)):
        values: list[float | None] = [
            (api_sum(later, index) - api_sum(before, index)) / (t - t_before)
            for (t_before, before), (t, later) in spans
        ]
        yield Series(panel="API", name=name, unit="requests/s", t=[later[0] for _, later in spans], values=values)


def machine() -> dict[str, str | int | float]:
    """Return what the generator ran on."""
    found: dict[str, str | int | float] = {
        "system": platform.platform(),
        "processor": platform.machine(),
        "cpus": os.cpu_count() or 0,
        "memory GB": round(psutil.virtual_memory().total / 2**30, 1),
    }
    processors = Path("/proc/cpuinfo")  # Linux
    text = processors.read_text() if processors.exists() else ""
    model = re.search(r"^model name\s*: (.+)$", text, re.MULTILINE)
    return found | {"model": model[1]} if model else found


def versions() -> dict[str, str]:
    """Return the versions that matter for the figures, and the commit where Shoebox runs from a clone."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    if git := shutil.which("git"):
        words = [git, "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
        commit = subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip()  # noqa: S603
        found |= {"commit": commit} if commit else {}
    return found
