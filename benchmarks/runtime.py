"""Our runtime beside AWS's own Python client, on a stub of the Runtime API: rates, CPU, memory, start.

Each side runs on core 0, the stub on core 1 (Linux). Rounds are interleaved; the tables show medians, and of CPU also
the best round, since other programs may disturb a round and never make it cheaper. `--quick` takes a minute.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import psutil

from benchmarks.rounds import interleave, median
from benchmarks.runtime_api import events

_ROOT = Path(__file__).parents[1]
_RUNTIME_CORE, _STUB_CORE = 0, 1
_READY_SECONDS = 180
T = TypeVar("T")


@dataclass(frozen=True)
class RuntimeSide:
    """One way to run a handler."""

    name: str
    program: str
    handler: str
    slots: int
    variables: Mapping[str, str] = field(default_factory=dict)

    def environment(self, port: int) -> dict[str, str]:
        """Return the process's variables; without a maximum AWS's client runs one process."""
        slots = {"AWS_LAMBDA_MAX_CONCURRENCY": str(self.slots)} if self.slots > 1 else {}
        handler = f"benchmarks.runtime_api.{self.handler}"
        own = {"PATH": os.environ["PATH"], "PYTHONPATH": str(_ROOT), "AWS_EC2_METADATA_DISABLED": "true"}
        return {**own, "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{port}", "_HANDLER": handler, **slots, **self.variables}

    @property
    def command(self) -> list[str]:
        """The process's command line."""
        handler = f"benchmarks.runtime_api.{self.handler}"
        return [sys.executable, "-m", self.program, handler]


@dataclass(frozen=True)
class InvocationsRound:
    """What one round of one side took."""

    rate: float
    cpu_us: float
    p50: float
    p99: float


def ours(name: str, handler: str, slots: int, loop: str) -> RuntimeSide:
    """Our runtime on one of the two loops, in one process."""
    return RuntimeSide(name, "workers.runtime", handler, slots, {"RUNTIME_LOOP": loop, "RUNTIME_PROCESSES": "1"})


def aws(name: str, handler: str, slots: int) -> RuntimeSide:
    """AWS's client as on Python 3.13: a process for every slot.

    Several slots are for Managed Instances, which begin with that version, and from 3.12 on its client polls in a
    thread. It goes by the name of the environment, whatever runs it.
    """
    return RuntimeSide(name, "awslambdaric", f"{handler}_sync", slots, {"AWS_EXECUTION_ENV": "AWS_Lambda_python3.13"})


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--quick", action="store_true", help="three short rounds, 16 slots")
    parser.add_argument("--only", choices=["waiting", "nothing", "batches"], help="one table")
    chosen = parser.parse_args()
    rounds, scale, slots = (3, 0.2, 16) if chosen.quick else (chosen.rounds, 1.0, 64)
    tables: dict[str, Callable[[], None]] = {
        "waiting": partial(waiting, slots, rounds, scale),
        "nothing": partial(nothing, slots, rounds, scale),
        "batches": partial(batches, rounds, scale),
    }
    for name, table in tables.items():
        if chosen.only in (None, name):
            table()


def waiting(slots: int, rounds: int, scale: float) -> None:
    """Measure a handler that waits 20 ms with an open AWS client, as a queue's worker mostly does.

    So many slots can do no more than slots / 20 ms; four times as many show what a core can. As processes they would
    take 10 GB.
    """
    sides = [
        ours(f"Shoebox, {slots} slots, asyncio", "handlers.wait", slots, "asyncio"),
        ours(f"Shoebox, {slots} slots, uvloop", "handlers.wait", slots, "uvloop"),
        ours(f"Shoebox, {4 * slots} slots, uvloop", "handlers.wait", 4 * slots, "uvloop"),
        aws(f"awslambdaric, {slots} processes", "boto3_handlers.wait", slots),
    ]
    event = events.sqs(10)
    print(f"\n20 ms of waiting, SQS batch of 10 ({len(event) / 1000:.0f} KB), an open AWS client, one core")
    with running(sides, event) as sites:
        measured = measure(sites, rounds, lambda side: int(scale * (4000 if side.program == "awslambdaric" else 12000)))
        print_rounds(measured)
        print_starts(sites)


def nothing(slots: int, rounds: int, scale: float) -> None:
    """Measure a handler that does nothing: what the runtime itself costs."""
    sides = [
        ours(f"Shoebox, {slots} slots, asyncio", "handlers.nothing", slots, "asyncio"),
        ours(f"Shoebox, {slots} slots, uvloop", "handlers.nothing", slots, "uvloop"),
        ours("Shoebox, 1 slot, uvloop", "handlers.nothing", 1, "uvloop"),
        ours("Shoebox, 1 slot, uvloop, sync handler", "handlers.nothing_sync", 1, "uvloop"),
        aws("awslambdaric, 1 process", "handlers.nothing", 1),
    ]
    event = events.api_gateway()
    print(f"\nNo work, API Gateway event ({len(event) / 1000:.1f} KB), one core")
    with running(sides, event) as sites:
        print_rounds(measure(sites, rounds, lambda side: int(scale * (20000 if side.slots > 1 else 4000))))
        print_starts(sites)


