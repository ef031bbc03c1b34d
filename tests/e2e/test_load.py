"""`./run load` from its start to the report, as a performance engineer uses it: real stacks, Locust, real photos."""

import asyncio
import csv
import json
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from load_tests.results import Results
from tests.e2e.conftest import Start
from tests.e2e.live_stack import ROOT

SMALL = ("--photos", "small", "--uploads-per-day", "250k", "--time", "8")  # 2.9 photos/s
LENIENT = ("--threshold", "lost==0", "--threshold", "refused==0", "--threshold", "ready_p99<90")
only_here = pytest.mark.only_on("embedded", reason="it starts its own stack, and Docker's time is dear")


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run ended."""

    code: int | None
    stdout: str
    stderr: str


async def begin(*arguments: str | Path, folder: Path) -> asyncio.subprocess.Process:
    """Start `python -m load_tests` in a session of its own, so that it can be sent what Ctrl-C sends."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "load_tests", *map(str, arguments)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=folder,
        start_new_session=True,
        env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "PYTHONPATH": str(ROOT)},
    )


async def ended(process: asyncio.subprocess.Process) -> Ended:
    """Wait for its end."""
    stdout, stderr = await asyncio.wait_for(process.communicate(), 240)
    return Ended(process.returncode, stdout.decode(), stderr.decode())


async def load(*arguments: str | Path, folder: Path) -> Ended:
    """Run a scenario from start to end."""
    return await ended(await begin(*arguments, folder=folder))


def results_of(folder: Path) -> tuple[Results, Path]:
    """Return the one run that a folder has, and its own folder."""
    (found,) = folder.glob("load_results/*/results.json")
    return Results.model_validate_json(found.read_bytes()), found.parent


def reports(folder: Path) -> list[Path]:
    """All reports that a folder has."""
    return list(folder.glob("load_results/*/report.html"))


