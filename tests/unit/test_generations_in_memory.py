"""The state machine of tests/emulator/test_generations_stateful.py over the store in memory, which loses replies."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

import structlog.testing
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from shoebox.files.memory import Fault, MemoryFileStore
from shoebox.files.model import Generation
from shoebox.files.store import FileStore
from tests.emulator.test_generations_stateful import STEPS, OnePhoto, World

EXAMPLES = 200
CALLS = {
    "TransactWriteItems": ("register",),
    "UpdateItem": ("start_deletion", "mark_ready", "mark_rejected", "write_tombstone"),
    "DeleteItem": ("remove",),
}


class InMemory(OnePhoto):
    """One photo, in memory; a lost response is an error for its caller, as after the last attempt of a client."""

    def open_store(self) -> FileStore:
        """Open the store that is put to the test."""
        self.memory = MemoryFileStore(now=self.now)
        self.returned: set[Generation] = set()
        return self.memory

    async def ingested(self, generation: Generation, *, receive_count: int) -> None:
        """Deliver an upload's message; where one of its generation was returned, this is that one, received again."""
        again = generation in self.returned
        waiting = self.undone.count(generation)
        await super().ingested(generation, receive_count=max(receive_count, 1 + again))
        if waiting and self.undone.count(generation) == waiting:
            self.returned.add(generation)

    @contextlib.contextmanager
    def losing(self, operation: str, lose: bool) -> Iterator[None]:
        """Lose the next reply to an operation, if it is asked for."""
        for call in CALLS[operation] if lose else ():
            self.memory.faults.add(call, Fault.LOST_RESPONSE)
        yield
        self.memory.faults.clear()


def test_no_order_of_events_loses_or_keeps_a_byte() -> None:
    """Hypothesis looks for an order that breaks a promise."""
    nothing: Any = None
    # Without this, every lost response would be written with a traceback, which takes longer than all else.
    with asyncio.Runner() as runner, structlog.testing.capture_logs():

        class Here(InMemory):
            """The machine on one event loop."""

            world = World(runner, nothing, nothing)

        machine = settings(
            max_examples=EXAMPLES, stateful_step_count=STEPS, deadline=None, suppress_health_check=list(HealthCheck)
        )
        run_state_machine_as_test(Here, settings=machine)
