"""An AWS emulator that somebody else runs: waited for at the start, and provisioned again when it comes back empty.

Emulators in containers keep nothing by themselves: when one is killed, its queues, tables, buckets and the sessions of
the functions' roles are gone, and so are the photos. The watchdog restores what needs no person.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn

from emulator.provision import ProvisionError
from shoebox.aws.botocore_errors import aws_errors
from shoebox.aws.clients import Clients
from shoebox.aws.errors import AwsError
from shoebox.stack.deployment import ResolvedStack
from shoebox.telemetry import get_logger

_NO_QUEUE = ("QueueDoesNotExist", "NonExistentQueue")
_PAUSE = 0.5

log = get_logger(action="emulator.watchdog")


class EmulatorUnreachable(RuntimeError):
    """No AWS emulator responds at the address; the message says what came instead."""


async def wait_for_emulator(clients: Clients, url: str, seconds: float) -> None:
    """Wait for the first response to a real call.

    Raises:
        EmulatorUnreachable: none came in this time.
    """
    sts = await clients.open("sts")
    deadline = time.monotonic() + seconds
    while True:
        try:
            with aws_errors():
                await sts.get_caller_identity()
        except AwsError as error:
            if time.monotonic() >= deadline:
                message = f"No AWS emulator answers at {url} within {seconds:.0f} s: {error}"
                raise EmulatorUnreachable(message) from error
            await asyncio.sleep(_PAUSE)
        else:
            return


class EmulatorWatchdog:
    """Checks every `pause` seconds that the emulator responds and has its queues; if it was away, calls `restore`."""

    def __init__(
        self,
        resolved: ResolvedStack,
        clients: Clients,
        restore: Callable[[], Awaitable[None]],
        *,
        pause: float = 2.0,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._resolved = resolved
        self._clients = clients
        self._restore = restore
        self._pause = pause
        self._sleep = sleep
        self._away = False
        self._probe: Callable[[], Awaitable[Any]] | None = None

    async def run(self) -> NoReturn:
        """Check until cancelled."""
        while True:
            await self._sleep(self._pause)
            await self.check()

    async def check(self) -> None:
        """Check once; a restoration that fails is tried again at the next check."""
        if not await self._needs_restoring():
            return
        try:
            with aws_errors():
                await self._restore()
        except (ProvisionError, AwsError) as error:
            log.warning("restore_failed", reason=str(error))
            return
        self._away = False
        log.warning("emulator_restored")

    async def _needs_restoring(self) -> bool:
        probe = self._probe = self._probe or await self._open_probe()
        try:
            with aws_errors():
                await probe()
        except AwsError as error:
            if not self._away:
                log.error("emulator_lost", reason=str(error))
            self._away = True
            return error.has_code(*_NO_QUEUE)
        return self._away

    async def _open_probe(self) -> Callable[[], Awaitable[Any]]:
        """Return a cheap call that fails when the emulator is away, or has lost its queues if it should have any."""
        queue = next(iter(self._resolved.stack.queues), None)
        if queue is None:
            sts = await self._clients.open("sts")
            return lambda: sts.get_caller_identity()
        sqs, name = await self._clients.open("sqs"), self._resolved.name_of("queue", queue)
        return lambda: sqs.get_queue_url(QueueName=name)
