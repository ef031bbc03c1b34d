"""Pictures are rendered in child processes, one for each core, that can be killed.

Children read untrusted bytes, so only a child is lost where a picture takes too long or too much memory, or crashes a
codec. Only a limit that the child itself has hit says that the picture is at fault (`too_costly`); any other exit may
have another cause, such as a second picture or the machine, so the picture is tried once more, with the heavy turn and
in a fresh process, and then raises, so that SQS delivers its message again.

What a picture needs is acquired in this order, so that none waits for something that a later one holds:
1. The heavy turn: pictures that take much memory or CPU run one at a time and leave the other processes to the rest.
2. Estimated bytes of memory at once.
3. Bytes of originals in memory at once, by the size that was registered.
4. A process. It inspects the header, which takes milliseconds and tells the costs; a light picture is rendered at once,
   for it always finds room beside the heaviest.

Its process tells what of 1 and 2 a picture needs. If that is free, the picture is rendered; else it releases process
and bytes, waits, and begins again. So a picture that has a process waits for nothing else.

Estimates may be wrong: without the heavy turn a picture has a tight limit on CPU time. One that hits it is tried again
with the turn and the full limit.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Self, TypeVar

from shoebox.config import Limits
from shoebox.files.model import Registration
from shoebox.files.pictures import Original
from shoebox.metrics import RENDER_PROCESSES_ENDED, RENDER_SECONDS
from shoebox.telemetry import get_logger
from workers.imaging import ImageLimits, PictureRejected, Prepared
from workers.render_process import COMMAND, Costs, CpuTimeSpent, RenderProcess, RenderProcessDied
from workers.weighted_semaphore import WeightedSemaphore

T = TypeVar("T")
Fetch = Callable[[], Awaitable[Original | None]]

_MIB = 1024 * 1024
_ORIGINALS_BYTES = 128 * _MIB
# A phone's photo of 24 megapixels is not heavy in any format.
_HEAVY = Costs(peak_bytes=400_000_000, cpu_seconds=3.0)
_LIGHT = Costs(peak_bytes=150_000_000, cpu_seconds=_HEAVY.cpu_seconds)
# How much memory for pictures (`memory_at_once`) there must be for each process, of which an idle one keeps 100 MB
# beside that: by default three, which fit into a function of 2,048 MB (docs/reference/limits.md).
_BYTES_A_PROCESS = 450_000_000

_log = get_logger()


class _MustWait(Exception):
    """What the picture needs is in use; `_Needs` now has it."""


@dataclass(slots=True)
class _Needs:
    """What a picture needs beside a process, as far as is known. It only grows."""

    memory: int = 0
    heavy_turn: bool = False
    fresh_process: bool = False


class RenderPool:
    """Verifies and prepares pictures; an async context manager that starts and ends its processes.

    `memory_at_once` are the bytes that pictures in work may take together, by estimate; `environment` is that of the
    processes. There is one for each core, but no more than one for each 450 MB of `memory_at_once`.
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
        self._limits = ImageLimits.of(limits)
        self._environment = environment
        self._command = command
        self._size = processes or max(1, min(_cores(), memory_at_once // _BYTES_A_PROCESS))
        self._originals = WeightedSemaphore(max(_ORIGINALS_BYTES, limits.max_bytes))
        self._memory = WeightedSemaphore(memory_at_once)
        self._heavy_turn = WeightedSemaphore(1)
        self._processes: set[RenderProcess] = set()
        self._idle: asyncio.Queue[RenderProcess] = asyncio.Queue()
        # Twice as many threads as processes: half of them may wait for processes, half verify.
        self._threads = ThreadPoolExecutor(max_workers=2 * self._size, thread_name_prefix="render")

    async def __aenter__(self) -> Self:
        try:
            for _ in range(self._size):
                self._idle.put_nowait(self._start())
        except BaseException:
            await self.__aexit__()
            raise
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
        needs = _Needs()
        while True:
            try:
                async with AsyncExitStack() as held:
                    if needs.heavy_turn:
                        await held.enter_async_context(self._heavy_turn.hold(1))
                    if needs.memory:
                        await held.enter_async_context(self._memory.hold(needs.memory))
                    return await self._attempt(promised, fetch, needs, held)
            except _MustWait:
                continue
            except CpuTimeSpent as spent:
                if needs.heavy_turn:
                    detail = "it takes more CPU time than pictures of its size may take"
                    raise PictureRejected("too_costly", detail) from spent
            except RenderProcessDied as died:
                if needs.fresh_process:
                    raise
                _log.warning("render_process_died", status=died.status)
                needs.fresh_process = True
                # Linux kills for lack of memory: then nobody may run beside it.
                out_of_memory = died.status == -signal.SIGKILL
                needs.memory = self._memory.capacity if out_of_memory else 2 * max(needs.memory, _LIGHT.peak_bytes)
            needs.heavy_turn = True

    async def _attempt(
        self, promised: Registration, fetch: Fetch, needs: _Needs, held: AsyncExitStack
    ) -> Prepared | None:
        """Render with what `needs` says, which the caller holds. Raises `_MustWait` if it turns out to be too little.

        What can be had at once is taken, and given back by `held`.
        """
        async with self._originals.hold(promised.size):
            original = await fetch()
            if original is None:
                return None
            async with self._process(fresh=needs.fresh_process) as process:
                # A light picture, as most are, needs nothing but some room: the call that inspects it renders it, too.
                light = not needs.heavy_turn and not needs.memory and self._memory.acquire_now(_LIGHT.peak_bytes)
                within = _LIGHT if light else Costs(needs.memory, math.inf if needs.heavy_turn else _HEAVY.cpu_seconds)

                def inspect() -> Prepared | Costs:
                    data = self._verified(promised, original)
                    return process.prepare(data, promised.media_type, within, full=needs.heavy_turn)

                try:
                    found = await self._call(process, inspect)
                finally:
                    if light:
                        self._memory.release(_LIGHT.peak_bytes)
                if isinstance(found, Costs):
                    if not self._take_now(found, needs, held):
                        await self._call(process, process.forget)
                        raise _MustWait
                    found = await self._call(process, lambda: process.render(full=needs.heavy_turn))
        RENDER_SECONDS.observe(sum(found.timings.values()) / 1e3)
        return found

    def _take_now(self, costs: Costs, needs: _Needs, held: AsyncExitStack) -> bool:
        """Note in `needs` what `costs` take, and hold what is missing of it; False if some of it is taken."""
        turn = not needs.heavy_turn and is_heavy(costs)
        memory = max(0, min(costs.peak_bytes, self._memory.capacity) - needs.memory)
        needs.heavy_turn |= turn
        needs.memory += memory
        for semaphore, weight in ((self._heavy_turn, int(turn)), (self._memory, memory)):
            if weight and not semaphore.acquire_now(weight):
                return False
            held.callback(semaphore.release, weight)
        return True

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
        """Lend a process; one that ended is replaced by the next who needs it."""
        process = await self._idle.get()
        try:
            if fresh or not process.alive:
                await self._in_thread(process.close)  # it may take the kernel a second to free a gigabyte
                self._processes.discard(process)
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


def is_heavy(costs: Costs) -> bool:
    """Tell whether pictures of these costs run one at a time."""
    return costs.peak_bytes > _HEAVY.peak_bytes or costs.cpu_seconds > _HEAVY.cpu_seconds


def _cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
