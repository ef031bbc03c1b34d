"""`shoebox simulate`: a day of uploads against AWS's limits, in less than a minute."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from console.exits import CliError, Exit
from console.options import Json, NoProgress, Quotas, StackFile
from console.output import Output, safe
from shoebox_cli.quotas_plan import (
    ApiSeconds,
    AuthorizerSeconds,
    IngestSeconds,
    PhotosPerUpload,
    Polls,
    UploadsPerDay,
)

if TYPE_CHECKING:
    from load_tests.results import Results

CURVES = ("flat", "day", "christmas")
"""Those of load_tests/arrivals.py, which help does not import; a test compares them."""


def curve_name(text: str) -> str:
    """A curve of the day, for an option's `parser`."""
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
Seed = Annotated[int, typer.Option(envvar="SHOEBOX_SEED", min=0, help="The same seed, the same day.")]
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
    from console.messages import user_facing_errors
    from fleet.limits.quotas import load_quotas
    from load_tests.simulator.capacity import PhotoCalls
    from load_tests.simulator.model import Parameters, SimulationSettings
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
        found = _simulated(settings, output)
    _write(found, csv, report, output)
    _show(found, settings, output)
    if found.photos.ready < found.offered.photos:
        raise typer.Exit(Exit.FAILED)


def _simulated(settings: object, output: Output) -> Results:
    from datetime import UTC, datetime

    from load_tests.simulator.day import simulate as run
    from load_tests.simulator.model import SimulationSettings
    from load_tests.simulator.report import results

    assert isinstance(settings, SimulationSettings)
    started_at = datetime.now(UTC)
    with _progress(output) as progress:
        return results(run(settings, progress), started_at)


@contextmanager
def _progress(output: Output) -> Iterator[Callable[[float], None]]:
    """A bar on stderr where people look: told the part that is done."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    shown = output.progress and output.talk.is_terminal
    columns = (TextColumn("Simulating"), BarColumn(), TextColumn("{task.percentage:3.0f} %"), TimeRemainingColumn())
    with Progress(*columns, console=output.talk, transient=True, disable=not shown) as bar:
        task = bar.add_task("Simulating", total=1.0)
        yield lambda part: bar.update(task, completed=part)


def _write(found: Results, csv: Path | None, report: Path | None, output: Output) -> None:
    try:
        if csv:
            _write_csv(found, csv)
        if report:
            _write_report(found, report, output)
    except OSError as error:
        raise CliError(f"Cannot write {error.filename}: {error.strerror}", exit_code=Exit.LOCAL) from error


def _write_csv(found: Results, path: Path) -> None:
    """A row a point of the charts, and a column a line of them: `panel: name`."""
    import csv

    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["second", *(f"{series.panel}: {series.name}" for series in found.series)])
        table.writerows(zip(found.series[0].t, *(series.values for series in found.series), strict=True))


def _write_report(found: Results, folder: Path, output: Output) -> None:
    from load_tests.report import NoTemplates, write

    try:
        output.say(f"Report: {safe(str(write(found, folder)))}")
    except NoTemplates as error:
        output.say(f"[yellow]{safe(str(error))}[/yellow]; results.json is in {safe(str(folder))}")


def _show(found: Results, settings: object, output: Output) -> None:
    if output.json:
        output.document(found.model_dump(mode="json"))
        return
    from load_tests.simulator.model import SimulationSettings
    from shoebox_cli.simulated import show

    assert isinstance(settings, SimulationSettings)
    show(found, settings, output)
