"""The view model of two runs beside each other: what differed, and the same panels on the same axes."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from console.output import plural
from load_tests.report.charts import Chart, charts_of, rank
from load_tests.report.formats import DASH, dollars, duration, large, number, quantity, share
from load_tests.report.palette import Colours
from load_tests.report.tables import Column, Row, Table
from load_tests.report.verdict import Verdict, limited_by, p99_of, per_day, state_of, verdict_of
from load_tests.results import WHOLE, RequestStats, Results

_ORDER = ("api", "error", "throttle", "refus", "concurren", "photo", "delay", "backlog", "age")
"""The order of the panels: first those that show whether uploads slow the API down."""
_API = re.compile(r"\b(api|authorizer|gateway)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Pair:
    """A panel of both runs on the same axes; None where a run has it not."""

    title: str
    left: Chart | None
    right: Chart | None


@dataclass(frozen=True, slots=True)
class ComparedRun:
    """One of the two runs."""

    name: str
    results: Results
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Comparison:
    """The view model of the page."""

    left: ComparedRun
    right: ComparedRun
    sentence: str
    figures: Table
    throttles: Table
    requests: Table
    settings: Table
    pairs: tuple[Pair, ...]

    @property
    def charts(self) -> tuple[Chart, ...]:
        """The charts of both."""
        return tuple(chart for pair in self.pairs for chart in (pair.left, pair.right) if chart)


def comparison_of(left: Results, right: Results) -> Comparison:
    """Compare two runs."""
    runs, names = (left, right), names_of(left, right)
    return Comparison(
        left=ComparedRun(names[0], left, verdict_of(left)),
        right=ComparedRun(names[1], right, verdict_of(right)),
        sentence=_sentence(runs, names),
        figures=Table(
            _columns("figure", names), tuple(Row((name, *(text(run) for run in runs))) for name, text in _FIGURES)
        ),
        throttles=_throttles(runs, names),
        requests=_requests(runs, names),
        settings=_settings(runs, names),
        pairs=_pairs(left, right),
    )


def names_of(left: Results, right: Results) -> tuple[str, str]:
    """Return what tells two runs apart: the scenario, or else the stack, the quotas, or the start."""
    labels = ((run.scenario, str(run.config.get("stack", "")), run.quotas, run.started_at) for run in (left, right))
    return next(((one, other) for one, other in zip(*labels, strict=True) if one != other), ("left", "right"))


def api_throttles(results: Results) -> int | None:
    """Count how often the API, its authorizer or the gateway was refused; None where the limits were not observed."""
    if not results.limits:
        return None
    return sum(throttle.count for throttle in results.throttles if _API.search(throttle.subject))


def _sentence(runs: tuple[Results, Results], names: tuple[str, str]) -> str:
    said = []
    for name, run in zip(names, runs, strict=True):
        throttled = api_throttles(run)
        if throttled is None:
            said.append(f"“{name}”: the API was not observed")
        else:
            times = f"throttled {plural(throttled, 'time')}" if throttled else "never throttled"
            said.append(f"“{name}”: the API was {times}")
    return ". ".join(said) + "."


def _p50(results: Results) -> str:
    whole = results.stages.get(WHOLE)
    return duration(whole.percentile("50") if whole else None)


def _failed_calls(results: Results) -> str:
    failures = sum(one.failures for one in results.requests)
    calls = sum(one.count for one in results.requests)
    return f"{number(failures)} ({share(failures, calls)})" if calls else DASH


_FIGURES: tuple[tuple[str, Callable[[Results], str]], ...] = (
    ("verdict", state_of),
    ("READY", lambda run: quantity(run.ready_per_second, "photos/s")),
    ("uploads a day at that rate, full scale", lambda run: large(per_day(run))),
    ("p50, registered → READY", _p50),
    ("p99, registered → READY", lambda run: duration(p99_of(run))),
    ("API invocations throttled", lambda run: number(api_throttles(run))),
    ("throttled in all", lambda run: number(sum(one.count for one in run.throttles) if run.limits else None)),
    ("calls failed, as phones saw them", _failed_calls),
    ("photos refused", lambda run: share(run.photos.refused, run.offered.photos)),
    ("photos unfinished", lambda run: number(run.photos.unfinished)),
    ("photos lost", lambda run: number(run.photos.lost)),
    ("dead letters", lambda run: number(sum(one.dead_letters for one in run.queues)) if run.queues else DASH),
    ("what limited", limited_by),
    ("for a million uploads", lambda run: dollars(run.cost.usd) if run.cost else DASH),
)


def _throttles(runs: tuple[Results, Results], names: tuple[str, str]) -> Table:
    def count(run: Results, key: tuple[str, str]) -> int | None:
        if not run.limits:
            return None  # the limits were not observed
        return sum(one.count for one in run.throttles if (one.subject, one.reason) == key)

    keys = {(one.subject, one.reason) for run in runs for one in run.throttles}
    rows = (
        Row((f"{key[0]}: {key[1]}", *(number(count(run, key)) for run in runs)))
        for key in sorted(keys, key=lambda key: (not _API.search(key[0]), key))
    )
    return Table(_columns("refused", names), tuple(rows), empty="Nothing was throttled in either run.")


def _requests(runs: tuple[Results, Results], names: tuple[str, str]) -> Table:
    def cell(request: RequestStats | None) -> str:
        if request is None:
            return DASH
        p99 = duration(request.seconds.percentile("99") if request.seconds else None)
        failed = share(request.failures, request.count)
        return f"{number(request.failures)} of {number(request.count)} ({failed}), {p99}"

    by_name = [{one.name: one for one in run.requests} for run in runs]
    calls = dict.fromkeys(name for requests in by_name for name in requests)
    rows = (Row((name, *(cell(requests.get(name)) for requests in by_name))) for name in calls)
    return Table(_columns("call: failed of all, p99", names), tuple(rows), empty="No requests were made in either run.")


def _settings(runs: tuple[Results, Results], names: tuple[str, str]) -> Table:
    """Show the settings in which the runs differ."""
    settings = []
    for run in runs:
        own = {"scenario": run.scenario, "quotas": run.quotas, "scale": f"1 : {number(run.scale)}"}
        own |= {"load": duration(run.seconds), "seed": str(run.seed)}
        given = {**run.config, **run.versions, **run.machine}
        settings.append(own | {name: DASH if value is None else str(value) for name, value in given.items()})
    left, right = settings
    differing = [name for name in dict.fromkeys((*left, *right)) if left.get(name) != right.get(name)]
    rows = (Row((name, left.get(name, DASH), right.get(name, DASH))) for name in differing)
    return Table(_columns("setting", names), tuple(rows), empty="Both runs had the same settings.")


def _columns(first: str, names: tuple[str, str]) -> tuple[Column, ...]:
    return tuple(Column(title, numbers=False) for title in (first, *names))


def _pairs(left: Results, right: Results) -> tuple[Pair, ...]:
    colours = Colours()
    lefts = {chart.title: chart for chart in charts_of(_with_api_throttles(left), "l", colours)}
    rights = {chart.title: chart for chart in charts_of(_with_api_throttles(right), "r", colours)}
    pairs = []
    for title in sorted(dict.fromkeys((*lefts, *rights)), key=lambda title: rank(title, _ORDER)):
        one, other = lefts.get(title), rights.get(title)
        if one and other:
            top, span = max(one.top, other.top), max(one.span, other.span)
            one, other = _on_axes(one, top, span), _on_axes(other, top, span)
        pairs.append(Pair(title, one, other))
    return tuple(pairs)


def _with_api_throttles(results: Results) -> Results:
    """Put the API's throttles into a panel of their own: others may be a hundred times as many, and hide them."""
    series = [
        one.model_copy(update={"panel": "API throttles/s"})
        if one.panel == "throttles/s" and _API.search(one.name)
        else one
        for one in results.series
    ]
    return results.model_copy(update={"series": series})


def _on_axes(chart: Chart, top: float, span: float) -> Chart:
    lines = tuple(replace(line, off_chart=line.limit and line.peak_value > top) for line in chart.lines)
    return replace(chart, lines=lines, top=top, span=span)
