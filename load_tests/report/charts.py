"""The charts: one a panel, with each line's colour, dashes and figures, and what the page's script draws them from."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from load_tests.report.formats import DASH, clock, duration, number
from load_tests.report.palette import Colours
from load_tests.report.thinning import MAX_POINTS, Points, fair_share, thin
from load_tests.results import Results, Series

MAX_NUMBERS = 22_000
"""Numbers of all lines of a run together, 100 to 150 KB in the page: where there are more, long lines have fewer."""
_LIMIT = re.compile(r"\blimit$", re.IGNORECASE)
_LIMIT_WITHIN = 2.5
"""A limit is drawn where the lines come that near; further up it would press them flat."""
_DASHES = 3
ORDER = (
    "photo",
    "delay",
    "api",
    "latency",
    "phones",
    "error",
    "request",
    "throttle",
    "refus",
    "concurren",
    "backlog",
    "age",
    "environ",
)
_KNOWN = {
    "photos/s": ("Photos", "Offered by the arrivals, and READY."),
    "delay": (
        "Delay",
        "From registration until READY, by when photos became READY; p99 of fewer than 100: the slowest.",
    ),
    "API": ("API", "Answers to the phones, and failures."),
    "latency p50": ("Latency of calls, p50", "As the phones saw it, in every 5 seconds."),
    "latency p95": (
        "Latency of calls, p95",
        "As the phones saw it, in every 5 seconds; of fewer than 20 calls the slowest.",
    ),
    "phones": ("Phones", "Visits under way at once: they register, send, or wait until all is READY."),
    "backlog": ("Backlog", "Messages in each queue, waiting and in flight."),
    "age": ("Age", "Of the oldest message in each queue."),
    "concurrency": ("Concurrency", "Invocations at once by function; dashed: the limit."),
    "API throttles/s": ("API throttles", "Of the API, its authorizer and the gateway, by AWS’s reason."),
    "throttles/s": ("Throttles", "What was refused, and AWS’s reason."),
    "refusals/s": ("Refusals", "By limit."),
    "CPU": ("CPU", "Processor cores in use, by kind of process; the generator: all of its processes."),
    "host CPU": ("Host CPU", "Of the generator’s machine: used by its processes, and taken by its hypervisor (steal)."),
    "memory": ("Memory", "By kind of process (proportional set size)."),
    "environments": ("Environments", "Execution environments of each function."),
}
"""A title and a sentence for the panels that a load run and the simulator have; others show their own names."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a chart, and its row in the table below it: `mean`, `peak` and `at` are texts, in the chart's unit."""

    name: str
    colour: int
    dash: int
    limit: bool
    points: Points
    peak_value: float
    mean: str
    peak: str
    at: str
    off_chart: bool = False


@dataclass(frozen=True, slots=True)
class Chart:
    """A panel's lines on common axes: time 0 to `span` and values 0 to `top`. `key` ties it to its data in the page.

    The drain is from `load_seconds` to `end`; `span` is later where another run on the same axes took longer.
    """

    key: str
    title: str
    about: str
    unit: str
    lines: tuple[Line, ...]
    top: float
    span: float
    end: float
    load_seconds: float
    first_refusal: float | None


def charts_of(results: Results, prefix: str = "c", colours: Colours | None = None) -> tuple[Chart, ...]:
    """Return the charts of a run, the most telling first. `prefix`, `colours`: where others are on the page, too."""
    colours = colours or Colours()
    # A line that never changes is packed as one number.
    limit = min(MAX_POINTS, fair_share([len(s.t) for s in results.series if len(set(s.values)) > 1], MAX_NUMBERS))
    span = span_of(results)
    refusals = [limit.first_at for limit in results.limits if limit.first_at is not None]
    return tuple(
        Chart(
            key=f"{prefix}{n}",
            title=_KNOWN.get(panel, (panel, ""))[0],
            about=_KNOWN.get(panel, ("", ""))[1],
            unit=series[0].unit,
            lines=(drawn := _lines(series, colours, span, limit)),
            top=max((line.peak_value for line in drawn if not line.off_chart), default=0) or 1.0,
            span=span,
            end=span,
            load_seconds=results.seconds,
            first_refusal=min(refusals, default=None),
        )
        for n, (panel, series) in enumerate(panels_of(results).items())
    )


