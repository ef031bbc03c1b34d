"""`shoebox simulate`: what it says of a day, as text, JSON, CSV and a report."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from load_tests.arrivals import CURVES
from load_tests.report.files import read_results
from load_tests.results import Results
from shoebox_cli import simulate
from tests.command import shoebox


async def test_a_day_for_people(tmp_path: Path) -> None:
    """What throttled first and when, the backlog, delays, the day as a chart, limits to raise, and the cost."""
    ended = await shoebox("simulate", "--uploads-per-day", "200k", "--curve", "christmas", folder=tmp_path)

    assert ended.code == 0, ended.stderr
    lines = ended.stdout.splitlines()
    assert lines[0].startswith("Throttled first: lambda.mapping_concurrency of ingest at ")
    assert lines[1] == "Photos: 200,000; READY 200,000, refused 0, unfinished 0"
    assert lines[2].startswith("Peak backlog: ")
    assert lines[3].startswith("Registered to READY: p50 ")
    hours = [line.split() for line in lines if line.endswith("█")]
    assert max(hours, key=lambda cells: float(cells[1]))[0] == "20"
    assert "Cost: $" in ended.stdout
    assert "for a million photos READY" in ended.stdout


async def test_what_to_raise_is_a_table(tmp_path: Path) -> None:
    """The advice of `quotas plan` for the curve's busiest second."""
    ended = await shoebox("simulate", "--uploads-per-day", "20k", "--ingest-seconds", "60", folder=tmp_path)

    assert ended.code == 0, ended.stderr
    assert "raise to 6 (maximum_concurrency in stack.yaml)" in ended.stdout  # 0.71/s × 60 s / 10, and a fifth


async def test_a_day_for_programs(tmp_path: Path) -> None:
    """JSON on stdout, CSV and the report in files, all of the same day; options of times are kept."""
    arguments = ("--uploads-per-day", "20k", "--api-seconds", "0.2", "--seed", "7", "--quotas", "off")
    files = ("--csv", "day.csv", "--report", "report", "--json")

    ended = await shoebox("simulate", *arguments, *files, folder=tmp_path)

    assert ended.code == 0, ended.stderr
    found = Results.model_validate(ended.document)
    assert (found.kind, found.seed, found.quotas, found.config["api_seconds"]) == ("simulation", 7, "off", 0.2)
    assert read_results(tmp_path / "report") == found
    assert "<html" in (tmp_path / "report" / "report.html").read_text()
    with (tmp_path / "day.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    offered = sum(float(row["photos/s: offered"]) for row in rows) * 60
    assert (len(rows) >= 1440, round(offered)) == (True, 20_000)


async def test_photos_that_are_not_ready_end_it_with_1(tmp_path: Path) -> None:
    """Six hours after the day the rest is unfinished: the day is shown, and the exit code says that it failed."""
    ended = await shoebox("simulate", "--uploads-per-day", "2k", "--ingest-seconds", "5000", folder=tmp_path)

    assert ended.code == 1, ended.stderr
    assert "Photos: 2,000; READY " in ended.stdout
    assert "unfinished 0" not in ended.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(("--uploads-per-day", "lots"), "'lots' is no count", id="count"),
        pytest.param(("--uploads-per-day", "1M", "--curve", "easter"), "'easter' is no curve", id="curve"),
        pytest.param(("--uploads-per-day", "1M", "--quotas", "azure"), "names no quotas", id="quotas"),
    ],
)
async def test_a_day_without_sense_is_wrong_usage(arguments: tuple[str, ...], message: str, tmp_path: Path) -> None:
    """Exit code 2, and what is wrong."""
    ended = await shoebox("simulate", *arguments, folder=tmp_path)

    assert (ended.code, message in ended.stderr) == (2, True), ended.stderr


async def test_a_file_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says which file; the day itself does not matter, so none is simulated."""
    for name in ("day.simulate", "report.results"):
        monkeypatch.setattr(f"load_tests.simulator.{name}", lambda *_: None)
    arguments = ("--uploads-per-day", "1k", "--csv", "missing/day.csv")

    ended = await shoebox("simulate", *arguments, folder=tmp_path)

    assert ended.code not in (0, 2)
    assert "missing/day.csv" in ended.stderr


def test_curves_are_those_that_there_are() -> None:
    """The command's list, which is there before anything is imported, is the module's."""
    assert tuple(CURVES) == simulate.CURVES
