"""Event source mappings: our SQS client beside aiobotocore's, alone and below a whole mapping, in one run.

1. CPU a call: receive ten messages, delete ten; sixteen callers; the emulator is another process.
2. Messages a second from a queue through a mapping into environments that do nothing, batches of ten. The queue is
   filled before each round, and not beyond some thousands, since the emulator's receive slows with depth. The
   emulator is one thread: its share of a core tells when it, and not the mapping, is the limit.

Rounds take turns, and medians are printed. Both sides use the same role's credentials, so the emulator checks the same.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil
import uvloop

from benchmarks.rounds import interleave_async, median
from emulator.embedded import ROOT_CREDENTIALS, Emulator
from emulator.provision import RoleSource, provision
from fleet.credentials import CredentialsCache
from fleet.limits.event_source import FixedScale
from fleet.metrics import Metrics
from fleet.queues.batches import SqsMessage, message_of
from fleet.queues.event_source import EventSourceMapping
from fleet.queues.mapping_settings import MappingSettings
from fleet.queues.source_queue import SourceQueue, SqsQueue
from fleet.service import Fleet
from fleet.settings import FleetSettings
from shoebox.aws.clients import Clients
from shoebox.stack.deployment import ResolvedStack, resolve
from shoebox.stack.model import Stack
from standalone.stack import emulated_deployment

_ROOT_FOLDER = Path(__file__).parents[1]
_FUNCTION = "worker"
_CALLERS = 16
_ROUND_SECONDS = 60
_BODY = "x" * 1000
_NOWHERE = "http://127.0.0.1:9"
_SIDES = ("Shoebox", "aiobotocore")


class BotoQueue:
    """The peer: the same queue through aiobotocore, with the project's settings of it."""

    def __init__(self, stack: ResolvedStack, sqs: Any) -> None:
        self._url, self._arn = stack.queue_url("work"), stack.arn_of("queue", "work")
        self._region = stack.deployment.region
        self._sqs = sqs

    async def receive(self, count: int, wait: int) -> list[SqsMessage]:
        """Receive as `fleet.queues.source_queue.SqsQueue`."""
        answer = await self._sqs.receive_message(
            QueueUrl=self._url,
            MaxNumberOfMessages=count,
            WaitTimeSeconds=wait,
            MessageSystemAttributeNames=["All"],
            MessageAttributeNames=["All"],
        )
        now, arn, region = time.monotonic(), self._arn, self._region
        return [message_of(message, queue_arn=arn, region=region, now=now) for message in answer.get("Messages", [])]

    async def delete(self, messages: Sequence[SqsMessage]) -> None:
        """Delete as `SqsQueue`."""
        entries = [{"Id": str(n), "ReceiptHandle": m.receipt_handle} for n, m in enumerate(messages)]
        await self._sqs.delete_message_batch(QueueUrl=self._url, Entries=entries)

    async def release(self, messages: Sequence[SqsMessage]) -> None:
        """Never needed here."""
        raise NotImplementedError

    async def visibility_timeout(self) -> int:
        """Return what is described."""
        return 360


