"""Two runs beside each other: what differed, and the same panels on the same axes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from console.output import plural
from load_tests.report.charts import Chart, charts_of, rank
from load_tests.report.formats import DASH, dollars, duration, large, number, quantity, share
from load_tests.report.palette import Colours
from load_tests.report.tables import Column, Row, Table
from load_tests.report.verdict import Verdict, limited_by, p99_of, per_day, state_of, verdict_of
from load_tests.results import WHOLE, RequestStats, Results

_ORDER = ("api", "error", "throttle", "refus", "concurren", "photo", "delay", "backlog", "age")
"""The panels, those first for which runs are compared: does the API feel the uploads?"""
_API = re.compile(r"\b(api|authorizer|gateway)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Pair:
    """A panel of both runs on the same axes; None where a run has it not."""

    title: str
    left: Chart | None
    right: Chart | None


@dataclass(frozen=True, slots=True)
class Side:
    """A run of the two."""

    name: str
    results: Results
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Comparison:
    """What the page shows."""

    left: Side
    right: Side
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
    """Put two runs beside each other."""
    sides, names = (left, right), names_of(left, right)
    return Comparison(
        left=Side(names[0], left, verdict_of(left)),
        right=Side(names[1], right, verdict_of(right)),
        sentence=_sentence(sides, names),
        figures=_figures(sides, names),
        throttles=_throttles(sides, names),
        requests=_requests(sides, names),
        settings=_settings(sides, names),
        pairs=_pairs(left, right),
    )


def api_throttles(results: Results) -> int | None:
    """How often the API, its authorizer or the gateway was refused; None where nobody watched."""
    if not results.limits:
        return None
    return sum(throttle.count for throttle in results.throttles if _API.search(throttle.subject))


def names_of(left: Results, right: Results) -> tuple[str, str]:
    """What tells two runs apart: the scenario, or else the stack, the quotas, or the moment."""
    candidates = (_labels(left), _labels(right))
    for one, other in zip(*candidates, strict=True):
        if one != other:
            return one, other
    return "left", "right"


def _labels(results: Results) -> tuple[str, ...]:
    return results.scenario, str(results.config.get("stack", "")), results.quotas, results.started_at


def _sentence(sides: tuple[Results, Results], names: tuple[str, str]) -> str:
    said = (f"“{name}”: the API was {_times(api_throttles(side))}" for name, side in zip(names, sides, strict=True))
    return ". ".join(said) + "."


def _times(throttled: int | None) -> str:
    if throttled is None:
        return "not watched"
    return f"throttled {plural(throttled, 'time')}" if throttled else "never throttled"


_FIGURES: tuple[tuple[str, Callable[[Results], str]], ...] = (
    ("verdict", state_of),
    ("READY", lambda run: quantity(run.ready_per_second, "photos/s")),
    ("uploads a day at that rate, full scale", lambda run: large(per_day(run))),
    ("p50, registered → READY", lambda run: _percentile(run, "50")),
    ("p99, registered → READY", lambda run: duration(p99_of(run))),
    ("API invocations throttled", lambda run: number(api_throttles(run))),
    ("throttled in all", lambda run: number(sum(one.count for one in run.throttles) if run.limits else None)),
    ("calls failed, as phones saw them", lambda run: _failed(run.requests)),
    ("photos refused", lambda run: share(run.photos.refused, run.offered.photos)),
    ("photos unfinished", lambda run: number(run.photos.unfinished)),
    ("photos lost", lambda run: number(run.photos.lost)),
    ("dead letters", lambda run: number(sum(one.dead_letters for one in run.queues)) if run.queues else DASH),
    ("what limited", limited_by),
    ("for a million uploads", lambda run: dollars(run.cost.usd) if run.cost else DASH),
)


def _figures(sides: tuple[Results, Results], names: tuple[str, str]) -> Table:
    rows = (Row((name, *(of(side) for side in sides))) for name, of in _FIGURES)
    return Table(_columns("figure", names), tuple(rows))


def _percentile(results: Results, name: str) -> str:
    whole = results.stages.get(WHOLE)
    return duration(whole.percentile(name) if whole else None)


def _failed(requests: Iterable[RequestStats]) -> str:
    known = list(requests)
    failures, calls = sum(one.failures for one in known), sum(one.count for one in known)
    return f"{number(failures)} ({share(failures, calls)})" if calls else DASH


def _throttles(sides: tuple[Results, Results], names: tuple[str, str]) -> Table:
    keys = {(one.subject, one.reason) for side in sides for one in side.throttles}
    rows = (
        Row((f"{subject}: {reason}", *(number(_throttled(side, subject, reason)) for side in sides)))
        for subject, reason in sorted(keys, key=lambda key: (not _API.search(key[0]), key))
    )
    return Table(_columns("refused", names), tuple(rows), empty="Nothing was throttled in either run.")


def _throttled(side: Results, subject: str, reason: str) -> int | None:
    """None where nobody watched."""
    if not side.limits:
        return None
    return sum(one.count for one in side.throttles if (one.subject, one.reason) == (subject, reason))


def _requests(sides: tuple[Results, Results], names: tuple[str, str]) -> Table:
    counted = [{one.name: one for one in side.requests} for side in sides]
    calls = list(dict.fromkeys(name for side in counted for name in side))
    rows = (Row((name, *(_call(side.get(name)) for side in counted))) for name in calls)
    return Table(_columns("call: failed of all, p99", names), tuple(rows), empty="No requests were made in either run.")


def _call(request: RequestStats | None) -> str:
    if request is None:
        return DASH
    p99 = duration(request.seconds.percentile("99") if request.seconds else None)
    return f"{number(request.failures)} of {number(request.count)} ({share(request.failures, request.count)}), {p99}"


def _settings(sides: tuple[Results, Results], names: tuple[str, str]) -> Table:
    told = [_told(side) for side in sides]
    differing = [name for name in dict.fromkeys((*told[0], *told[1])) if told[0].get(name) != told[1].get(name)]
    rows = (Row((name, *(side.get(name, DASH) for side in told))) for name in differing)
    return Table(_columns("setting", names), tuple(rows), empty="Both runs had the same settings.")


def _told(results: Results) -> dict[str, str]:
    own = {"scenario": results.scenario, "quotas": results.quotas, "scale": f"1 : {number(results.scale)}"}
    own |= {"load": duration(results.seconds), "seed": str(results.seed)}
    given = {**results.config, **results.versions, **results.machine}
    return own | {name: DASH if value is None else str(value) for name, value in given.items()}


def _columns(first: str, names: tuple[str, str]) -> tuple[Column, ...]:
    return (Column(first, numbers=False), *(Column(name, numbers=False) for name in names))


def _pairs(left: Results, right: Results) -> tuple[Pair, ...]:
    colours = Colours()
    lefts = {chart.title: chart for chart in charts_of(_with_api_throttles(left), "l", colours)}
    rights = {chart.title: chart for chart in charts_of(_with_api_throttles(right), "r", colours)}
    titles = sorted(dict.fromkeys((*lefts, *rights)), key=lambda title: rank(title, _ORDER))
    return tuple(_pair(title, lefts.get(title), rights.get(title)) for title in titles)


def _with_api_throttles(results: Results) -> Results:
    """The API's throttles in a panel of their own: others may be a hundred times as many, and hide them."""
    series = [
        one.model_copy(update={"panel": "API throttles/s"})
        if one.panel == "throttles/s" and _API.search(one.name)
        else one
        for one in results.series
    ]
    return results.model_copy(update={"series": series})


def _pair(title: str, left: Chart | None, right: Chart | None) -> Pair:
    if left is None or right is None:
        return Pair(title, left, right)
    top, span = max(left.top, right.top), max(left.span, right.span)
    return Pair(title, _on_axes(left, top, span), _on_axes(right, top, span))


def _on_axes(chart: Chart, top: float, span: float) -> Chart:
    lines = tuple(replace(line, off_chart=line.limit and line.peak_value > top) for line in chart.lines)
    return replace(chart, lines=lines, top=top, span=span)
