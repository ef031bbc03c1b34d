"""The life of an environment's process: launched, ready in time or not at all, drained, ended."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from fleet.credentials import CredentialsError
from fleet.environments import invocation as results
from fleet.environments.environment import Environment
from fleet.environments.invocation import InvokeResult
from fleet.environments.scheduler import State
from fleet.functions import FunctionSpec


class Process(Protocol):
    """The process behind an environment."""

    @property
    def pid(self) -> int | None:
        """Its process id, if it runs on this machine."""

    async def wait(self) -> int:
        """Wait for its end; returns the exit status."""

    async def stop(self, seconds: float) -> None:
        """Ask it to end, and make it end after `seconds`."""

    def kill(self) -> None:
        """End it now."""


Launch: TypeAlias = Callable[[FunctionSpec, Environment], Awaitable[Process]]
"""Starts the process of an environment and sets its `retire_at`.

It raises OSError when the program cannot be started, `CredentialsError` when the role cannot be assumed.
"""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Time limits of environments, in seconds: to be ready, to end when asked; for an invocation to find a slot."""

    init: float = 10.0
    stop: float = 2.0
    wait: float = 30.0
    check: float = 1.0  # between looks for what is idle


@dataclass(frozen=True, slots=True)
class StartFailure:
    """Why an environment never became ready: in the runtime's own words (`reported`), or in ours.

    `killed`: a signal has ended its process, so it may well start the next time.
    """

    kind: str
    message: str
    reported: bytes | None = None
    killed: bool = False

    def result(self, request_id: str) -> InvokeResult:
        """What an invocation that waited for the environment gets."""
        if self.reported is not None:
            return results.failed_with(request_id, self.reported)
        return results.failure(request_id, self.kind, f"RequestId: {request_id} Error: {self.message}")


@dataclass(frozen=True, slots=True)
class End:
    """How a process ended; `pid` is None when it never began, or ran elsewhere."""

    status: int
    pid: int | None = None


async def live(
    function: FunctionSpec,
    environment: Environment,
    *,
    launch: Launch,
    timeouts: Timeouts,
    start_failed: Callable[[Environment, StartFailure], None],
) -> End:
    """See one environment through its life, and tell when it cannot start, as soon as that is known."""
    try:
        process = await launch(function, environment)
    except (OSError, CredentialsError) as error:
        start_failed(environment, StartFailure("Runtime.InvalidEntrypoint", str(error)))
        return End(0)
    async with asyncio.TaskGroup() as group:
        guide = group.create_task(_guide(environment, process, timeouts, start_failed))
        status = await process.wait()
        guide.cancel()
    if environment.state is State.STARTING:
        start_failed(environment, StartFailure("Runtime.ExitError", results.exit_reason(status), killed=status < 0))
    return End(status, process.pid)


async def _guide(
    environment: Environment,
    process: Process,
    timeouts: Timeouts,
    start_failed: Callable[[Environment, StartFailure], None],
) -> None:
    try:
        async with asyncio.timeout(timeouts.init):
            await environment.settled.wait()
    except TimeoutError:
        message = f"Task timed out after {timeouts.init:.2f} seconds"
        start_failed(environment, StartFailure("Sandbox.Timedout", message))
        process.kill()
        return
    if environment.init_error is not None:
        start_failed(environment, StartFailure("", "", environment.init_error))
    else:
        await environment.drained.wait()
    if environment.overran:
        process.kill()
    else:
        await process.stop(timeouts.stop)
