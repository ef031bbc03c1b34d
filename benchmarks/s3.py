"""CPU of an S3 GET and PUT of 100 KB: Shoebox's presigned requests beside aiobotocore, on the embedded emulator."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

from benchmarks.rounds import interleave_async, median
from emulator.embedded import ROOT_CREDENTIALS, Emulator
from shoebox.aws.clients import Clients
from shoebox.aws.s3 import open_s3

BODY = bytes(100_000)
CALLS, AT_ONCE, ROUNDS = 400, 8, 5
BUCKET = "bench-photos"


@dataclass(frozen=True, slots=True)
class Calls:
    """Of one round: client CPU in microseconds a call, and calls a second."""

    cpu_us: float
    rate: float


async def main() -> None:
    """Print the table."""
    async with AsyncExitStack() as opening:
        emulator = await opening.enter_async_context(Emulator())
        clients = await opening.enter_async_context(Clients(emulator.aws, ROOT_CREDENTIALS))
        store = await opening.enter_async_context(
            open_s3(emulator.url, clients.credentials, region="us-east-1", bucket=BUCKET)
        )
        s3 = await clients.open("s3")
        await s3.create_bucket(Bucket=BUCKET)
        await s3.put_object(Bucket=BUCKET, Key="photo", Body=BODY)

        async def get_theirs() -> None:
            answer = await s3.get_object(Bucket=BUCKET, Key="photo")
            async with answer["Body"] as body:
                await body.read()

        async def get_ours() -> None:
            await store.get("photo", max_bytes=10**6)

        candidates: dict[str, Callable[[], Awaitable[object]]] = {
            "GET | aiobotocore": get_theirs,
            "GET | shoebox": get_ours,
            "PUT | aiobotocore": lambda: s3.put_object(Bucket=BUCKET, Key="out", Body=BODY),
            "PUT | shoebox": lambda: store.put("out", BODY, {"content-type": "image/jpeg"}),
        }
        measured = await interleave_async(candidates, ROUNDS, _time)
    print("| 100 KB | client | CPU µs a call | calls/s |\n|---|---|---|---|")
    for name, rounds in measured.items():
        print(f"| {name} | {median(rounds, 'cpu_us'):,.0f} | {median(rounds, 'rate'):,.0f} |")


async def _time(call: Callable[[], Awaitable[object]]) -> Calls:
    """Make CALLS calls, AT_ONCE of them in flight."""
    left = iter(range(CALLS))
    cpu, wall = time.process_time(), time.perf_counter()

    async def lane() -> None:
        for _ in left:
            await call()

    await asyncio.gather(*(lane() for _ in range(AT_ONCE)))
    return Calls((time.process_time() - cpu) / CALLS * 1e6, CALLS / (time.perf_counter() - wall))


if __name__ == "__main__":
    asyncio.run(main())
