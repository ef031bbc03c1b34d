"""Starts the process of an environment with its credentials, its Runtime API's address, its variables and its log."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial

from fleet.credentials import CredentialsCache
from fleet.environments.environment import Environment
from fleet.environments.process import EnvironmentConfig, EnvironmentProcess, environment_variables, start_process
from fleet.environments.runtime_api import PREFIX, RuntimeApi
from fleet.functions import FunctionSpec
from fleet.http.ports import LOOPBACK, listen
from fleet.http.server import Server
from fleet.logs import FunctionLog, LineCallback
from fleet.settings import RuntimeCommand


class Launcher:
    """Starts environments of one function: the `launch` of a pool."""

    def __init__(
        self,
        *,
        command: RuntimeCommand,
        config: EnvironmentConfig,
        credentials: CredentialsCache,
        server: Server,
        api: RuntimeApi,
        log: FunctionLog,
        on_line: LineCallback | None = None,
        clock: Callable[[], float] = time.monotonic,
        epoch: Callable[[], float] = time.time,
    ) -> None:
        self._command = command
        self._config = config
        self._credentials = credentials
        self._server = server
        self._api = api
        self._log = log
        self._on_line = on_line
        self._clock = clock
        self._epoch = epoch

    async def __call__(self, function: FunctionSpec, environment: Environment) -> EnvironmentProcess:
        """Start the process.

        Raises:
            CredentialsError: the function's role cannot be assumed.
            OSError: the program cannot be started.
        """
        credentials = await self._credentials.get(function.key)
        environment.retire_at = self._clock() + credentials.usable(function.timeout, self._epoch())
        address, close = await self._address(function, environment)
        try:
            process = await start_process(
                self._command.for_handler(function.handler),
                environment_variables(function, environment.identity, address, credentials.keys, self._config),
                self._config.task_root,
                partial(self._write, function.key, environment),
                close,
            )
        except OSError:
            close()
            raise
        environment.pid, environment.settle_output = process.pid, process.output_settled
        return process

    async def _address(self, function: FunctionSpec, environment: Environment) -> tuple[str, Callable[[], None]]:
        """Return the environment's Runtime API address, and what closes it at its end."""
        if not self._command.own_port:
            return f"{LOOPBACK}:{self._server.port}{PREFIX}{function.key}/{environment.identity}", lambda: None
        sock = listen(0, "an environment's Runtime API")
        app = self._api.app_for(function.key, environment.identity)
        server: asyncio.Server = await self._server.also_serve(app, sock)
        return f"{LOOPBACK}:{sock.getsockname()[1]}", server.close

    def _write(self, function: str, environment: Environment, lines: bytes) -> None:
        self._log.write(lines)
        environment.add_log_lines(lines)
        if self._on_line is not None:
            for line in lines.splitlines():
                self._on_line(function, line)
