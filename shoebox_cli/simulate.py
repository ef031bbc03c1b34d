"""`shoebox simulate`: a day of uploads against AWS's limits, in less than a minute."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from console.exits import CliError, Exit
from console.options import Json, NoProgress, Quotas, StackFile
from console.output import DataTable, Output, number_text, plural, safe
from shoebox_cli.quotas import ApiSeconds, AuthorizerSeconds, IngestSeconds, PhotosPerUpload, Polls, UploadsPerDay

if TYPE_CHECKING:
    from load_tests.results import Cost, Results, Series
    from load_tests.simulator.model import SimulationSettings

_BAR, _HOUR = 30, 3600
_WHOLE = "registered → ready"
CURVES = ("flat", "day", "christmas")
"""Those of load_tests/arrivals.py, which help does not import; a test compares them."""


def curve_name(text: str) -> str:
    """Return a curve of the day, for an option's `parser`."""
    if text not in CURVES:
        raise typer.BadParameter(f"{text!r} is no curve; write one of {', '.join(CURVES)}.")
    return text


Curve = Annotated[
    str,
    typer.Option(
        parser=curve_name,
        envvar="SHOEBOX_CURVE",
        metavar="|".join(CURVES),
        help="The day's shape.",
        rich_help_panel="Load",
    ),
]
Seed = Annotated[
    int,
    typer.Option(envvar="SHOEBOX_SEED", min=0, help="Seed of the random numbers: the same seed gives the same day."),
]
Csv = Annotated[
    Path | None,
    typer.Option("--csv", envvar="SHOEBOX_CSV", metavar="FILE", show_default=False, help="Write the day by minute."),
]
Report = Annotated[
    Path | None,
    typer.Option(
        "--report",
        envvar="SHOEBOX_REPORT",
        metavar="FOLDER",
        show_default=False,
        help="Write results.json and report.html.",
    ),
]


def simulate(
    uploads_per_day: UploadsPerDay,
    curve: Curve = "day",
    photos_per_upload: PhotosPerUpload = 10,
    polls: Polls = 3.0,
    authorizer_seconds: AuthorizerSeconds = 0.05,
    api_seconds: ApiSeconds = 0.07,
    ingest_seconds: IngestSeconds = 0.7,
    quotas: Quotas = "aws",
    stack: StackFile = None,
    seed: Seed = 1,
    csv: Csv = None,
    report: Report = None,
    json: Json = False,
    no_progress: NoProgress = False,
) -> None:
    """Simulate a day of uploads: what throttles first, how long photos wait, which limits to raise, and what it costs.

    [bold]Examples[/bold]
      shoebox simulate --uploads-per-day 10M
      shoebox simulate --uploads-per-day 100M --curve christmas --report runs/christmas
      shoebox simulate --uploads-per-day 500k --quotas ours.yaml --stack ours/stack.yaml --json

    No stack needs to run. Exit code 1: photos were refused for good, or not READY six hours after the day.
    """
    from datetime import UTC, datetime

    from console.messages import user_facing_errors
    from fleet.limits.quotas import load_quotas
    from load_tests.report import NoTemplates, write
    from load_tests.simulator import day
    from load_tests.simulator.capacity import PhotoCalls
    from load_tests.simulator.model import Parameters, SimulationSettings
    from load_tests.simulator.report import results
    from shoebox.stack.model import load_stack, stack_file

    output = Output(json=json, progress=not no_progress)
    calls = PhotoCalls(
        upload=photos_per_upload,
        polls=polls,
        authorizer_seconds=authorizer_seconds,
        api_seconds=api_seconds,
        ingest_seconds=ingest_seconds,
    )
    with user_facing_errors():
        settings = SimulationSettings(
            load_stack(stack or stack_file()),
            round(uploads_per_day),
            curve,
            load_quotas(quotas),
            seed,
            parameters=Parameters(calls=calls),
        )
        started_at = datetime.now(UTC)
        with _progress(output) as progress:
            found = results(day.simulate(settings, progress), started_at)
    try:
        if csv:
            _write_csv(found, csv)
        if report:
            try:
                output.say(f"Report: {safe(str(write(found, report)))}")
            except NoTemplates as error:
                output.say(f"[yellow]{safe(str(error))}[/yellow]; results.json is in {safe(str(report))}")
    except OSError as error:
        raise CliError(f"Cannot write {error.filename}: {error.strerror}", exit_code=Exit.LOCAL) from error
    if json:
        output.document(found.model_dump(mode="json"))
    else:
        _show(found, settings, output)
    if found.photos.ready < found.offered.photos:
        raise typer.Exit(Exit.FAILED)


