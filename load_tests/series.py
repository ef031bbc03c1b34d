"""What the phones saw over the time of a run, as series for charts. Pure."""

from __future__ import annotations

import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from load_tests.arrivals import Visit
from load_tests.records import Fate, PhotoRecord
from load_tests.results import Distribution, Series

_POINTS = 600  # of a line, about


def photo_series(
    records: Sequence[PhotoRecord], schedule: Iterable[Visit], *, start: float, seconds: float
) -> Iterator[Series]:
    """Photos offered and READY a second, and their delay, over the run. `start`: Unix seconds of its first."""
    width = max(1.0, math.ceil(seconds / _POINTS))
    ready = [r for r in records if r.fate == Fate.READY and r.registered is not None and r.finished is not None]
    coming = Counter[int]()
    for visit in schedule:
        coming[int(visit.at / width)] += visit.photos
    done = Counter(int(((r.finished or 0) - start) / width) for r in ready)
    end = max([*coming, *done, 0]) + 1
    at = [n * width for n in range(end)]
    for name, counts in (("offered", coming), ("ready", done)):
        yield Series(panel="photos/s", name=name, unit="photos/s", t=at, values=[counts[n] / width for n in range(end)])
    yield from _delays(ready, start, max(5.0, width * 5))


def _delays(ready: Iterable[PhotoRecord], start: float, width: float) -> Iterator[Series]:
    delays: defaultdict[int, list[float]] = defaultdict(list)
    for record in ready:
        finished, registered = record.finished or 0.0, record.registered or 0.0
        delays[int((finished - start) / width)].append(finished - registered)
    if not delays:
        return
    bins = range(max(delays) + 1)
    shown = [Distribution.of(delays[n]) if n in delays else None for n in bins]
    for percentile in ("50", "99"):
        values = [found.percentiles[percentile] if found else None for found in shown]
        yield Series(panel="delay", name=f"p{percentile}", unit="s", t=[n * width for n in bins], values=values)


def call_series(samples: Sequence[tuple[float, Mapping[str, tuple[int, int]]]]) -> Iterator[Series]:
    """The API's answers and failures a second, from samples (t, {call: (requests, failures)}) of Locust's counters."""
    spans = [(a, b) for a, b in itertools.pairwise(samples) if b[0] > a[0]]
    at = [later[0] for _, later in spans]
    for name, index in (("answers", 0), ("failures", 1)):
        values = [
            (_api_sum(later[1], index) - _api_sum(before[1], index)) / (later[0] - before[0]) for before, later in spans
        ]
        yield Series(panel="API", name=name, unit="requests/s", t=at, values=list(values))


def _api_sum(counts: Mapping[str, tuple[int, int]], index: int) -> int:
    return sum(pair[index] for name, pair in counts.items() if "/v1/" in name)
