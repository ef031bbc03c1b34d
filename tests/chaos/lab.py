"""What an experiment is, and what it gets: a running stack, photos, the judge, and random numbers from the seed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Literal

from tests.chaos.judge import Events, Judge, Verdict
from tests.chaos.load import Load
from tests.chaos.stack import Change, Stack, short_timeouts

Kind = Literal["plain", "proxied", "own"]
"""On which stack: one that it shares with others, one behind the proxy, or one that it makes."""


@dataclass
class Lab:
    """What one experiment works with: so many `photos`, and the factor by which the judge waits longer."""

    name: str
    photos: int
    timeout_factor: float
    folder: Path
    random: Random
    stack: Stack
    events: Events

    def load(self) -> Load:
        """Return a load without photos yet, of an owner of this experiment."""
        return Load(self.stack, self.folder / "photos", self.name, self.random)

    def judge(self, load: Load) -> Judge:
        """Return the judge of a load."""
        return Judge(self.stack, self.events, load, self.timeout_factor)


Run = Callable[[Lab], Awaitable[Verdict]]


@dataclass(frozen=True)
class Experiment:
    """A name, what it does in a line, and how it is run; the short form of the suite has those that are `short`.

    `changes`, `options` and `disk` are those of a stack of its own.
    """

    name: str
    about: str
    run: Run
    kind: Kind
    short: bool = False
    changes: tuple[Change, ...] = (short_timeouts,)
    options: tuple[str, ...] = ()
    disk: int | None = None


class Suite:
    """Runs experiments one after another; those that share a stack share it."""

    def __init__(self, folder: Path, *, seed: int, photos: int, timeout_factor: float = 1.0) -> None:
        self._folder = folder
        self._seed = seed
        self._photos = photos
        self._timeout_factor = timeout_factor
        self._shared: dict[Kind, tuple[Stack, Events]] = {}
        self._open = AsyncExitStack()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Suite]:
        """Stop the shared stacks at the end of the block."""
        async with self._open:
            yield self

    async def run(self, experiment: Experiment) -> Verdict:
        """Run one; a stack that did not survive it is made anew for the next one."""
        async with AsyncExitStack() as own:
            if experiment.kind == "own":
                stack = self._stack(experiment.name, experiment)
                events = await self._start(own, stack)
            else:
                stack, events = await self._shared_stack(experiment)
            name, folder = experiment.name, self._folder / experiment.name
            random = Random(f"{self._seed}:{name}")
            stack.random.seed(f"{self._seed}:{name}")
            lab = Lab(name, self._photos, self._timeout_factor, folder, random, stack, events)
            begin = time.monotonic()
            verdict = await experiment.run(lab)
            verdict.seconds = time.monotonic() - begin
            if not verdict.faults:
                verdict.findings.append("no fault was injected, so nothing is proven")
            if experiment.kind != "own" and stack.process and stack.process.returncode is not None:
                del self._shared[experiment.kind]
        return verdict

    def _stack(self, name: str, experiment: Experiment) -> Stack:
        folder = self._folder / f"stack-{name}"
        proxied = experiment.kind == "proxied"
        return Stack(folder, Random(), experiment.changes, experiment.options, proxied=proxied, disk=experiment.disk)

    async def _shared_stack(self, experiment: Experiment) -> tuple[Stack, Events]:
        if experiment.kind not in self._shared:
            stack = self._stack(experiment.kind, experiment)
            self._shared[experiment.kind] = stack, await self._start(self._open, stack)
        return self._shared[experiment.kind]

    async def _start(self, opening: AsyncExitStack, stack: Stack) -> Events:
        await opening.enter_async_context(stack.running())
        events = Events(stack)
        await events.subscribe()
        return events


async def beside(work: Awaitable[object], moments: Iterable[float], act: Callable[[], Awaitable[int]]) -> int:
    """Await `work`, and act at each of the moments (seconds from now) until it is done; the sum of what acts return."""
    done = asyncio.ensure_future(work)
    begin, count = time.monotonic(), 0
    for moment in sorted(moments):
        await asyncio.wait([done], timeout=max(0.0, begin + moment - time.monotonic()))
        count += await act()
    await done
    return count