@dataclass(frozen=True, slots=True)
class Bench:
    """A provisioned queue, seen by both sides; and how to fill it."""

    stack: ResolvedStack
    emulator: psutil.Process
    credentials: RoleSource
    sides: Mapping[str, SourceQueue]
    sqs: Any

    @property
    def url(self) -> str:
        """The queue's."""
        return self.stack.queue_url("work")

    async def fill(self, messages: int) -> None:
        """Send messages of 1 KB, ten a call."""
        entries = [{"Id": str(n), "MessageBody": _BODY} for n in range(10)]
        for _ in range(messages // 10 // 10):
            await asyncio.gather(*(self.sqs.send_message_batch(QueueUrl=self.url, Entries=entries) for _ in range(10)))


@asynccontextmanager
async def bench() -> AsyncIterator[Bench]:
    """Start an emulator with the queue in it, and both sides' clients."""
    async with AsyncExitStack() as opening:
        emulator = await opening.enter_async_context(Emulator())
        stack = resolve(Stack.model_validate(_DESCRIBED), emulated_deployment(emulator.url, gateway_url=_NOWHERE))
        clients = await opening.enter_async_context(Clients(emulator.aws, ROOT_CREDENTIALS))
        await provision(stack, clients)
        source = RoleSource(stack, clients)
        cache = CredentialsCache(source)
        ours = await opening.enter_async_context(SqsQueue.of_stack(stack, "work", _FUNCTION, cache))
        keys = (await cache.get(_FUNCTION)).keys
        theirs = await opening.enter_async_context(Clients(emulator.aws, keys))
        sides = dict(zip(_SIDES, (ours, BotoQueue(stack, await theirs.open("sqs"))), strict=True))
        assert emulator.pid is not None
        yield Bench(stack, psutil.Process(emulator.pid), source, sides, await clients.open("sqs"))


_DESCRIBED: dict[str, Any] = {
    "name": "bench",
    "queues": {"work": {"visibility_timeout": 360}},
    "functions": {
        _FUNCTION: {
            "handler": "benchmarks.no_work.handler",
            "memory": 256,
            "timeout": 60,
            "slots": 16,
            "permissions": {"queue/work": ["consume"]},
        }
    },
    "gateway": {"authorizer": {"function": _FUNCTION, "identity": "Authorization"}, "routes": [], "responses": {}},
}


# 1. Calls


@dataclass(frozen=True, slots=True)
class CallsRound:
    """Of one round, in microseconds a call: CPU of this process, CPU of the emulator, and wall clock."""

    cpu_us: float
    emulator_us: float
    wall_us: float


async def calls_round(bench: Bench, queue: SourceQueue, messages: int) -> CallsRound:
    """Empty a filled queue."""
    await bench.fill(messages)
    before, cpu, wall = _cpu(bench.emulator), time.process_time(), time.perf_counter()
    counts = await asyncio.gather(*(_empty(queue, messages // 10 // _CALLERS) for _ in range(_CALLERS)))
    cpu, wall, emulator = time.process_time() - cpu, time.perf_counter() - wall, _cpu(bench.emulator) - before
    calls = sum(counts)
    while left := await queue.receive(10, 0):  # what the division has left over
        await queue.delete(left)
    return CallsRound(cpu / calls * 1e6, emulator / calls * 1e6, wall / calls * 1e6)


async def _empty(queue: SourceQueue, rounds: int) -> int:
    for _ in range(rounds):
        await queue.delete(await queue.receive(10, 0))
    return rounds * 2


# 2. Messages


@dataclass(frozen=True, slots=True)
class DrainRound:
    """Of one round: messages a second, CPU microseconds a message of this process, and shares of a core."""

    rate: float
    cpu_us: float
    fleet_share: float
    emulator_share: float
    environments_share: float


async def drain_round(bench: Bench, fleet: Fleet, queue: SourceQueue, messages: int, metrics: Metrics) -> DrainRound:
    """From the start of polling to the last message deleted."""
    await bench.fill(messages)
    # The emulator does not notice that a poller has gone: the last polls are waited for, or they would take messages.
    settings = MappingSettings(_FUNCTION, "work", 10, 0, 360, poll_seconds=1, finish_polls=True)
    mapping = EventSourceMapping(
        settings,
        queue=queue,
        invoker=fleet,
        scale=FixedScale(32),
        metrics=metrics,
    )
    children = [p for p in psutil.Process().children(recursive=True) if p.pid != bench.emulator.pid]
    before, others = _cpu(bench.emulator), sum(map(_cpu, children))
    cpu, wall = time.process_time(), time.perf_counter()
    async with asyncio.timeout(_ROUND_SECONDS), mapping:
        while mapping.statistics().deleted < messages:  # noqa: ASYNC110 - measured from outside
            await asyncio.sleep(0.005)
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        emulator, environments = _cpu(bench.emulator) - before, sum(map(_cpu, children)) - others
    return DrainRound(messages / wall, cpu / messages * 1e6, cpu / wall, emulator / wall, environments / wall)


@asynccontextmanager
async def warm_fleet(bench: Bench, folder: Path) -> AsyncIterator[Fleet]:
    """Start a fleet, and its environments."""
    settings = FleetSettings(
        log_folder=folder / "logs", metrics_dir=folder / "metrics", task_root=_ROOT_FOLDER, max_environments=2
    )
    async with Fleet(bench.stack, settings, bench.credentials) as fleet:
        await asyncio.gather(*(fleet.invoke(_FUNCTION, b"{}") for _ in range(64)))
        yield fleet


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


# Report


def print_calls(measured: Mapping[str, Sequence[CallsRound]]) -> None:
    """CPU of a call, beside the peer's."""
    print("| receive 10, delete 10 | CPU µs a call | emulator's CPU µs | calls/s |\n|---|---|---|---|")
    for name, rounds in measured.items():
        cells = f"{median(rounds, 'cpu_us'):,.0f} | {median(rounds, 'emulator_us'):,.0f}"
        print(f"| {name} | {cells} | {1e6 / median(rounds, 'wall_us'):,.0f} |")


def print_drains(measured: Mapping[str, Sequence[DrainRound]]) -> None:
    """Messages a second, and who is busy."""
    print("\n| mapping, batches of 10 | messages/s | fleet CPU µs a message | cores: fleet | emulator | environments |")
    print("|---|---|---|---|---|---|")
    for name, rounds in measured.items():
        shares = " | ".join(
            f"{median(rounds, part):.2f}" for part in ("fleet_share", "emulator_share", "environments_share")
        )
        rate, cpu = median(rounds, "rate"), median(rounds, "cpu_us")
        best = max(drain.rate for drain in rounds)
        print(f"| {name} | {rate:,.0f} (best {best:,.0f}) | {cpu:,.0f} | {shares} |")


async def run(rounds: int, messages: int) -> None:
    """Measure both parts, and print their tables."""
    async with bench() as ready:

        async def calls(queue: SourceQueue) -> CallsRound:
            return await calls_round(ready, queue, messages)

        await interleave_async(ready.sides, 1, calls)  # connections and caches
        print_calls(await interleave_async(ready.sides, rounds, calls))
        with TemporaryDirectory(prefix="shoebox-bench-") as folder:
            async with warm_fleet(ready, Path(folder)) as fleet:
                metrics = Metrics(Path(folder, "mapping-metrics"))

                async def drain(queue: SourceQueue) -> DrainRound:
                    return await drain_round(ready, fleet, queue, messages, metrics)

                await interleave_async(ready.sides, 1, drain)  # environments
                print_drains(await interleave_async(ready.sides, rounds, drain))


def main() -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--messages", type=int, default=2000, help="a round")
    parser.add_argument("--asyncio", action="store_true", help="asyncio's own loop in place of uvloop")
    arguments = parser.parse_args()
    work = run(arguments.rounds, arguments.messages)
    if arguments.asyncio:
        asyncio.run(work)
    else:
        uvloop.run(work)


if __name__ == "__main__":
    main()
