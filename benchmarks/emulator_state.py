"""What it costs the embedded emulator to keep its state on disk every second, beside one that keeps nothing.

Both hold the same items and get the same calls at a steady rate, in turns: an update, a put, and a message that is
sent, received and deleted. Told are the CPU of the emulator's process by call and the times of the calls; then how long
a stop and a start take, and what a kill -9 left.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from emulator.embedded import ROOT_CREDENTIALS, Emulator
from fleet.limits.quotas import load_quotas
from shoebox.aws.clients import Clients

TABLE = "files"
WAYS = ("in memory", "kept")


@dataclass
class CallTimes:
    """CPU seconds and calls of the emulator, and the times of its calls in milliseconds."""

    cpu: float = 0.0
    calls: int = 0
    times: list[float] = field(default_factory=list)

    def row(self, items: int, way: str) -> str:
        """As a row of the table."""
        cuts = statistics.quantiles(self.times, n=1000)
        cpu = self.cpu / self.calls * 1e6
        return f"| {items:,} | {way} | {cpu:.0f} | {cuts[499]:.1f} | {cuts[989]:.1f} | {max(self.times):.0f} |"


@asynccontextmanager
async def emulator(folder: Path | None) -> AsyncIterator[tuple[Emulator, Any, Any]]:
    """Start an emulator, with clients of DynamoDB and SQS."""
    async with (
        Emulator(folder, quotas=load_quotas("off")) as running,
        Clients(running.aws, ROOT_CREDENTIALS) as clients,
    ):
        yield running, await clients.open("dynamodb"), await clients.open("sqs")


def item(number: int) -> dict[str, Any]:
    """Return an item like a READY photo's: 1.2 KB."""
    return {"pk": {"S": f"F#demo#anna#{number}"}, "state": {"S": "READY"}, "picture": {"S": "x" * 1100}}


async def fill(dynamodb: Any, sqs: Any, items: int) -> str:
    """Create a table with items and a queue; its URL."""
    await dynamodb.create_table(
        TableName=TABLE,
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    for first in range(0, items, 25):
        batch = [{"PutRequest": {"Item": item(number)}} for number in range(first, min(first + 25, items))]
        await dynamodb.batch_write_item(RequestItems={TABLE: batch})
    return str((await sqs.create_queue(QueueName="work"))["QueueUrl"])


async def photo(dynamodb: Any, sqs: Any, url: str, number: int, measured: CallTimes) -> None:
    """Make the calls of one photo."""
    key = {"pk": {"S": f"F#demo#anna#{number}"}}
    await timed(dynamodb.put_item(TableName=TABLE, Item=item(number)), measured)
    await timed(sqs.send_message(QueueUrl=url, MessageBody="x" * 800), measured)
    received = await timed(sqs.receive_message(QueueUrl=url), measured)
    update = {"UpdateExpression": "SET tries = :n", "ExpressionAttributeValues": {":n": {"N": "1"}}}
    await timed(dynamodb.update_item(TableName=TABLE, Key=key, **update), measured)
    for message in received.get("Messages", ()):
        await timed(sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"]), measured)


async def timed(call: Any, measured: CallTimes) -> Any:
    """Await a call, and record its time."""
    began = time.perf_counter()
    answer = await call
    measured.times.append((time.perf_counter() - began) * 1000)
    measured.calls += 1
    return answer


async def drive(
    at: tuple[Emulator, Any, Any], url: str, items: int, options: argparse.Namespace, measured: CallTimes
) -> None:
    """Photos at a steady rate, for the round's seconds."""
    running, dynamodb, sqs = at
    process = psutil.Process(running.pid)
    before, began = sum(process.cpu_times()[:2]), time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number in range(int(options.rate * options.seconds)):
            await asyncio.sleep(max(0.0, began + number / options.rate - time.perf_counter()))
            group.create_task(photo(dynamodb, sqs, url, number % items, measured))
    measured.cpu += sum(process.cpu_times()[:2]) - before


async def compare(items: int, options: argparse.Namespace, folder: Path) -> None:
    """Run the rounds in turns, and print the rows of the table."""
    measured = {way: CallTimes() for way in WAYS}
    async with emulator(None) as memory, emulator(folder) as kept:
        urls = [await fill(dynamodb, sqs, items) for _, dynamodb, sqs in (memory, kept)]
        for _ in range(options.rounds):
            for way, at, url in zip(WAYS, (memory, kept), urls, strict=True):
                await drive(at, url, items, options, measured[way])
    for way in WAYS:
        print(measured[way].row(items, way), flush=True)


async def measure_restarts(items: int, folder: Path) -> str:
    """How long a stop and a start take with this folder, and what a kill -9 a moment after a save leaves."""
    async with emulator(folder) as (running, dynamodb, _):
        await asyncio.sleep(1)
        began = time.perf_counter()
    stop = time.perf_counter() - began
    began = time.perf_counter()
    async with emulator(folder) as (running, dynamodb, _):
        start = time.perf_counter() - began
        await asyncio.sleep(2)
        os.kill(running.pid or 0, signal.SIGKILL)
        await running.died.wait()
    async with emulator(folder) as (_, dynamodb, _):
        left = (await dynamodb.describe_table(TableName=TABLE))["Table"]["ItemCount"]
    size = sum(path.stat().st_size for path in (folder / "state").iterdir()) / 1e6
    return f"| {items:,} | {stop:.2f} | {start:.2f} | {left:,} | {size:.0f} |"


async def run(options: argparse.Namespace) -> None:
    """Both tables."""
    rows = []
    print(f"{options.rate:.0f} photos/s of 5 calls, {options.rounds} rounds of {options.seconds:.0f} s in turns\n")
    print("| items | state | CPU µs a call | p50 ms | p99 ms | longest ms |\n|---|---|---|---|---|---|")
    for items in options.items:
        with tempfile.TemporaryDirectory() as folder:
            await compare(items, options, Path(folder))
            rows.append(await measure_restarts(items, Path(folder)))
    print("\n| items | stop s | start s | items after a kill -9 | MB on disk |\n|---|---|---|---|---|", *rows, sep="\n")


def main() -> None:
    """Read the options, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, nargs="+", default=[1_000, 40_000])
    parser.add_argument("--rate", type=float, default=30.0, help="photos a second")
    parser.add_argument("--seconds", type=float, default=10.0, help="of a round")
    parser.add_argument("--rounds", type=int, default=3)
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