def panels_of(results: Results) -> dict[str, list[Series]]:
    """Return the series by panel, in the order of the page."""
    panels: dict[str, list[Series]] = {}
    for series in results.series:
        panels.setdefault(series.panel, []).append(series)
    return {panel: panels[panel] for panel in sorted(panels, key=rank)}


def rank(panel: str, order: Sequence[str] = ORDER) -> int:
    """Return a panel's place in the order: what users feel first, then limits, then the machine."""
    return next((n for n, word in enumerate(order) if word in panel.lower()), len(order))


def value_text(value: float | None, unit: str) -> str:
    """Return a value as text in a chart's table, whose head has the unit."""
    return duration(value) if unit == "s" else number(value)


def span_of(results: Results) -> float:
    """Return the end of the time axis, in seconds of the run: the load and its drain."""
    return max((series.t[-1] for series in results.series if series.t), default=results.seconds)


def document(charts: Iterable[Chart]) -> dict[str, Any]:
    """Return what the page's script draws: lines refer to `times` by number, since most share theirs."""
    times: list[Any] = []
    numbers: dict[tuple[float, ...], int] = {}

    def time_number(t: list[float]) -> int:
        key = tuple(t)
        if key not in numbers:
            numbers[key] = len(times)
            times.append(_packed_times(t))
        return numbers[key]

    drawn = {
        chart.key: {
            "unit": chart.unit,
            "top": _short(chart.top),
            "span": chart.span,
            "load": chart.load_seconds,
            "end": chart.end,
            "refusal": chart.first_refusal,
            "lines": [_line_document(line, time_number(line.points.t)) for line in chart.lines],
        }
        for chart in charts
    }
    return {"times": times, "charts": drawn}


def _lines(series: Sequence[Series], colours: Colours, span: float, max_points: int) -> tuple[Line, ...]:
    lines: list[Line] = []
    for one in series:
        limit = _LIMIT.search(one.name) is not None
        colour = colours.of(_LIMIT.sub("", one.name).strip())
        same = sum(line.colour == colour and not line.limit for line in lines)
        known = [(value, at) for at, value in zip(one.t, one.values, strict=True) if value is not None]
        peak, at = max(known, key=lambda pair: pair[0], default=(0.0, None))
        mean = sum(value for value, _ in known) / len(known) if known else None
        lines.append(
            Line(
                name=one.name,
                colour=colour,
                dash=0 if limit else same % _DASHES,
                limit=limit,
                points=thin(one.t, one.values, max_points),
                peak_value=peak,
                mean=DASH if limit else value_text(mean, one.unit),
                peak=value_text(peak, one.unit) if known else DASH,
                at=DASH if limit or not peak else clock(at, span),
            )
        )
    reach = max((line.peak_value for line in lines if not line.limit), default=0) * _LIMIT_WITHIN
    return tuple(
        replace(line, off_chart=line.limit and line.peak_value > reach)
        for line in sorted(lines, key=lambda line: line.limit)
    )


def _line_document(line: Line, time: int) -> dict[str, Any]:
    document: dict[str, Any] = {
        "name": line.name,
        "colour": line.colour,
        "dash": line.dash,
        "limit": line.limit,
        "off": line.off_chart,
        "time": time,
        "values": _packed(line.points.values),
    }
    if line.points.low is not None and line.points.high is not None:
        document |= {"low": _packed(line.points.low), "high": _packed(line.points.high)}
    return document


def _packed_times(t: list[float]) -> Any:
    """Pack times: equal steps as where they start, their length, and how many there are."""
    if len(t) > 1 and all(abs(t[0] + n * (t[1] - t[0]) - at) < 1e-6 for n, at in enumerate(t)):
        return {"from": t[0], "step": t[1] - t[0], "count": len(t)}
    return [round(at, 2) for at in t]


def _packed(values: list[float | None]) -> Any:
    """Pack values: four significant digits, and one number where they never change."""
    short = [None if value is None else _short(value) for value in values]
    return short[0] if len(short) > 1 and len(set(short)) == 1 and short[0] is not None else short


def _short(value: float) -> float:
    rounded = float(f"{value:.4g}")
    return int(rounded) if rounded.is_integer() else rounded
