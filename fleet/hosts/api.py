"""The fleet's side of hosts: lets them join, sends them what to run, and notices their end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping

import orjson

from fleet.credentials import CredentialsCache, CredentialsError, RoleCredentials
from fleet.environments.environment import Environment, State
from fleet.environments.pool import Pool
from fleet.functions import FunctionSpec
from fleet.hosts.messages import PREFIX, Command, JoinResponse
from fleet.http.asgi import (
    BodyTooLarge,
    Disconnected,
    Receive,
    Response,
    Scope,
    Send,
    json_response,
    read_body,
    respond,
    wait_for_disconnect,
)
from fleet.settings import FleetSettings
from shoebox.stack.deployment import Deployment
from shoebox.telemetry import get_logger

_log = get_logger(action="fleet.hosts")
_MAX_EXIT_BODY = 1024
_LINES = (b"content-type", b"application/x-ndjson")
_REPORT_SECONDS = 2.0  # for a host to report the exit, beyond what the process may take to end
LOST = -9  # the status of a process whose host has disconnected without a report: as after SIGKILL


class RemoteProcess:
    """The process of an environment that a host runs.

    It ends when its host reports so, when the host's connection closes, or when it is killed.
    """

    pid = None  # it has one, on another machine

    def __init__(self) -> None:
        self._commands: asyncio.Queue[Command | None] = asyncio.Queue()
        self._status: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def send(self, command: Command) -> None:
        """Send the host a command."""
        self._commands.put_nowait(command)

    async def commands(self) -> AsyncIterator[Command]:
        """Yield what is to be sent, until the end."""
        while (command := await self._commands.get()) is not None:
            yield command

    def end(self, status: int) -> None:
        """Note that the process has ended; the first call decides the status."""
        if not self._status.done():
            self._status.set_result(status)
            self._commands.put_nowait(None)

    async def wait(self) -> int:
        """Wait for its end, and return its exit status."""
        return await asyncio.shield(self._status)

    async def stop(self, seconds: float) -> None:
        """Have the host end it, and kill it when the host has not reported that after `seconds` and a moment."""
        self.send(Command.STOP)
        try:
            async with asyncio.timeout(seconds + _REPORT_SECONDS):
                await self.wait()
        except TimeoutError:
            self.kill()

    def kill(self) -> None:
        """Close the connection; a host that still lives then kills the process."""
        self.end(LOST)


class HostApi:
    """Serves `/.hosts/`; only functions in `settings.joined` may be joined."""

    def __init__(
        self,
        pools: Mapping[str, Pool],
        deployment: Deployment,
        settings: FleetSettings,
        credentials: CredentialsCache,
        *,
        clock: Callable[[], float] = time.monotonic,
        epoch: Callable[[], float] = time.time,
    ) -> None:
        self._pools = pools
        self._deployment = deployment
        self._settings = settings
        self._credentials = credentials
        self._clock = clock
        self._epoch = epoch
        self._processes: dict[str, RemoteProcess] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request. The server refuses web pages: the join response holds the function's credentials."""
        parts = scope["path"].removeprefix(PREFIX).split("/")
        match scope["method"], parts:
            case "POST", [function]:
                await self._join(function, receive, send)
            case "POST", [_, identity, "exit"]:
                await respond(send, await self._exit(identity, scope, receive))
            case _:
                await respond(send, _refusal(404, "There is nothing at this address."))

    async def _join(self, function: str, receive: Receive, send: Send) -> None:
        pool = self._pools.get(function)
        if pool is None:
            await respond(send, _refusal(404, f"stack.yaml has no function {function!r}."))
        elif function not in self._settings.joined:
            await respond(send, _refusal(409, f"The fleet starts the environments of {function} itself."))
        else:
            try:
                credentials = await self._credentials.get(function)
            except CredentialsError as error:
                await respond(send, _refusal(503, str(error)))
                return
            if pool.stopping:  # its end would wait for an environment that comes now
                await respond(send, _refusal(503, "The fleet is ending."))
                return
            await self._serve_host(pool, credentials, receive, send)

    async def _serve_host(self, pool: Pool, credentials: RoleCredentials, receive: Receive, send: Send) -> None:
        """Respond until the process or the host's connection ends."""
        process = RemoteProcess()

        async def launch(function: FunctionSpec, environment: Environment) -> RemoteProcess:
            environment.retire_at = self._clock() + credentials.usable(function.timeout, self._epoch())
            return process

        async def end_when_disconnected() -> None:
            await wait_for_disconnect(receive)
            process.end(LOST)

        async def report_when_ready() -> None:
            await environment.settled.wait()
            if environment.state is State.READY:
                process.send(Command.READY)

        async def send_line(line: bytes) -> None:
            await send({"type": "http.response.body", "body": line, "more_body": True})

        environment = pool.join(launch)
        identity, function = environment.identity, pool.function
        self._processes[identity] = process
        _log.info("host_joined", function=function.key, environment=identity)
        response = JoinResponse(
            identity=identity,
            function=function,
            credentials=credentials.keys,
            region=self._deployment.region,
            endpoint_url=self._deployment.endpoint_url,
            environment=self._settings.environment,
            stop_seconds=self._settings.stop_seconds,
        )
        try:
            async with asyncio.TaskGroup() as group:
                watches = [group.create_task(end_when_disconnected()), group.create_task(report_when_ready())]
                await send({"type": "http.response.start", "status": 200, "headers": [_LINES]})
                await send_line(response.to_line())
                async for command in process.commands():
                    await send_line(command.to_line())
                for watch in watches:
                    watch.cancel()
            await send({"type": "http.response.body", "body": b""})
        finally:
            process.end(LOST)
            del self._processes[identity]
            _log.info("host_left", function=function.key, environment=identity, status=await process.wait())

    async def _exit(self, identity: str, scope: Scope, receive: Receive) -> Response:
        process = self._processes.get(identity)
        if process is None:
            return _refusal(404, "No such environment.")
        try:
            status = int(orjson.loads(await read_body(scope, receive, _MAX_EXIT_BODY))["status"])
        except (ValueError, TypeError, KeyError, BodyTooLarge, Disconnected):
            return _refusal(400, 'Expected {"status": a number}.')
        process.end(status)
        return Response(204)


def _refusal(status: int, message: str) -> Response:
    return json_response(status, {"message": message})
