"""CPU and memory of rendering in child processes (RenderPool) beside a thread pool, which cannot be killed.

Both verify, inspect and render the same photos, as many at once as there are cores. CPU is that of this process and of
the children together; rounds are interleaved, medians are shown. `./run bench killable_decode [ROUNDS]`, 9 by default.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

from shoebox.config import Limits, environment_without_aws
from shoebox.files.model import Registration
from shoebox.files.pictures import Original
from shoebox_client.samples import jpeg_of_size, write_samples
from workers.imaging import ImageLimits, prepare
from workers.render_pool import RenderPool

Peer = Callable[[bytes], Awaitable[object]]
TICKS = os.sysconf("SC_CLK_TCK")


class ThreadPeer:
    """The thread pool that was before: a picture that takes too long cannot be ended."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(max_workers=os.cpu_count())

    async def prepare(self, data: bytes) -> object:
        """Verify, inspect and render in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._prepare, data)

    def _prepare(self, data: bytes) -> object:
        assert sha256(data).hexdigest()
        return prepare(data, "image/jpeg", ImageLimits())


def process_peer(pool: RenderPool) -> Peer:
    """RenderPool with the bytes at hand."""

    promised: dict[bytes, Registration] = {}

    async def prepare(data: bytes) -> object:
        async def fetch() -> Original:
            return Original(data, len(data), datetime.now(UTC))

        if data not in promised:
            promised[data] = Registration("photo", len(data), "image/jpeg", sha256(data).hexdigest())
        return await pool.prepare(promised[data], fetch)

    return prepare


def cpu_seconds(pids: Sequence[int]) -> float:
    """CPU time of this process and of children, which are counted in hundredths of a second."""
    total = time.process_time()
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += (int(fields[11]) + int(fields[12])) / TICKS
    return total


def resident(pid: int, name: str = "VmRSS") -> float:
    """MB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1000 for line in lines if line.startswith(name + ":"))


async def measure(peer: Peer, photos: Sequence[bytes], pids: Sequence[int]) -> float:
    """CPU milliseconds a photo."""
    before = cpu_seconds(pids)
    places = asyncio.Semaphore(os.cpu_count() or 1)

    async def one(data: bytes) -> None:
        async with places:
            await peer(data)

    await asyncio.gather(*map(one, photos))
    return (cpu_seconds(pids) - before) / len(photos) * 1e3


async def compare(rounds: int) -> None:
    """Print the tables."""
    with TemporaryDirectory(prefix="shoebox-photos-") as folder:
        samples = {sample.path.name: sample.path.read_bytes() for sample in write_samples(Path(folder))}
    kinds = {
        "100 KB": [jpeg_of_size(n, 1200, 900, 100_000) for n in range(60)],
        "12 MP": [samples["12-megapixels.jpg"]] * 16,
    }
    pool = RenderPool(Limits(), memory_at_once=1_350_000_000, environment=environment_without_aws())
    async with pool:
        await pool.wait_until_ready()
        idle = [resident(pid) for pid in pool.pids]
        peers: dict[str, Peer] = {"threads": ThreadPeer().prepare, "processes": process_peer(pool)}
        print("| photos | threads, CPU ms | processes, CPU ms | ratio of medians | ratios by round |")
        print("|---|---|---|---|---|")
        for kind, photos in kinds.items():
            taken: dict[str, list[float]] = {name: [] for name in peers}
            for peer in peers.values():
                await measure(peer, photos, pool.pids)
            for number in range(rounds):
                for name, peer in list(peers.items())[:: 1 if number % 2 else -1]:
                    taken[name].append(await measure(peer, photos, pool.pids))
            threads, processes = (statistics.median(taken[name]) for name in ("threads", "processes"))
            ratios = sorted(b / a for a, b in zip(taken["threads"], taken["processes"], strict=True))
            spread = f"{ratios[0]:.3f}-{ratios[-1]:.3f}"
            print(f"| {kind} | {threads:.1f} | {processes:.1f} | {processes / threads:.3f} | {spread} |", flush=True)
        print(f"\nResident, MB: children idle {', '.join(f'{mb:.0f}' for mb in idle)}; after the photos", end=" ")
        print(", ".join(f"{resident(pid):.0f} (peak {resident(pid, 'VmHWM'):.0f})" for pid in pool.pids), end="; ")
        print(f"this process, which also rendered in threads, {resident(os.getpid()):.0f}")


if __name__ == "__main__":
    asyncio.run(compare(int(sys.argv[1]) if len(sys.argv) > 1 else 9))
