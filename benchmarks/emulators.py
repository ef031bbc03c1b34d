"""The same photos through Shoebox on the embedded emulator, on LocalStack in a container, and all of it in containers.

Interleaved rounds in one run; every stack is up all the time. Needs a Docker engine. It tells what an emulator costs,
not what Shoebox can do: both emulators are one process with one thread at work.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import docker

from benchmarks.pipeline import UploadRound, upload_round, write_photos
from load_tests.stack import RunningStack, running_stack
from tests.localstack.container import ENGINE, IMAGE, localstack
from tests.localstack.project import Project, project

_BUILD_SECONDS = 1800


@dataclass(frozen=True)
class StackSide:
    """One way to run Shoebox: its addresses, and the CPU seconds so far of its ingest and of its emulator."""

    name: str
    addresses: Mapping[str, Any]
    ingest_cpu: Callable[[], float]
    emulator_cpu: Callable[[], float]


def main() -> None:
    """Run the rounds and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    ENGINE.check()
    with TemporaryDirectory(prefix="shoebox-photos-") as folder, ExitStack() as running:
        sides = [running.enter_context(side) for side in (embedded(), on_localstack(), in_containers())]
        rounds: dict[str, list[tuple[UploadRound, float]]] = {side.name: [] for side in sides}
        for n, side in enumerate(sides):
            asyncio.run(_round(side, write_photos(Path(folder, f"warm{n}"), n * 100, 20)))
        for n in range(arguments.rounds):
            for number, side in enumerate(sides):
                _say(f"round {n + 1} of {arguments.rounds}: {side.name}, {arguments.photos} photos")
                photos = write_photos(Path(folder, f"{n}-{number}"), (3 * n + number + 1) * 10_000, arguments.photos)
                rounds[side.name].append(asyncio.run(_round(side, photos)))
        print_rates(rounds)
        print_memory()


async def _round(side: StackSide, photos: Sequence[Path]) -> tuple[UploadRound, float]:
    """Run a round; return it with the emulator's CPU seconds in it."""
    before = side.emulator_cpu()
    measured = await upload_round(side.addresses, photos, side.ingest_cpu)
    return measured, side.emulator_cpu() - before


def print_rates(rounds: Mapping[str, Sequence[tuple[UploadRound, float]]]) -> None:
    """Medians over the rounds, of every side."""
    print("| 100 KB photos | photos/s | p50 ms | p99 ms | ingest CPU ms a photo | emulator CPU ms a photo |")
    print("|---|---|---|---|---|---|")
    for name, measured in rounds.items():
        cells = (
            f"{statistics.median(r.rate for r, _ in measured):.1f}",
            f"{statistics.median(r.percentile(50) for r, _ in measured):,.0f}",
            f"{statistics.median(r.percentile(99) for r, _ in measured):,.0f}",
            f"{statistics.median(r.cpu_seconds / r.photos * 1000 for r, _ in measured):.1f}",
            f"{statistics.median(cpu / r.photos * 1000 for r, cpu in measured):.1f}",
        )
        print(f"| {name} | {' | '.join(cells)} |")


def print_memory() -> None:
    """Print the memory of each container of the run, by its service."""
    print("\n| container | memory MB |\n|---|---|")
    for container in docker.from_env().containers.list(filters={"label": f"com.docker.compose.project={_PROJECT}"}):
        usage = container.stats(stream=False)["memory_stats"]
        cache = usage["stats"].get(
            "total_inactive_file", usage["stats"].get("inactive_file", 0)
        )  # as docker stats counts
        print(f"| {container.labels['com.docker.compose.service']} | {(usage['usage'] - cache) / 2**20:.0f} |")


@contextmanager
def embedded() -> Iterator[StackSide]:
    """`shoebox up --memory`."""
    with running_stack() as stack:
        yield StackSide("embedded", stack.addresses, *_cpu(stack, "function ingest", "emulator"))


@contextmanager
def on_localstack() -> Iterator[StackSide]:
    """LocalStack in a container, the fleet and the functions as processes."""
    _say("building LocalStack's image")
    ended = ENGINE.run("compose", "build", "--quiet", "localstack", seconds=_BUILD_SECONDS)
    if ended.returncode:
        raise SystemExit(ended.stderr)
    with localstack(IMAGE) as container, running_stack("--endpoint-url", container.get_url()) as stack:
        ingest, _ = _cpu(stack, "function ingest", "emulator")
        identity = container.get_wrapped_container().id
        yield StackSide("LocalStack, functions as processes", stack.addresses, ingest, lambda: _container_cpu(identity))


_PROJECT = "shoebox-bench"


@contextmanager
def in_containers() -> Iterator[StackSide]:
    """compose.yaml."""
    with project(_PROJECT) as running:
        _say("starting compose.yaml")
        running.up()
        link = running.run("run", "--rm", "token").strip()
        addresses = {"url": running.url("SHOEBOX_PORT"), "token": link.partition("#token=")[2]}
        yield StackSide("compose.yaml", addresses, _service_cpu(running, "ingest"), _service_cpu(running, "localstack"))


def _cpu(stack: RunningStack, *names: str) -> list[Callable[[], float]]:
    return [lambda name=name: sum(p.cpu_seconds for p in stack.usage() if p.name == name) for name in names]  # type: ignore[misc]


def _service_cpu(running: Project, service: str) -> Callable[[], float]:
    identities = [container["Id"] for container in running.containers(service)]
    return lambda: sum(map(_container_cpu, identities))


def _container_cpu(identity: str) -> float:
    usage: int = docker.from_env().containers.get(identity).stats(stream=False)["cpu_stats"]["cpu_usage"]["total_usage"]
    return usage / 1e9


def _say(text: str) -> None:
    print(f"… {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
