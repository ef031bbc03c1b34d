"""Slots in this process against the fake Runtime API."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from workers.runtime.callers import caller_for
from workers.runtime.context import FunctionDescription
from workers.runtime.drain import Drain
from workers.runtime.protocol import Endpoint
from workers.runtime.slots import Slots, SlotsSettings
from workers.runtime.testing import FakeRuntimeApi


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
    """The same, for any server."""
    drain = Drain()
    settings = {"margin": 0.1, "drain": 5.0, "reconnect": 5.0, **settings}
    configured = SlotsSettings(Endpoint.parse(address), slots, **settings)
    running = Slots(configured, FunctionDescription("f"), caller_for(handler), drain)
    return Running(running, drain, asyncio.create_task(running.run()))


@asynccontextmanager
async def running_slots(
    api: FakeRuntimeApi, handler: Callable[[Any, Any], Any], slots: int = 1, **settings: Any
) -> AsyncIterator[Running]:
    """Slots that poll, drained at the end."""
    running = start_slots(api, handler, slots, **settings)
    try:
        await api.wait_idle(slots)
        yield running
    finally:
        await running.stop()


async def eventually(condition: Callable[[], bool], timeout: float = 10) -> None:
    """Until `condition` holds. Raises TimeoutError."""
    async with asyncio.timeout(timeout):
        while not condition():  # noqa: ASYNC110  # what is observed here has no event
            await asyncio.sleep(0.002)
