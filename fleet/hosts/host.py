"""A host: runs one environment of a function after the other, for a fleet elsewhere."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

import aiohttp

from fleet.backoff import Backoff
from fleet.environments.process import EnvironmentConfig, Process, environment_variables, start_process
from fleet.environments.runtime_api import PREFIX as RUNTIME
from fleet.hosts.connection import FleetAway, FleetConnection, HostError, Joined
from fleet.hosts.messages import Command, JoinResponse
from fleet.hosts.reload import code_changed
from fleet.hosts.terminal import start_in_terminal
from fleet.metrics import forget_process
from shoebox.telemetry import get_logger

_log = get_logger(action="fleet.host")
_STEADY_SECONDS = 10.0  # an environment that lived so long was well: the next one need not wait


@dataclass(frozen=True, slots=True)
class HostSettings:
    """What to run, for whom and where.

    `command` is the environment's program; with `terminal` it has this process's own terminal, for a debugger, instead
    of a pipe. With `reload` an environment is replaced when code under `task_root` changes. After a stop it may go on
    for `drain_seconds`.
    """

    function: str
    fleet_url: str
    task_root: Path
    metrics_dir: Path
    command: tuple[str, ...] = (sys.executable, "-m", "workers.runtime")
    terminal: bool = False
    reload: bool = False
    environment: Mapping[str, str] | None = None
    drain_seconds: float = 12.0


@dataclass(slots=True)
class HostState:
    """Where a host is in its work: the environment that it runs, and whether it takes invocations."""

    function: str
    identity: str | None = None
    ready: bool = False
    trouble: str | None = None


class Host:
    """Joins, runs a process, and joins again when that has ended; `write` gets what the process prints."""

    def __init__(self, settings: HostSettings, write: Callable[[bytes], None]) -> None:
        self.state = HostState(settings.function)
        self._settings = settings
        self._write = write
        self._backoff = Backoff(0.2, 5.0)

    async def run(self) -> NoReturn:
        """Work until cancelled; then the process drains, and ends.

        Raises:
            NotJoinable: the fleet has no work for this host.
            HostError: the environment's program cannot be started.
        """
        async with aiohttp.ClientSession() as session:
            connection = FleetConnection(session, self._settings.fleet_url, self._settings.function)
            while True:
                await self._run_one(connection)
                await asyncio.sleep(self._backoff.next())

    async def _run_one(self, connection: FleetConnection) -> None:
        began = asyncio.get_running_loop().time()
        try:
            async with connection.join() as joined:
                self._note(None)
                await self._serve(connection, joined)
        except FleetAway as error:
            self._note(str(error))
            return
        finally:
            self.state.identity, self.state.ready = None, False
        if asyncio.get_running_loop().time() - began >= _STEADY_SECONDS:
            self._backoff.reset()

    async def _serve(self, connection: FleetConnection, joined: Joined) -> None:
        welcome = joined.welcome
        self.state.identity = welcome.identity
        process = await self._start(welcome)
        _log.info("environment started", environment=welcome.identity, pid=process.pid)
        attendants = [asyncio.create_task(self._obey(joined, process))]
        if self._settings.reload:
            attendants.append(asyncio.create_task(self._replace_when_changed(process)))
        ended = asyncio.create_task(process.wait())
        try:
            status = await asyncio.shield(ended)
        except asyncio.CancelledError:
            await self._end(process, self._settings.drain_seconds)
            await connection.tell_exit(welcome.identity, await ended)
            raise
        finally:
            for attendant in attendants:
                attendant.cancel()
            if process.pid is not None:
                forget_process(process.pid, self._settings.metrics_dir)
        _log.info("environment ended", environment=welcome.identity, status=status)
        await connection.tell_exit(welcome.identity, status)

    async def _start(self, welcome: JoinResponse) -> Process:
        settings = self._settings
        config = EnvironmentConfig(
            region=welcome.region,
            endpoint_url=welcome.endpoint_url,
            task_root=settings.task_root,
            metrics_dir=settings.metrics_dir,
            environment={**welcome.environment, **(settings.environment or {})},
        )
        address = f"{urlsplit(settings.fleet_url).netloc}{RUNTIME}{welcome.function.key}/{welcome.identity}"
        values = environment_variables(welcome.function, welcome.identity, address, welcome.credentials, config)
        try:
            if settings.terminal:
                return await start_in_terminal(settings.command, values, settings.task_root)
            return await start_process([*settings.command], values, settings.task_root, self._write, _nothing)
        except OSError as error:
            raise HostError(f"{settings.command[0]} cannot be started: {error}") from error

    async def _obey(self, joined: Joined, process: Process) -> None:
        """Do as the fleet says; when it is gone, what runs here has nobody to answer to."""
        async for word in joined.words():
            if word is Command.STOP:
                await self._end(process, joined.welcome.stop_seconds)
                return
            self.state.ready = True
        await self._end(process, joined.welcome.stop_seconds)

    async def _replace_when_changed(self, process: Process) -> None:
        await code_changed(self._settings.task_root)
        _log.info("code changed", environment=self.state.identity)
        self._backoff.reset()
        await self._end(process, self._settings.drain_seconds)

    async def _end(self, process: Process, seconds: float) -> None:
        self.state.ready = False
        await process.stop(seconds)

    def _note(self, trouble: str | None) -> None:
        """Remember what stands in the way; log it when it is news."""
        if trouble and trouble != self.state.trouble:
            _log.warning("waiting for the fleet", reason=trouble)
        self.state.trouble = trouble


def _nothing() -> None:
    """The environment's address needs no closing."""
