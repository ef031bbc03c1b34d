"""From what was recorded and observed to the run's results. Pure but for the versions of what is installed."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import distributions, version
from pathlib import Path
from typing import Any

import psutil

from load_tests.arrivals import Visit
from load_tests.readiness import METHOD as READY_METHOD
from load_tests.records import Fate, PhotoRecord, Records
from load_tests.results import Distribution, Offered, Photos, Request

PACKAGES = ("locust", "gevent", "aiobotocore", "pydantic", "uvloop", "shoebox")
MISSED_MOST = 0.01
"""More missed arrivals than this share make a run invalid."""
_STAGES = (
    ("registered → uploaded", "registered", "uploaded"),
    ("uploaded → received", "uploaded", "received"),
    ("received → ready", "received", "finished"),
    ("registered → ready", "registered", "finished"),
)


@dataclass(frozen=True, slots=True)
class Generator:
    """How the load generator did: was a process of it at its CPU's end, did some go missing, was it stopped early?"""

    saturated: bool = False
    workers_lost: int = 0
    stopped_after: float | None = None
    """Seconds, where the run did not come to its end."""


def offered(schedule: Sequence[Visit], records: Records) -> Offered:
    """What the arrivals asked for; those that did not begin in time, by whatever process, are missed."""
    late = Distribution.of(records.late)
    return Offered(
        visits=len(schedule),
        photos=sum(visit.photos for visit in schedule),
        bytes=records.bytes,
        missed=len(schedule) - records.begun,
        late_p99=late.percentiles["99"] if late else None,
    )


def photos(records: Records, still_queued: int | None, repeated: int | None) -> Photos:
    """What became of the photos. Unsettled ones that no queue holds any more are lost.

    `still_queued`: messages that wait, are in work or dead letters at the end; None where nobody could look: then
    all unsettled ones count as lost.
    """
    fates = Counter(record.fate for record in records.photos)
    unsettled = fates[Fate.UNSETTLED]
    unfinished = min(unsettled, still_queued or 0)
    return Photos(
        ready=fates[Fate.READY],
        rejected=fates[Fate.REJECTED],
        refused=fates[Fate.REFUSED],
        unfinished=unfinished,
        lost=unsettled - unfinished,
        repeated=repeated,
    )


def ready_seconds(records: Iterable[PhotoRecord], *, start: float, load_seconds: float) -> float:
    """What all rates are over: from `start` (Unix seconds) until the load had ended and the last photo was READY."""
    finished = (r.finished - start for r in records if r.fate == Fate.READY and r.finished is not None)
    return max(load_seconds, max(finished, default=0.0))


def stages(records: Iterable[PhotoRecord]) -> dict[str, Distribution]:
    """How long READY photos took from stage to stage, by the service's own moments."""
    ready = [record for record in records if record.fate == Fate.READY]
    found = {}
    for name, begin, end in _STAGES:
        pairs = ((getattr(record, begin), getattr(record, end)) for record in ready)
        if distribution := Distribution.of(max(0.0, b - a) for a, b in pairs if a is not None and b is not None):
            found[name] = distribution
    return found


def requests(entries: Iterable[Any], errors: Iterable[Any]) -> list[Request]:
    """Locust's statistics, call by call (`StatsEntry`, `StatsError`); response times as Locust rounds them."""
    reasons: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for error in errors:
        reasons[f"{error.method} {error.name}"][reason_text(error.error)] += error.occurrences
    return [
        Request(
            name=f"{entry.method} {entry.name}",
            count=entry.num_requests,
            failures=entry.num_failures,
            seconds=Distribution.of_weighted((ms / 1000, n) for ms, n in entry.response_times.items()),
            reasons=dict(reasons[f"{entry.method} {entry.name}"]),
        )
        for entry in sorted(entries, key=lambda entry: (entry.name, entry.method))
        if entry.method != READY_METHOD
    ]


def reason_text(error: Any) -> str:
    """Locust's text of a failure without its wrapping."""
    text = str(error)
    return (
        text.removeprefix("CatchResponseError('").removesuffix("')") if text.startswith("CatchResponseError(") else text
    )


def invalid(offered_: Offered, records: Records, generator: Generator) -> list[str]:
    """Why the run says nothing about the service; empty when it does."""
    why = []
    unknown = records.brought - len(records.photos)
    if generator.stopped_after is not None:
        why.append(f"it was stopped after {generator.stopped_after:.0f} s, before its end")
    elif not offered_.visits:
        why.append("nobody came: the scenario ended before its first visit")
    elif offered_.missed > MISSED_MOST * offered_.visits:
        share = offered_.missed / offered_.visits
        why.append(f"the generator missed {offered_.missed:,} of {offered_.visits:,} arrivals ({share:.1%})")
    elif unknown:
        why.append(f"what became of {unknown:,} photos is not known: a part of the generator failed")
    if generator.saturated:
        why.append("the generator was saturated: a Locust process used more than 90 % of its core; take more workers")
    if generator.workers_lost:
        why.append(f"{generator.workers_lost} of the generator's processes went missing")
    return why


def machine() -> dict[str, str | int | float]:
    """What the generator ran on."""
    found: dict[str, str | int | float] = {
        "system": platform.platform(),
        "processor": platform.machine(),
        "cpus": os.cpu_count() or 0,
        "memory GB": round(psutil.virtual_memory().total / 2**30, 1),
    }
    model = re.search(r"^model name\s*: (.+)$", _text(Path("/proc/cpuinfo")), re.MULTILINE)
    return found | {"model": model[1]} if model else found


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def versions() -> dict[str, str]:
    """Of Python and of what matters for the figures, and the commit where Shoebox runs from a clone."""
    found = {"python": platform.python_version(), **{name: version(name) for name in PACKAGES if _installed(name)}}
    return found | {"commit": commit} if (commit := _commit()) else found


def _installed(name: str) -> bool:
    return bool(list(distributions(name=name)))


def _commit() -> str:
    git = shutil.which("git")
    if not git:
        return ""
    words = [git, "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip()  # noqa: S603