@contextmanager
def _progress(output: Output) -> Iterator[Callable[[float], None]]:
    """Show a progress bar where stderr is a terminal; what it yields is called with the part that is done."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    shown = output.progress and output.stderr.is_terminal
    columns = (TextColumn("Simulating"), BarColumn(), TextColumn("{task.percentage:3.0f} %"), TimeRemainingColumn())
    with Progress(*columns, console=output.stderr, transient=True, disable=not shown) as bar:
        task = bar.add_task("Simulating", total=1.0)
        yield lambda part: bar.update(task, completed=part)


def _write_csv(found: Results, path: Path) -> None:
    """Write a row for each point of the charts, and a column for each of their lines: `panel: name`."""
    import csv

    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["second", *(f"{series.panel}: {series.name}" for series in found.series)])
        table.writerows(zip(found.series[0].t, *(series.values for series in found.series), strict=True))


def _show(found: Results, settings: SimulationSettings, output: Output) -> None:
    """Write the day for people: what throttled first, the day as a chart, what to raise, and what it costs."""
    throttled = sorted((limit for limit in found.limits if limit.first_at is not None), key=lambda at: at.first_at or 0)
    if throttled:
        first, *others = throttled
        after = "".join(f", {each.limit} of {each.subject} ({_clock(each.first_at)})" for each in others)
        after = after and f", then {after[2:]}"
        output.line(f"Throttled first: {first.limit} of {first.subject} at {_clock(first.first_at)}{after}")
    else:
        output.line("Throttled first: nothing")
    photos, queue, whole = found.photos, found.queues[0], found.stages.get(_WHOLE)
    output.line(
        f"Photos: {found.offered.photos:,}; READY {photos.ready:,}, refused {photos.refused:,}, "
        f"unfinished {photos.unfinished:,}"
    )
    if queue.peak_depth_at is None:
        output.line("Peak backlog: none")
    else:
        waited = _duration(queue.peak_age or 0.0)
        peak = f"{plural(queue.peak_depth, 'photo')} at {_clock(queue.peak_depth_at)}"
        output.line(f"Peak backlog: {peak}; the oldest waited {waited}")
    delays = ", ".join(f"p{p} {_duration(s)}" for p, s in whole.percentiles.items()) if whole else "none"
    output.line(f"Registered to READY: {delays}")
    output.line("")
    for line in _chart(found):
        output.line(line)
    _show_advice(settings, output)
    if found.cost:
        for line in _cost(found.cost, photos.ready):
            output.line(line)


def _chart(found: Results) -> Iterable[str]:
    """Draw an hour a line: photos a second, the peak of the backlog, and a bar: READY, and what was offered beyond."""
    lines = {(series.panel, series.name): series for series in found.series}
    offered, ready = (_hourly_rates(lines["photos/s", name]) for name in ("offered", "ready"))
    backlog = lines["backlog", found.queues[0].name]
    peaks: defaultdict[int, float] = defaultdict(float)
    # A point stands at the end of its interval: one at 3600 s is of hour 0.
    for second, value in zip(backlog.t, backlog.values, strict=True):
        peaks[_hour_before(second)] = max(peaks[_hour_before(second)], value or 0.0)
    highest = max([*offered.values(), *ready.values()], default=0.0) or 1.0
    yield " hour  offered/s    ready/s     backlog"
    for hour in range(max([*offered, *ready], default=-1) + 1):
        came, done = offered[hour], ready[hour]
        long, full = round(_BAR * came / highest), round(_BAR * done / highest)
        yield f"{hour:5}{came:11,.1f}{done:11,.1f}{peaks[hour]:12,.0f}  {'█' * full}{'░' * (long - full)}".rstrip()
    yield ""


def _hourly_rates(series: Series) -> defaultdict[int, float]:
    """Return photos a second, the mean of each hour; a point stands at the end of its interval."""
    hours: defaultdict[int, float] = defaultdict(float)
    for begin, (end, rate) in zip([0.0, *series.t], zip(series.t, series.values, strict=True), strict=False):
        hours[_hour_before(end)] += (rate or 0.0) * (end - begin) / _HOUR
    return hours


def _hour_before(second: float) -> int:
    return max(0, math.ceil(second / _HOUR) - 1)


def _show_advice(settings: SimulationSettings, output: Output) -> None:
    """Write what the busiest second needs and does not have, as `shoebox quotas plan` says it."""
    from fleet.limits.plan import NeedStatus
    from load_tests.simulator.report import needs_of

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
        needed, now = number_text(need.needed), number_text(need.maximum)
        table.add_row(need.limit, need.subject, needed, now, need.unit, need.advice)
    output.table(table)


def _cost(cost: Cost, photos: int) -> Iterable[str]:
    by_service = groupby(sorted(cost.lines, key=lambda line: line.service), key=lambda line: line.service)
    sums = sorted(((sum(line.usd for line in lines), name) for name, lines in by_service), reverse=True)
    yield f"Cost: ${cost.usd:,.2f} for a million photos READY, ${cost.usd * photos / 1e6:,.2f} for this day"
    yield "      " + ", ".join(f"{name} ${usd:,.2f}" for usd, name in sums)
    storage = sum(line.usd for line in cost.storage)
    stored = ", ".join(f"{line.item.rpartition(': ')[2]} {line.quantity:,.0f} GB" for line in cost.storage)
    yield f"      keeping a million for a month: ${storage:,.2f} ({stored})"
    unsure = "" if all(line.verified for line in cost.lines) else "; prices of S3 and SNS are not verified"
    yield f"      AWS's prices in {cost.region}, looked up {cost.dated}{unsure}: load_tests/prices.yaml"


def _clock(second: float | None) -> str:
    """Write a second of the day as people do; the day after goes on from 24."""
    second = second or 0.0
    return f"{int(second // 3600):02}:{int(second // 60 % 60):02}:{int(second % 60):02}"


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:,.1f} s"
    return f"{seconds / 60:,.0f} min" if seconds < 7200 else f"{seconds / 3600:,.1f} h"
