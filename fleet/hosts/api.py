"""The fleet's side of hosts: lets them join, tells them what to run, and notices their end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping

import orjson

from fleet.credentials import CredentialsCache, CredentialsError, RoleCredentials
from fleet.environments.environment import Environment, State
from fleet.environments.pool import Pool
from fleet.functions import FunctionSpec
from fleet.hosts.messages import PREFIX, Command, JoinResponse
from fleet.hosts.remote import LOST, RemoteProcess
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
)
from fleet.settings import FleetSettings
from shoebox.stack.deployment import Deployment
from shoebox.telemetry import get_logger

_log = get_logger(action="fleet.hosts")
_EXIT_BODY = 1024
_LINES = (b"content-type", b"application/x-ndjson")


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
        """Answer one request. The server refuses web pages: what a host is told holds the function's credentials."""
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
            await self._accompany(pool, credentials, receive, send)

    async def _accompany(self, pool: Pool, credentials: RoleCredentials, receive: Receive, send: Send) -> None:
        """From the welcome to the end of the process, or of the host."""
        process = RemoteProcess()

        async def launch(function: FunctionSpec, environment: Environment) -> RemoteProcess:
            environment.retire_at = self._clock() + credentials.usable(function.timeout, self._epoch())
            return process

        environment = pool.join(launch)
        identity = environment.identity
        self._processes[identity] = process
        _log.info("host joined", function=pool.function.key, environment=identity)
        try:
            async with asyncio.TaskGroup() as group:
                attendants = [
                    group.create_task(_notice_end(process, receive)),
                    group.create_task(_tell_when_ready(process, environment)),
                ]
                await send({"type": "http.response.start", "status": 200, "headers": [_LINES]})
                await _send_line(send, self._welcome(pool.function, identity, credentials).encode())
                async for word in process.words():
                    await _send_line(send, orjson.dumps({"word": word}) + b"\n")
                for attendant in attendants:
                    attendant.cancel()
            await send({"type": "http.response.body", "body": b""})
        finally:
            process.end(LOST)
            del self._processes[identity]
            _log.info("host left", function=pool.function.key, environment=identity, status=await process.wait())

    def _welcome(self, function: FunctionSpec, identity: str, credentials: RoleCredentials) -> JoinResponse:
        return JoinResponse(
            identity=identity,
            function=function,
            credentials=credentials.keys,
            region=self._deployment.region,
            endpoint_url=self._deployment.endpoint_url,
            environment=self._settings.environment,
            stop_seconds=self._settings.stop_seconds,
        )

    async def _exit(self, identity: str, scope: Scope, receive: Receive) -> Response:
        process = self._processes.get(identity)
        if process is None:
            return _refusal(404, "No such environment.")
        try:
            status = int(orjson.loads(await read_body(scope, receive, _EXIT_BODY))["status"])
        except (ValueError, TypeError, KeyError, BodyTooLarge, Disconnected):
            return _refusal(400, 'Expected {"status": a number}.')
        process.end(status)
        return Response(204)


async def _send_line(send: Send, line: bytes) -> None:
    await send({"type": "http.response.body", "body": line, "more_body": True})


async def _notice_end(process: RemoteProcess, receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    process.end(LOST)


async def _tell_when_ready(process: RemoteProcess, environment: Environment) -> None:
    await environment.settled.wait()
    if environment.state is State.READY:
        process.tell(Command.READY)


def _refusal(status: int, message: str) -> Response:
    return json_response(status, {"message": message})