def batches(rounds: int, scale: float) -> None:
    """Measure the largest batch, of which decoding JSON is all the work."""
    sides = [
        ours("Shoebox, 4 slots, asyncio", "handlers.count", 4, "asyncio"),
        ours("Shoebox, 4 slots, uvloop", "handlers.count", 4, "uvloop"),
        aws("awslambdaric, 1 process", "handlers.count", 1),
    ]
    event = events.sqs(1000)
    print(f"\nSQS batch of 1000 ({len(event) / 1e6:.1f} MB), one core")
    with running(sides, event) as sites:
        print_rounds(measure(sites, rounds, lambda _: int(scale * 400)))


class RunningSide:
    """A side that runs, with its own stub."""

    def __init__(
        self, side: RuntimeSide, stub: subprocess.Popen[str], runtime: subprocess.Popen[bytes], began: float
    ) -> None:
        self.side = side
        self._stub = stub
        self._runtime = psutil.Process(runtime.pid)
        until = time.monotonic() + _READY_SECONDS
        while int(self._exchange("idle")) < side.slots:
            if runtime.poll() is not None or time.monotonic() > until:
                raise SystemExit(f"{side.name} did not become ready")
            time.sleep(0.05)
        self.ready_s = time.monotonic() - began
        self.ready_cpu_s = self._cpu()

    def run(self, count: int) -> InvocationsRound:
        """Run `count` invocations."""
        before = self._cpu()
        result = json.loads(self._exchange(str(count)))
        cpu = self._cpu() - before
        if result["errors"]:
            raise SystemExit(f"{self.side.name}: {result['errors']} invocations failed")
        return InvocationsRound(count / result["seconds"], cpu / count * 1e6, result["p50"], result["p99"])

    def memory(self) -> float:
        """MB of the process and its children, shared pages counted once (PSS)."""
        return sum(process.memory_full_info().pss for process in self._tree()) / 1e6

    def _tree(self) -> list[psutil.Process]:
        return [self._runtime, *self._runtime.children(recursive=True)]

    def _cpu(self) -> float:
        return sum(times.user + times.system for times in (process.cpu_times() for process in self._tree()))

    def _exchange(self, line: str) -> str:
        assert self._stub.stdin is not None
        assert self._stub.stdout is not None
        self._stub.stdin.write(line + "\n")
        self._stub.stdin.flush()
        return self._stub.stdout.readline()


@contextmanager
def running(sides: Sequence[RuntimeSide], event: bytes) -> Iterator[list[RunningSide]]:
    """Start every side with a stub, and wait until all are ready; end them at the end."""
    with TemporaryDirectory(prefix="shoebox-runtime-") as folder, ExitStack() as ending:
        path = Path(folder, "event.json")
        path.write_bytes(event)
        yield [_start(side, path, ending) for side in sides]


def _start(side: RuntimeSide, event: Path, ending: ExitStack) -> RunningSide:
    stub = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.runtime_api.stub", str(event)],
        cwd=_ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=partial(_pin, _STUB_CORE),
    )
    ending.callback(_end, stub)
    assert stub.stdout is not None
    port = int(stub.stdout.readline())
    began = time.monotonic()
    runtime = subprocess.Popen(
        side.command,
        cwd=_ROOT,
        env=side.environment(port),
        stdout=subprocess.DEVNULL,
        preexec_fn=partial(_pin, _RUNTIME_CORE),
    )
    ending.callback(_end, runtime)
    return RunningSide(side, stub, runtime, began)


def _pin(core: int) -> None:
    if hasattr(os, "sched_setaffinity") and core in os.sched_getaffinity(0):
        os.sched_setaffinity(0, {core})


def _end(process: subprocess.Popen[T]) -> None:  # type: ignore[type-var]
    tree = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
    for child in tree:
        child.kill()
    process.kill()
    process.wait()


def measure(
    sites: Sequence[RunningSide], rounds: int, count: Callable[[RuntimeSide], int]
) -> dict[str, list[InvocationsRound]]:
    """Run one warm-up of each side, then `rounds` rounds of all of them in turns."""
    for site in sites:
        site.run(max(site.side.slots, count(site.side) // 10))
    return interleave({site.side.name: site for site in sites}, rounds, lambda site: site.run(count(site.side)))


def print_rounds(measured: Mapping[str, Sequence[InvocationsRound]]) -> None:
    """Print medians over the rounds."""
    print("| | invocations/s | CPU us an invocation, median | best | p50 ms | p99 ms |\n|---|---|---|---|---|---|")
    for name, rounds in measured.items():
        cells = (
            f"{median(rounds, 'rate'):,.0f}",
            f"{median(rounds, 'cpu_us'):,.0f}",
            f"{min(one.cpu_us for one in rounds):,.0f}",
            f"{median(rounds, 'p50'):,.1f}",
            f"{median(rounds, 'p99'):,.1f}",
        )
        print(f"| {name} | {' | '.join(cells)} |")


def print_starts(sites: Sequence[RunningSide]) -> None:
    """Print memory and start of each side; the starts are one sample, taken while nothing else of ours ran."""
    print("\n| | PSS MB | ready after s | CPU s until ready |\n|---|---|---|---|")
    for site in sites:
        print(f"| {site.side.name} | {site.memory():.0f} | {site.ready_s:.2f} | {site.ready_cpu_s:.2f} |")


if __name__ == "__main__":
    main()
