"""Pictures are rendered in child processes, one for each core, that can be killed.

Children read what strangers sent, so whatever a picture does happens to a child: it takes too long, it takes too much
memory, it crashes a codec. Only a bound that the child itself has hit says that the picture is at fault
(`too_costly`); any other death may be the neighbour's fault or the machine's, so the picture is tried once more, alone
and in a fresh process, and then raises, so that its message comes again.

Who may run, in this order, so that nobody waits for what somebody behind it holds:
1. Bytes of originals in memory at once, by the size that was registered.
2. A process. It inspects the header, which takes milliseconds and tells the costs; a light picture is rendered at once,
   for it always finds room beside the heaviest.
3. Heavy pictures (memory or CPU) run one at a time and leave the other processes to the rest. Who has to wait for that
   gives process and bytes back first.
4. Estimated bytes of memory at once.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Self, TypeVar

from shoebox.config import Limits
from shoebox.files import Registration
from shoebox.metrics import RENDER_PROCESSES_ENDED, RENDER_SECONDS
from shoebox.ports.pictures import Original
from shoebox.telemetry import get_logger
from workers.imaging import ImageLimits, PictureRejected, Prepared
from workers.render_process import COMMAND, Costs, RenderProcess, RenderProcessDied
from workers.weighted_semaphore import WeightedSemaphore

T = TypeVar("T")
Fetch = Callable[[], Awaitable[Original | None]]

_MIB = 1024 * 1024
_ORIGINALS_BYTES = 128 * _MIB
_LIGHT = Costs(peak_bytes=150_000_000, cpu_seconds=1.0)
_NOTHING = Costs(0, 0.0)
_HEAVY_BYTES = 300_000_000

_log = get_logger()


class _HeavyTurnTaken(Exception):
    """Another heavy picture runs."""


class RenderPool:
    """Verifies and prepares pictures; an async context manager that starts and ends its processes.

    `memory_at_once` are the bytes that pictures in work may take together, by estimate; `environment` is that of the
    processes.
    """

    def __init__(
        self,
        limits: Limits,
        *,
        memory_at_once: int,
        environment: Mapping[str, str],
        processes: int | None = None,
        command: Sequence[str] = COMMAND,
    ) -> None:
        self._limits = ImageLimits(
            max_bytes=limits.max_bytes,
            max_pixels=limits.max_pixels,
            max_side=limits.max_side,
            max_pixels_by_type=limits.max_pixels_by_type,
        )
        self._environment = environment
        self._command = command
        self._size = processes or os.cpu_count() or 1
        self._originals = WeightedSemaphore(max(_ORIGINALS_BYTES, limits.max_bytes))
        self._memory = WeightedSemaphore(memory_at_once)
        self._heavy_turn = WeightedSemaphore(1)
        self._processes: set[RenderProcess] = set()
        self._idle: asyncio.Queue[RenderProcess] = asyncio.Queue()
        # Twice as many threads as processes: half of them may wait for processes, half verify.
        self._threads = ThreadPoolExecutor(max_workers=2 * self._size, thread_name_prefix="render")

    async def __aenter__(self) -> Self:
        for _ in range(self._size):
            self._idle.put_nowait(self._start())
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        for process in self._processes:
            process.kill()
        self._threads.shutdown(wait=True, cancel_futures=True)
        for process in self._processes:
            process.close()

    @property
    def pids(self) -> list[int]:
        """Ids of the processes."""
        return [process.pid for process in self._processes]

    async def wait_until_ready(self) -> None:
        """Return when all processes can take a picture. Raises RenderProcessDied if one cannot start."""
        await asyncio.gather(*(self._in_thread(process.wait_until_ready) for process in self._processes))

    async def prepare(self, promised: Registration, fetch: Fetch) -> Prepared | None:
        """Render what `fetch` gets; None if that is None. It is fetched again where the picture had to wait.

        Raises:
            PictureRejected: the bytes are not what was promised, or no picture within the limits.
            RenderProcessDied: the process that rendered it died twice.
        """
        try:
            try:
                return _timed(await self._prepare(promised, fetch))
            except _HeavyTurnTaken:
                async with self._heavy_turn.hold(1):
                    return _timed(await self._prepare(promised, fetch, has_turn=True))
        except RenderProcessDied as died:
            _log.warning("render_process_died", status=died.status)
        async with self._heavy_turn.hold(1):
            return _timed(await self._prepare(promised, fetch, has_turn=True, alone=True))

    async def _prepare(
        self, promised: Registration, fetch: Fetch, *, has_turn: bool = False, alone: bool = False
    ) -> Prepared | None:
        async with self._originals.hold(promised.size):
            original = await fetch()
            if original is None:
                return None
            async with AsyncExitStack() as held:
                process = await held.enter_async_context(self._process(fresh=alone))
                light = not alone and self._memory.acquire_now(_LIGHT.peak_bytes)
                try:
                    found = await self._call(
                        process,
                        lambda: process.prepare(
                            self._verified(promised, original), promised.media_type, _LIGHT if light else _NOTHING
                        ),
                    )
                finally:
                    if light:
                        self._memory.release(_LIGHT.peak_bytes)
                if isinstance(found, Prepared):
                    return found
                if _is_heavy(found) and not has_turn:
                    if not self._heavy_turn.acquire_now(1):
                        raise _HeavyTurnTaken
                    held.callback(self._heavy_turn.release, 1)
                memory = self._memory.capacity if alone else found.peak_bytes
                await held.enter_async_context(self._memory.hold(memory))
                return await self._call(process, process.render)

    def _verified(self, promised: Registration, original: Original) -> bytes:
        data = original.data
        if data is None:
            raise PictureRejected("too_large", f"{original.size} bytes; at most {self._limits.max_bytes} are taken.")
        if len(data) != promised.size:
            raise PictureRejected("size_mismatch", f"{len(data)} bytes came; {promised.size} were registered.")
        if hashlib.sha256(data).hexdigest() != promised.sha256:
            raise PictureRejected("checksum_mismatch", "The bytes do not have the SHA-256 that was registered.")
        if original.encoding:  # a browser would decode the bytes that were verified into others
            raise PictureRejected("content_encoding", f"sent with Content-Encoding: {original.encoding[:80]!r}")
        return data

    @asynccontextmanager
    async def _process(self, *, fresh: bool) -> AsyncIterator[RenderProcess]:
        """A process of one's own; one that ended is replaced by the next who needs it."""
        process = await self._idle.get()
        try:
            if fresh or not process.alive:
                self._processes.discard(process)
                process.close()
                process = self._start()
            yield process
        finally:
            self._idle.put_nowait(process)

    def _start(self) -> RenderProcess:
        """Start a process from the loop's thread: Linux ends it together with the thread that started it."""
        process = RenderProcess(self._limits, self._environment, self._command)
        self._processes.add(process)
        return process

    async def _call(self, process: RenderProcess, work: Callable[[], T]) -> T:
        """Let a thread wait for the process; whoever is cancelled meanwhile ends it, so that nothing runs on."""
        try:
            return await self._in_thread(work)
        except asyncio.CancelledError:
            RENDER_PROCESSES_ENDED.labels("cancelled").inc()
            process.kill()
            raise

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)


def _is_heavy(costs: Costs) -> bool:
    return costs.peak_bytes > _HEAVY_BYTES or costs.cpu_seconds > _LIGHT.cpu_seconds


def _timed(prepared: Prepared | None) -> Prepared | None:
    """Observe what the process has measured."""
    if prepared is not None:
        RENDER_SECONDS.observe(sum(prepared.timings.values()) / 1e3)
    return prepared