def rows(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file."""
    with path.open(newline="", encoding="utf-8") as table:
        return list(csv.DictReader(table))


@only_here
@pytest.mark.timeout(300)
async def test_a_run_by_two_workers_from_the_stack_s_start_to_the_report(tmp_path: Path) -> None:
    """Every photo that was offered is on record and READY, each part of the system is seen, and the folder is whole."""
    done = await load("smoke", *SMALL, *LENIENT, "--workers", "2", "--json", folder=tmp_path)
    assert done.code == 0, done.stderr
    results, folder = results_of(tmp_path)

    assert json.loads(done.stdout) == [json.loads((folder / "results.json").read_bytes())]
    assert results.passed
    assert results.offered.photos == results.photos.ready > 0
    assert results.offered.missed == results.photos.lost == 0
    photos = rows(folder / "photos.csv")
    assert len(photos) == results.photos.ready
    for photo in photos:
        moments = [float(photo[name]) for name in ("registered", "uploaded", "received", "finished")]
        assert moments == sorted(moments)

    # What the phones count and what the stack counts is the same.
    put = next(request for request in results.requests if request.name == "PUT presigned URL")
    assert put.count == results.photos.ready
    assert {process.role for process in results.processes} >= {"fleet and gateway", "emulator", "function ingest"}
    assert all(process.cpu_seconds > 0 for process in results.processes)
    generator = next(process for process in results.processes if process.role == "generator")
    assert generator.count == 3  # the master and its workers
    assert results.host is not None
    assert 0 < results.host.busy <= 1
    assert results.ready_per_second * results.rate_seconds == pytest.approx(results.photos.ready)
    assert results.rate_seconds >= results.seconds
    assert sum(throttle.count for throttle in results.throttles) == sum(limit.throttled for limit in results.limits)
    assert {"uploads", "uploads-dead"} <= {queue.name for queue in results.queues}
    assert {"photos/s", "delay", "backlog", "concurrency", "CPU", "memory"} <= {line.panel for line in results.series}
    assert {"latency p50", "latency p95", "phones", "host CPU"} <= {line.panel for line in results.series}
    phones = next(line for line in results.series if line.panel == "phones")
    assert max(filter(None, phones.values)) > 0
    assert results.cost is not None
    assert results.cost.usd > 0
    assert any(limit.limit == "lambda.concurrency" and limit.peak > 0 for limit in results.limits)

    names = {path.name for path in folder.iterdir()}
    assert names >= {"report.html", "results.json", "series.csv", "requests.csv", "limits.csv", "photos.csv"}
    assert names >= {"config.json", "stack.yaml", "stack.log"}
    page = (folder / "report.html").read_text("utf-8")
    assert all(f'href="{name}"' in page for name in names - {"report.html"})
    assert f"{folder.name}/report.html" in (folder.parent / "trend.html").read_text("utf-8")
    assert "report.html" in done.stderr


@only_here
@pytest.mark.timeout(300)
async def test_a_target_that_runs_already(start: Start, tmp_path: Path) -> None:
    """Nothing is started; a threshold that is not met is told, and ends with exit code 1."""
    async with start() as live:
        where = ("--target", live.gateway_url, "--control-url", live.local.fleet.runtime_url)
        key = ("--key", live.key.save(tmp_path), "--threshold", "ready_p99<0.001", "--threshold", "lost==0")
        done = await load("smoke", *SMALL, *where, *key, folder=tmp_path)
        sent = await live.objects("originals/")
    results, folder = results_of(tmp_path)

    assert done.code == 1, done.stderr
    assert "✗" in done.stderr
    assert [threshold.ok for threshold in results.thresholds] == [False, True]
    assert len(sent) == results.photos.ready == results.offered.photos
    assert not (folder / "stack.log").exists()
    assert any("Of the stack's processes" in note for note in results.notes)


@only_here
@pytest.mark.timeout(300)
async def test_a_run_that_is_stopped_makes_its_report_and_is_invalid(tmp_path: Path) -> None:
    """Ctrl-C reaches every process of the group; what there was is reported, and says that it is not the whole."""
    process = await begin("smoke", "--photos", "small", "--time", "10m", folder=tmp_path)
    assert process.stderr is not None
    said = b""
    async with asyncio.timeout(120):
        while said.count(b"generator") < 2:  # the live view's second line: the load is under way
            said += await process.stderr.readline()
    os.killpg(process.pid, signal.SIGINT)
    done = await ended(process)
    results, _ = results_of(tmp_path)

    assert done.code == 6, said.decode() + done.stderr
    assert "was stopped after" in results.invalid[0]
    assert not results.passed
    assert results.config["uploads_per_day"]


WRONG: dict[str, tuple[list[Any], int, str]] = {
    "no scenario": ([], 2, "SCENARIO"),
    "unknown scenario": (["easter"], 2, "christmas"),
    "unknown mix": (["smoke", "--photos", "paintings"], 2, "small, phones"),
    "no threshold": (["smoke", "--threshold", "speed>9"], 2, "ready_p99"),
    "no time": (["smoke", "--time", "soon"], 2, "90, 30s, 15m"),
    "no count": (["smoke", "--uploads-per-day", "many"], 2, "2.5M"),
    "two stacks, one target": (["naive", "--target", "http://127.0.0.1:9"], 2, "two stacks"),
    "no key": (["smoke", "--target", "http://127.0.0.1:9"], 5, "--key FILE"),
    "no such stack": (["smoke", "--stack", "nowhere.yaml"], 2, "nowhere.yaml"),
    "no such quotas": (["smoke", "--quotas", "gcp"], 2, "aws, aws/N, off"),
}


@only_here
@pytest.mark.parametrize(("arguments", "code", "says"), WRONG.values(), ids=WRONG)
async def test_what_cannot_be_run_is_told(tmp_path: Path, arguments: list[Any], code: int, says: str) -> None:
    """With what to write instead, before anything is loaded; no traceback."""
    done = await load(*arguments, folder=tmp_path)

    assert done.code == code, done.stderr
    assert says in " ".join(done.stderr.split()).replace("│ ", "")
    assert "Traceback" not in done.stderr
    assert not reports(tmp_path)
