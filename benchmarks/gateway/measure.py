"""Requests a second through gateway, cached authorizer and a no-op function; and latency at half the target rate."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil

from benchmarks.gateway.peer import ministack
from benchmarks.rounds import interleave, median

_TARGET = 1500
_CONNECTIONS = 64
_ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class GatewaySide:
    """One gateway: its name, its process, and the URL behind its authorizer."""

    name: str
    process: psutil.Process
    url: str
    connections: int = _CONNECTIONS

    def cpu_seconds(self) -> float:
        """Of the process and of the functions' processes that it started."""
        family = [self.process, *self.process.children(recursive=True)]
        return sum(sum(process.cpu_times()[:2]) for process in family)


@dataclass(frozen=True, slots=True)
class RequestsRound:
    """Requests a second at full speed with the CPU that one costs; latencies in ms at half the target rate."""

    rate: float
    cpu_us: float
    p50_ms: float
    p99_ms: float
    failed: int


def main(seconds: float, rounds: int) -> None:
    """Run the rounds, one side after the other within each, and print the table."""
    with ExitStack() as running, TemporaryDirectory(prefix="shoebox-bench-") as folder:
        sides = [
            running.enter_context(shoebox("Shoebox", "uvloop")),
            running.enter_context(shoebox("Shoebox, asyncio's own loop", "asyncio")),
            running.enter_context(_ministack(Path(folder))),
        ]
        for side in sides:
            _load(side, 1.0)  # environments start, the authorizer's answer is kept
        by_name = {side.name: side for side in sides}
        found = interleave(by_name, rounds, lambda side: _measure(side, seconds))
    print(
        f"{_CONNECTIONS} connections; latency at {_TARGET // 2} requests/s, or at half of what it reaches.\n\n"
        "| gateway → authorizer (cached) → no-op → answer | requests/s | CPU µs a request | p50 ms | p99 ms | failed |"
        "\n|---|---|---|---|---|---|"
    )
    for name, measured in found.items():
        print(f"| {name} | {_row(measured)} |")


def _row(rounds: Sequence[RequestsRound]) -> str:
    cells = (
        f"{median(rounds, 'rate'):,.0f}",
        f"{median(rounds, 'cpu_us'):,.0f}",
        f"{median(rounds, 'p50_ms'):.1f}",
        f"{median(rounds, 'p99_ms'):.1f}",
        f"{sum(one.failed for one in rounds):,}",
    )
    return " | ".join(cells)


def _measure(side: GatewaySide, seconds: float) -> RequestsRound:
    before = side.cpu_seconds()
    full = _load(side, seconds)
    answered = max(1.0, full["rate"] * seconds)
    cpu = (side.cpu_seconds() - before) / answered * 1e6
    half = _load(side, seconds, rate=min(_TARGET, full["rate"]) / 2)
    return RequestsRound(full["rate"], cpu, half["p50_ms"], half["p99_ms"], full["failed"] + half["failed"])


def _load(side: GatewaySide, seconds: float, rate: float | None = None) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.gateway.load", side.url, "--seconds", str(seconds)]
    command += ["--connections", str(side.connections), *(["--rate", str(rate)] if rate else [])]
    ended = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(ended.stdout)
    return found


@contextmanager
def shoebox(name: str, loop: str) -> Iterator[GatewaySide]:
    """Our fleet, with AWS's quotas, on one of two loops."""
    command = [sys.executable, "-m", "benchmarks.gateway.service", loop]
    with subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            addresses = json.loads(process.stdout.readline())
            yield GatewaySide(name, psutil.Process(process.pid), f"{addresses['url']}/v1/x")
        finally:
            process.terminate()


@contextmanager
def _ministack(folder: Path) -> Iterator[GatewaySide]:
    with ministack(folder) as (pid, url):
        yield GatewaySide("ministack 1.5.33", psutil.Process(pid), url, connections=8)  # with more it only queues
