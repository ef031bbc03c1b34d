"""Slots in this process against the fake Runtime API."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from workers.runtime.context import FunctionDescription
from workers.runtime.drain import Drain
from workers.runtime.handlers import caller_factory
from workers.runtime.protocol import Endpoint
from workers.runtime.settings import SlotsSettings
from workers.runtime.slots import Slots
from workers.runtime.testing import FakeRuntimeApi, Posted

MARGIN = 20.0
"""Seconds: on a busy machine, too, half of it is enough to clean up and the other half to post."""
LEAKY_MARGIN = 4.0
"""Seconds: half of it is always waited for where a handler ignores its cancel."""


@dataclass
class Running:
    """Slots that run, and what stops them."""

    slots: Slots
    drain: Drain
    task: asyncio.Task[None]

    async def stop(self, exit_code: int = 0) -> None:
        """Drain and wait for the end."""
        self.drain.request(exit_code)
        await self.task


def start_slots(api: FakeRuntimeApi, handler: Callable[[Any, Any], Any], slots: int = 1, **settings: Any) -> Running:
    """Start `slots` slots of a handler; close the result with `stop`."""
    return start_slots_at(api.address, handler, slots, **settings)


def start_slots_at(address: str, handler: Callable[[Any, Any], Any], slots: int = 1, **settings: Any) -> Running:
    """Start the same for any server."""
    drain = Drain()
    settings = {"margin": MARGIN, "drain": 30.0, "reconnect": 30.0, **settings}
    configured = SlotsSettings(Endpoint.parse(address), slots, **settings)
    running = Slots(configured, FunctionDescription("f"), caller_factory(handler), drain)
    return Running(running, drain, asyncio.create_task(running.run()))


@asynccontextmanager
async def running_slots(
    api: FakeRuntimeApi, handler: Callable[[Any, Any], Any], slots: int = 1, **settings: Any
) -> AsyncIterator[Running]:
    """Start slots and wait until they poll; drain them at the end."""
    running = start_slots(api, handler, slots, **settings)
    try:
        await api.wait_idle(slots)
        yield running
    finally:
        await running.stop()


def soon(seconds: float, margin: float = MARGIN) -> int:
    """Return a deadline for slots with this margin, so that the handler is cancelled in so many seconds."""
    return int((time.time() + seconds + margin) * 1000)


async def cut_off(
    api: FakeRuntimeApi, begun: asyncio.Event, event: Any = None, *, margin: float = MARGIN, **sent: Any
) -> Posted:
    """Return how an invocation ended, before its deadline, whose handler was cancelled after it had set `begun`.

    A busy machine may take longer than any short time to come so far: each attempt has more.
    """
    seconds = 0.1
    while True:
        deadline = soon(seconds, margin)
        posted = await api.invoke(event, deadline_ms=deadline, **sent)
        assert time.time() * 1000 < deadline
        if begun.is_set():
            return posted
        seconds *= 2


async def eventually(condition: Callable[[], bool], timeout: float = 30) -> None:
    """Wait until `condition` holds. Raises TimeoutError."""
    async with asyncio.timeout(timeout):
        while not condition():  # noqa: ASYNC110  # what is observed here has no event
            await asyncio.sleep(0.002)
