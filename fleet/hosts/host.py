"""A host: runs one environment of a function after the other, for a fleet elsewhere."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

import aiohttp

from fleet.backoff import Backoff
from fleet.environments.process import EnvironmentConfig, Process, environment_variables, start_process
from fleet.environments.runtime_api import PREFIX as RUNTIME
from fleet.hosts.connection import FleetConnection, FleetUnavailable, HostError, Membership
from fleet.hosts.messages import Command, JoinResponse
from fleet.hosts.terminal import start_in_terminal
from fleet.http.asgi import Receive, Response, Scope, Send, json_response, respond
from fleet.metrics import METRICS_TYPE, environments_exposition, forget_process
from shoebox.telemetry import get_logger

_log = get_logger(action="fleet.host")
_STEADY_SECONDS = 10.0  # after which an environment counts as healthy: the next one starts without a delay
_RELOAD_SECONDS = 0.5  # between looks at the code


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
    """The environment that a host runs, whether it takes invocations, and the error that keeps it from joining."""

    function: str
    identity: str | None = None
    ready: bool = False
    error: str | None = None


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
                began = asyncio.get_running_loop().time()
                try:
                    async with connection.join() as membership:
                        self.state.error = None
                        await self._run_environment(connection, membership)
                except FleetUnavailable as error:
                    if str(error) != self.state.error:
                        _log.warning("fleet_unavailable", reason=str(error))
                    self.state.error = str(error)
                else:
                    if asyncio.get_running_loop().time() - began >= _STEADY_SECONDS:
                        self._backoff.reset()
                finally:
                    self.state.identity, self.state.ready = None, False
                await asyncio.sleep(self._backoff.next())

    async def _run_environment(self, connection: FleetConnection, membership: Membership) -> None:
        identity = self.state.identity = membership.join.identity
        process = await self._start(membership.join)
        _log.info("environment_started", environment=identity, pid=process.pid)
        watches = [asyncio.create_task(self._follow_commands(membership, process))]
        if self._settings.reload:
            watches.append(asyncio.create_task(self._replace_when_changed(process)))
        ended = asyncio.create_task(process.wait())
        try:
            status = await asyncio.shield(ended)
        except asyncio.CancelledError:
            await self._end(process, self._settings.drain_seconds)
            await connection.report_exit(identity, await ended)
            raise
        finally:
            for watch in watches:
                watch.cancel()
            if process.pid is not None:
                forget_process(process.pid, self._settings.metrics_dir)
        _log.info("environment_ended", environment=identity, status=status)
        await connection.report_exit(identity, status)

    async def _start(self, join: JoinResponse) -> Process:
        settings = self._settings
        config = EnvironmentConfig(
            region=join.region,
            endpoint_url=join.endpoint_url,
            task_root=settings.task_root,
            metrics_dir=settings.metrics_dir,
            environment={**join.environment, **(settings.environment or {})},
        )
        address = f"{urlsplit(settings.fleet_url).netloc}{RUNTIME}{join.function.key}/{join.identity}"
        variables = environment_variables(join.function, join.identity, address, join.credentials, config)
        try:
            if settings.terminal:
                return await start_in_terminal(settings.command, variables, settings.task_root)
            return await start_process(
                [*settings.command], variables, settings.task_root, self._write, on_end=lambda: None
            )
        except OSError as error:
            raise HostError(f"{settings.command[0]} cannot be started: {error}") from error

    async def _follow_commands(self, membership: Membership, process: Process) -> None:
        """End the process when the fleet says so, or is gone: nobody would take what runs here."""
        async for command in membership.commands():
            if command is Command.STOP:
                break
            self.state.ready = True
        await self._end(process, membership.join.stop_seconds)

    async def _replace_when_changed(self, process: Process) -> None:
        await code_changed(self._settings.task_root)
        _log.info("code_changed", environment=self.state.identity)
        self._backoff.reset()
        await self._end(process, self._settings.drain_seconds)

    async def _end(self, process: Process, seconds: float) -> None:
        self.state.ready = False
        await process.stop(seconds)


class HostStatus:
    """The application of a host's own port: /healthz for its container's health check, /metrics for Prometheus."""

    def __init__(self, host: Host, metrics_dir: Path) -> None:
        self._host = host
        self._metrics_dir = metrics_dir

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        match scope["path"]:
            case "/healthz":
                state = self._host.state
                response = json_response(200 if state.ready else 503, asdict(state))
            case "/metrics":
                response = Response(200, environments_exposition(self._metrics_dir), [METRICS_TYPE])
            case _:
                response = json_response(404, {"message": "Not found"})
        await respond(send, response)


async def code_changed(folder: Path, *, pause: float = _RELOAD_SECONDS) -> None:
    """Wait until a Python file under `folder` is new, gone or another."""
    before = await asyncio.to_thread(code_times, folder)
    # By polling: the file systems of mounts into containers do not always send events.
    while await asyncio.to_thread(code_times, folder) == before:  # noqa: ASYNC110
        await asyncio.sleep(pause)


def code_times(folder: Path) -> Mapping[Path, int]:
    """Return when each Python file was last written, in nanoseconds; hidden folders such as `.venv` are left out."""
    found = {}
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for path in (Path(parent, name) for name in files if name.endswith(".py")):
            try:
                found[path] = path.stat().st_mtime_ns
            except OSError:  # an editor replaces it at this moment
                continue
    return found
