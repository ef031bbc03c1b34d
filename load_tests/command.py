"""`./run load`: the command line of a load run."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from console.exits import CliError, Exit
from console.options import Json, Quiet, address, count, seconds
from console.output import Output
from load_tests.photos import MIXES
from load_tests.run import RunOptions, run
from load_tests.scenarios import SCENARIOS
from load_tests.thresholds import ThresholdError, parse_threshold

app = typer.Typer(
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
_NAMES = ", ".join(SCENARIOS)
_LOAD, _WHERE, _RESULTS = "Load", "Against what", "Results"


def _scenario(text: str) -> str:
    if text not in SCENARIOS:
        raise typer.BadParameter(f"{text!r} is no scenario; there are {_NAMES}.")
    return text


def _mix(text: str) -> str:
    if text not in MIXES:
        raise typer.BadParameter(f"{text!r} is no mix of photos; there are {', '.join(MIXES)}.")
    return text


def _threshold(text: str) -> str:
    try:
        name, sign, bound = parse_threshold(text)
    except ThresholdError as error:
        raise typer.BadParameter(str(error)) from error
    return f"{name}{sign}{bound:g}"


def _option(panel: str, envvar: str, help_: str, *names: str, **more: Any) -> Any:
    return typer.Option(*names, envvar=envvar, help=help_, rich_help_panel=panel, show_default=False, **more)


Uploads = Annotated[
    float | None,
    _option(_LOAD, "SHOEBOX_UPLOADS_PER_DAY", "Photos in a day: 10M, 500k.", parser=count, metavar="COUNT"),
]
Duration = Annotated[
    int | None,
    _option(_LOAD, "SHOEBOX_LOAD_SECONDS", "How long: 90, 5m, 1h.", "--time", parser=seconds, metavar="TIME"),
]
Scale = Annotated[
    float, _option(_LOAD, "SHOEBOX_LOAD_SCALE", "Divide load and limits by N. Else: by what this machine needs.", min=0)
]
MaxRate = Annotated[
    float | None, _option(_LOAD, "SHOEBOX_LOAD_MOST", "Photos a second that this machine does.", "--most", min=0.01)
]
Mix = Annotated[str | None, _option(_LOAD, "SHOEBOX_LOAD_PHOTOS", f"Photos: {', '.join(MIXES)}.", parser=_mix)]
Seed = Annotated[int, _option(_LOAD, "SHOEBOX_LOAD_SEED", "Of arrivals and pictures.", min=0)]
Workers = Annotated[
    int, _option(_LOAD, "SHOEBOX_LOAD_WORKERS", "Locust's worker processes; 0: it does without.", min=0, max=64)
]
TargetUrl = Annotated[
    str | None,
    _option(
        _WHERE, "SHOEBOX_LOAD_TARGET", "A gateway that runs. Else a stack is started.", parser=address, metavar="URL"
    ),
]
ControlUrl = Annotated[
    str | None,
    _option(_WHERE, "SHOEBOX_CONTROL_URL", "The target's control port, to see inside.", parser=address, metavar="URL"),
]
Tenant = Annotated[str, _option(_WHERE, "SHOEBOX_TENANT", "Whose photos they are.")]
Key = Annotated[Path | None, _option(_WHERE, "SHOEBOX_KEY", "The tenant's private key.", metavar="FILE")]
Quotas = Annotated[
    str | None,
    _option(
        _WHERE,
        "SHOEBOX_QUOTAS",
        "Limits that the started stack keeps. Else: those of the scale.",
        metavar="aws|aws/N|off|FILE",
    ),
]
StackFile = Annotated[
    Path | None, _option(_WHERE, "SHOEBOX_STACK", "The started stack's description.", "--stack", metavar="FILE")
]
Thresholds = Annotated[
    list[str] | None,
    _option(
        _RESULTS,
        "SHOEBOX_LOAD_THRESHOLDS",
        "What must hold, as ready_p99<5; may be repeated. Else: the scenario's.",
        parser=_threshold,
        metavar="METRIC<BOUND",
    ),
]
Drain = Annotated[
    int,
    _option(
        _RESULTS, "SHOEBOX_LOAD_DRAIN_SECONDS", "How long to wait for the last photos.", parser=seconds, metavar="TIME"
    ),
]
Folder = Annotated[Path, _option(_RESULTS, "SHOEBOX_LOAD_RESULTS", "Where each run leaves a folder.", metavar="FOLDER")]
Ui = Annotated[bool, _option(_RESULTS, "SHOEBOX_LOAD_UI", "Open Locust's own web page, and run from there.", "--ui")]


@app.command()
def load(
    scenario: Annotated[str, typer.Argument(parser=_scenario, metavar="SCENARIO", help=f"One of {_NAMES}.")],
    uploads_per_day: Uploads = None,
    duration: Duration = None,
    scale: Scale = 0,
    max_rate: MaxRate = None,
    photos: Mix = None,
    seed: Seed = 1,
    workers: Workers = 0,
    target: TargetUrl = None,
    control_url: ControlUrl = None,
    tenant: Tenant = "demo",
    key: Key = None,
    quotas: Quotas = None,
    stack: StackFile = None,
    threshold: Thresholds = None,
    drain: Drain = "2m",  # type: ignore[assignment]  # parsed
    results: Folder = Path("load_results"),
    ui: Ui = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Load a stack with phones that upload photos, and write a report of what it did.

    [bold]Examples[/bold]
      ./run load smoke
      ./run load christmas --uploads-per-day 100M       [dim]# scaled down: aws/N[/dim]
      ./run load day --time 20m --threshold 'ready_p99<5' --threshold lost==0
      ./run load smoke --target https://photos.example.com --key demo.pem
      ./run load soak --workers 2 --json

    Exit code 0: all thresholds are met. 1: not all. 5: the stack did not start. 6: the run is invalid, for the
    generator could not keep up, or the run was stopped; it says nothing about the service.
    """
    output = Output(json=json, quiet=quiet)
    options = RunOptions(
        scenario=SCENARIOS[scenario],
        uploads_per_day=uploads_per_day,
        seconds=duration,
        scale=scale,
        max_rate=max_rate,
        mix=photos,
        seed=seed,
        workers=workers,
        target=target,
        control_url=control_url,
        tenant=tenant,
        key=key,
        quotas=quotas,
        stack=stack,
        thresholds=threshold or None,
        drain_seconds=drain,
        results=results,
        ui=ui,
    )
    try:
        code, documents = run(options, output)
    except CliError as error:
        output.error(error.message, error.hint)
        sys.exit(error.exit_code)
    if json:
        output.document([orjson.loads(path.read_bytes()) for path in documents])
    sys.exit(code)


def main() -> None:
    """Run the command; Ctrl-C ends it with its exit code."""
    try:
        app(prog_name="./run load")
    except KeyboardInterrupt:
        sys.exit(Exit.INTERRUPTED)
