"""Runs of a folder over time: those of the same load on the same machine beside each other, and no others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from load_tests.observe.generator import ROLE
from load_tests.report import PAGE
from load_tests.report.files import RESULTS, read_results
from load_tests.report.formats import DASH, duration, number, quantity, share
from load_tests.report.verdict import p99_of, refusals, state_of
from load_tests.results import WHOLE, Results

MAX_RUNS = 100
"""The newest are read; a results.json of an hour has some megabytes."""
WIDTH, HEIGHT = 240, 64
_EDGE = 6


@dataclass(frozen=True, slots=True)
class TrendRun:
    """A run, and the path of its report in the folder of all runs."""

    path: str
    results: Results


@dataclass(frozen=True, slots=True)
class Dot:
    """A run's value in a drawing; `about` has the run's time and the value as text."""

    x: float
    y: float
    about: str


@dataclass(frozen=True, slots=True)
class TrendLine:
    """A figure over the runs, the oldest to the left; the axis begins at 0 and ends at `top`."""

    title: str
    top: str
    dots: tuple[Dot, ...]

    @property
    def points(self) -> str:
        """The dots as the points of an SVG polyline."""
        return " ".join(f"{dot.x},{dot.y}" for dot in self.dots)


@dataclass(frozen=True, slots=True)
class TrendGroup:
    """Runs that may be compared, the newest first: `rows` are the cells of each behind its link."""

    title: str
    load: str
    machine: str
    lines: tuple[TrendLine, ...]
    rows: tuple[tuple[TrendRun, str, tuple[str, ...]], ...]


def runs_in(folder: Path) -> list[TrendRun]:
    """Return the newest runs of a folder, both runs of a comparison, too; what is no run is left out.

    Raises OSError where there is no such folder.
    """
    found = sorted((path for path in folder.iterdir() if path.is_dir()), reverse=True)
    documents = [path for run in found for path in (run / RESULTS, *sorted(run.glob(f"*/{RESULTS}")))]
    runs: list[TrendRun] = []
    for path in documents:
        with suppress(OSError, ValidationError):
            runs.append(TrendRun((path.parent.relative_to(folder) / PAGE).as_posix(), read_results(path)))
        if len(runs) == MAX_RUNS:
            break
    return sorted(runs, key=lambda run: run.results.started_at, reverse=True)


def groups_of(runs: Sequence[TrendRun]) -> tuple[TrendGroup, ...]:
    """Group runs of the same load and machine, the group of the newest run first."""
    groups: dict[tuple[str, str], list[TrendRun]] = {}
    for run in runs:
        # Another kernel is an update, and not another machine.
        machine = ", ".join(f"{name} {value}" for name, value in run.results.machine.items() if name != "system")
        groups.setdefault((_load(run.results), machine), []).append(run)
    return tuple(
        TrendGroup(
            title=found[0].results.title,
            load=load,
            machine=machine or "unknown",
            lines=tuple(_lines([run for run in reversed(found) if not run.results.invalid])),
            rows=tuple((run, state_of(run.results), tuple(show(run.results) for _, show in COLUMNS)) for run in found),
        )
        for (load, machine), found in groups.items()
    )


def _load(results: Results) -> str:
    """Return the load as text: runs that differ in anything of it are not compared."""
    asked = {name: value for name, value in results.config.items() if name != "thresholds" and value is not None}
    own = {"scenario": results.scenario, "kind": results.kind, "seed": results.seed, "quotas": results.quotas}
    own |= {"scale": f"1 : {number(results.scale)}", "load": duration(results.seconds)}
    return ", ".join(f"{name} {value}" for name, value in (own | asked).items())


def cpu_of_photo(results: Results) -> float | None:
    """Return the stack's CPU seconds for each READY photo; None where its processes were not seen."""
    stack = [one.cpu_seconds for one in results.processes if one.role != ROLE]
    return sum(stack) / results.photos.ready if stack and results.photos.ready else None


def _rate(results: Results) -> float | None:
    """Return the rate; None of older documents, whose rates are over another time."""
    return results.ready_per_second if results.ready_seconds is not None else None


def _p50(results: Results) -> float | None:
    whole = results.stages.get(WHOLE)
    return whole.percentile("50") if whole else None


def _failed(results: Results) -> str:
    calls = sum(one.count for one in results.requests)
    return share(sum(one.failures for one in results.requests), calls)


COLUMNS: tuple[tuple[str, Callable[[Results], str]], ...] = (
    ("version", lambda run: run.versions.get("commit") or run.versions.get("shoebox", DASH)),
    ("photos/s", lambda run: number(_rate(run))),
    ("READY", lambda run: number(run.photos.ready)),
    ("p50", lambda run: duration(_p50(run))),
    ("p99", lambda run: duration(p99_of(run))),
    ("slowest", lambda run: duration(run.stages[WHOLE].max) if WHOLE in run.stages else DASH),
    ("lost", lambda run: number(run.photos.lost)),
    ("failed calls", _failed),
    ("refusals", lambda run: number(refusals(run))),
    ("CPU a photo", lambda run: duration(cpu_of_photo(run))),
    ("steal", lambda run: share(run.host.steal, 1) if run.host else DASH),
)
_DRAWN: tuple[tuple[str, Callable[[Results], float | None], Callable[[float], str]], ...] = (
    ("READY", _rate, lambda value: quantity(value, "photos/s")),
    ("p50, registered → READY", _p50, duration),
    ("p99, registered → READY", p99_of, duration),
    ("CPU of the stack a photo", cpu_of_photo, duration),
)


def _lines(runs: Sequence[TrendRun]) -> Iterable[TrendLine]:
    """Yield the figures that at least two runs have."""
    for title, value_of, text in _DRAWN:
        values = [(n, run, value) for n, run in enumerate(runs) if (value := value_of(run.results)) is not None]
        if len(values) < 2:
            continue
        top = max(value for *_, value in values) or 1.0
        step = (WIDTH - 2 * _EDGE) / max(1, len(runs) - 1)
        dots = (
            Dot(
                round(_EDGE + n * step, 1),
                round(HEIGHT - _EDGE - value / top * (HEIGHT - 2 * _EDGE), 1),
                f"{run.results.started_at}: {text(value)}",
            )
            for n, run, value in values
        )
        yield TrendLine(title, text(top), tuple(dots))
