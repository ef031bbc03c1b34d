"""CPU of every process for each photo, at a steady rate, and whether it grows with what is stored.

Phones come at a fixed rate, whatever the stack does (an open model): each registers ten photos, sends them, and asks
once a second until all are READY. The table has a row for each window of photos: CPU by process, and the times from
registration to READY that the service itself noted. `./run bench sustained --rate 60 --photos 18000` is five minutes.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from load_tests.photos import Photo, Photos
from load_tests.stack import RunningStack, running_stack
from shoebox.tenants.keys import KeyPair
from shoebox.tenants.tokens import mint_token
from shoebox_client.api import Api, Document, open_api
from shoebox_client.samples import jpeg_of_size

UPLOAD = 10  # photos of one phone
AT_ONCE = 4  # of them sent together
POLL_SECONDS = 1.0
READY_TIMEOUT = 120.0
CLIENT = "clients (this process)"
PROCESSES = ("emulator", "fleet and gateway", "function authorizer", "function api", "function ingest", CLIENT)


@dataclass(frozen=True, slots=True)
class Window:
    """So many photos became READY: in how many seconds, each one's milliseconds, and CPU seconds by process."""

    photos: int
    seconds: float
    milliseconds: Sequence[float]
    cpu: Mapping[str, float]

    def percentile(self, percent: int) -> float:
        """Milliseconds from registration within which `percent` of the photos were READY."""
        return statistics.quantiles(self.milliseconds, n=100, method="inclusive")[percent - 1]


@dataclass(slots=True)
class WindowMeter:
    """Counts READY photos, and closes a window when it is full."""

    stack: RunningStack
    size: int
    windows: list[Window] = field(default_factory=list)
    _open: list[float] = field(default_factory=list)
    _began: float = field(default_factory=time.monotonic)
    _cpu: Mapping[str, float] = field(default_factory=dict)

    def start(self) -> None:
        """Count from here."""
        self._began, self._cpu, self._open = time.monotonic(), cpu_by_process(self.stack), []

    def ready(self, milliseconds: float) -> None:
        """Count a photo that is READY."""
        self._open.append(milliseconds)
        if len(self._open) >= self.size:
            self.close()

    def close(self) -> None:
        """End the window that is open, if it has enough photos for percentiles."""
        if len(self._open) < 2:
            return
        now, cpu = time.monotonic(), cpu_by_process(self.stack)
        used = {name: seconds - self._cpu.get(name, 0.0) for name, seconds in cpu.items()}
        self.windows.append(Window(len(self._open), now - self._began, self._open, used))
        print_window(self.windows[-1], len(self.windows))
        self._began, self._cpu, self._open = now, cpu, []


def main() -> None:
    """Run the load and print a row for each window."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=30.0, help="photos a second")
    parser.add_argument("--photos", type=int, default=3000)
    parser.add_argument("--window", type=int, default=1000, help="photos in a row of the table")
    parser.add_argument("--photo-bytes", type=int, default=100_000)
    parser.add_argument("--announce", type=Path, help="write the stack's process id here, for a profiler")
    arguments = parser.parse_args()
    photos = Photos([jpeg_of_size(seed, 1200, 900, arguments.photo_bytes) for seed in range(8)])
    with running_stack() as stack:
        if arguments.announce:
            arguments.announce.write_text(str(stack.process.pid))
        asyncio.run(load(stack, photos, arguments.rate, arguments.photos, arguments.window))


async def load(stack: RunningStack, photos: Photos, rate: float, count: int, window: int) -> None:
    """`count` photos at `rate`, after a few that warm the stack up."""
    meter = WindowMeter(stack, window)
    key = KeyPair.load(stack.key)
    async with open_api(stack.addresses["url"], None, connections=128) as api:
        for _ in range(3):
            await upload(api, key, "warm", photos.take(UPLOAD, 0), meter)
        print_head()
        meter.start()
        begin = time.monotonic()
        async with asyncio.TaskGroup() as phones:
            for number in range(count // UPLOAD):
                await asyncio.sleep(max(0.0, begin + number * UPLOAD / rate - time.monotonic()))
                phones.create_task(upload(api, key, f"user-{number}", photos.take(UPLOAD, number), meter))
        meter.close()


async def upload(api: Api, key: KeyPair, user: str, photos: Sequence[Photo], meter: WindowMeter) -> None:
    """One phone, to its end.

    Raises:
        RuntimeError: a photo was not stored, or not READY in time.
    """
    token = mint_token(key, tenant="demo", user=user, now=time.time())
    phone = Api(api.session, api.url, token)
    entries = await phone.register([dict(photo.registration) for photo in photos])
    at_once = asyncio.Semaphore(AT_ONCE)

    async def send(photo: Photo, link: Document) -> None:
        async with at_once, api.session.put(link["url"], data=photo.content, headers=link["headers"]) as response:
            if response.status != 200:
                raise RuntimeError(f"S3 answered {response.status} {await response.text()}")

    async with asyncio.TaskGroup() as puts:
        for photo, entry in zip(photos, entries, strict=True):
            puts.create_task(send(photo, entry["upload"]))
    await _until_ready(phone, {str(entry["file_id"]) for entry in entries}, meter)


async def _until_ready(phone: Api, open_ids: set[str], meter: WindowMeter) -> None:
    give_up_at = time.monotonic() + READY_TIMEOUT
    while open_ids:
        if time.monotonic() > give_up_at:
            raise RuntimeError(f"{len(open_ids)} photos were not READY in {READY_TIMEOUT:.0f} s")
        await asyncio.sleep(POLL_SECONDS)
        for file in await phone.files(sorted(open_ids)):
            if file["state"] == "REJECTED":
                raise RuntimeError(f"a photo was rejected: {file}")
            if file["state"] == "READY":
                open_ids.remove(file["file_id"])
                meter.ready(_milliseconds(file))


def _milliseconds(file: Document) -> float:
    registered, finished = (datetime.fromisoformat(file[name]) for name in ("registered_at", "finished_at"))
    return (finished - registered).total_seconds() * 1000


def cpu_by_process(stack: RunningStack) -> dict[str, float]:
    """CPU seconds so far by role: environments of one function together, and this process."""
    used: dict[str, float] = {}
    for process in stack.usage():
        used[process.name] = used.get(process.name, 0.0) + process.cpu_seconds
    times = os.times()
    return used | {CLIENT: times.user + times.system}


def print_head() -> None:
    """Print the table's head: CPU in milliseconds a photo, by process."""
    print(f"| photos | photos/s | p50 ms | p99 ms | {' | '.join(PROCESSES)} | stack together |")
    print("|---" * (5 + len(PROCESSES)) + "|", flush=True)


def print_window(window: Window, number: int) -> None:
    """Print a window's row."""
    each = {name: seconds / window.photos * 1000 for name, seconds in window.cpu.items()}
    stack = sum(value for name, value in each.items() if name != CLIENT)
    times = f"{window.percentile(50):,.0f} | {window.percentile(99):,.0f}"
    cells = " | ".join(f"{each.get(name, 0.0):.2f}" for name in PROCESSES)
    rate = window.photos / window.seconds
    print(f"| to {number * window.photos:,} | {rate:.1f} | {times} | {cells} | {stack:.2f} |", flush=True)


if __name__ == "__main__":
    main()
