"""A simulated day for people: what throttled first, the day as a chart, what to raise, and what it costs."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from itertools import groupby
from typing import TYPE_CHECKING

from console.output import DataTable, Output, number_text, plural
from fleet.limits.plan import NeedStatus
from load_tests.results import Cost, Results, Series
from load_tests.simulator.report import needs_of

if TYPE_CHECKING:
    from load_tests.simulator.model import SimulationSettings

_BAR, _HOUR = 30, 3600
_WHOLE = "registered → ready"


def show(found: Results, settings: SimulationSettings, output: Output) -> None:
    """Write the day to stdout."""
    for line in (_first(found), _photos(found), _backlog(found), _delays(found)):
        output.line(line)
    output.line("")
    for line in _chart(found):
        output.line(line)
    _advise(settings, output)
    if found.cost:
        for line in _cost(found.cost, found.photos.ready):
            output.line(line)


def _first(found: Results) -> str:
    refused = [limit for limit in found.limits if limit.first_at is not None]
    if not refused:
        return "Throttled first: nothing"
    first, *others = sorted(refused, key=lambda limit: limit.first_at or 0.0)
    after = ", then " + ", ".join(f"{o.limit} of {o.subject} ({clock(o.first_at)})" for o in others) if others else ""
    return f"Throttled first: {first.limit} of {first.subject} at {clock(first.first_at)}{after}"


def _photos(found: Results) -> str:
    photos = found.photos
    return (
        f"Photos: {found.offered.photos:,}; READY {photos.ready:,}, refused {photos.refused:,}, "
        f"unfinished {photos.unfinished:,}"
    )


def _backlog(found: Results) -> str:
    queue = found.queues[0]
    if queue.peak_depth_at is None:
        return "Peak backlog: none"
    oldest = f"; the oldest waited {_duration(queue.peak_age or 0.0)}"
    return f"Peak backlog: {plural(queue.peak_depth, 'photo')} at {clock(queue.peak_depth_at)}{oldest}"


def _delays(found: Results) -> str:
    whole = found.stages.get(_WHOLE)
    if whole is None:
        return "Registered to READY: none"
    return "Registered to READY: " + ", ".join(f"p{p} {_duration(s)}" for p, s in whole.percentiles.items())


def _chart(found: Results) -> Iterable[str]:
    """An hour a line: photos a second, the peak of the backlog, and a bar: READY, and what was offered beyond that."""
    lines = {(series.panel, series.name): series for series in found.series}
    offered, ready = (_hourly_rates(lines["photos/s", name]) for name in ("offered", "ready"))
    backlog = _hourly_peaks(lines["backlog", found.queues[0].name])
    most = max([*offered.values(), *ready.values()], default=0.0) or 1.0
    yield " hour  offered/s    ready/s     backlog"
    for hour in range(max([*offered, *ready], default=-1) + 1):
        came, done = offered[hour], ready[hour]
        long, full = round(_BAR * came / most), round(_BAR * done / most)
        yield f"{hour:5}{came:11,.1f}{done:11,.1f}{backlog[hour]:12,.0f}  {'█' * full}{'░' * (long - full)}".rstrip()
    yield ""


def _hourly_rates(series: Series) -> defaultdict[int, float]:
    """Photos a second, the mean of each hour; a point stands at the end of its interval."""
    hours: defaultdict[int, float] = defaultdict(float)
    for begin, (end, rate) in zip([0.0, *series.t], zip(series.t, series.values, strict=True), strict=False):
        hours[_hour_before(end)] += (rate or 0.0) * (end - begin) / _HOUR
    return hours


def _hourly_peaks(series: Series) -> defaultdict[int, float]:
    """The highest value of each hour."""
    hours: defaultdict[int, float] = defaultdict(float)
    for second, value in zip(series.t, series.values, strict=True):
        hours[_hour_before(second)] = max(hours[_hour_before(second)], value or 0.0)
    return hours


def _hour_before(second: float) -> int:
    return max(0, math.ceil(second / _HOUR) - 1)


def _advise(settings: SimulationSettings, output: Output) -> None:
    """What the busiest second needs and does not have, as `shoebox quotas plan` says it."""
    short = [need for need in needs_of(settings) if need.status is not NeedStatus.OK]
    if not short:
        output.line("Limits to raise: none")
        return
    table = DataTable(
        ("limit to raise", "of", "needed", "now", "unit", "what to do"),
        right=("needed", "now"),
        whole=("limit to raise", "needed", "now"),
        drop=("unit", "of", "now"),
    )
    for need in short:
        needed, most = number_text(need.needed), number_text(need.most)
        table.add_row(need.limit, need.subject, needed, most, need.unit, need.advice)
    output.table(table)


def _cost(cost: Cost, photos: int) -> Iterable[str]:
    by_service = groupby(sorted(cost.lines, key=lambda line: line.service), key=lambda line: line.service)
    sums = sorted(((sum(line.usd for line in lines), name) for name, lines in by_service), reverse=True)
    yield f"Cost: ${cost.usd:,.2f} for a million photos READY, ${cost.usd * photos / 1e6:,.2f} for this day"
    yield "      " + ", ".join(f"{name} ${usd:,.2f}" for usd, name in sums)
    storage = sum(line.usd for line in cost.storage)
    yield f"      keeping a million for a month: ${storage:,.2f} ({', '.join(_stored(cost))})"
    unsure = "" if all(line.verified for line in cost.lines) else "; prices of S3 and SNS are not verified"
    yield f"      AWS's prices in {cost.region}, looked up {cost.dated}{unsure}: load_tests/prices.yaml"


def _stored(cost: Cost) -> Iterable[str]:
    return (f"{line.item.rpartition(': ')[2]} {line.quantity:,.0f} GB" for line in cost.storage)


def clock(second: float | None) -> str:
    """A second of the day as people write it; the day after goes on from 24."""
    second = second or 0.0
    return f"{int(second // 3600):02}:{int(second // 60 % 60):02}:{int(second % 60):02}"


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:,.1f} s"
    return f"{seconds / 60:,.0f} min" if seconds < 7200 else f"{seconds / 3600:,.1f} h"
