"""The environments of one function: invocations wait here for a slot, and environments start, end and are replaced.

The way of an invocation: `Pool.invoke` asks the limits and queues it, `_dispatch` gives it to an environment that
`poll`s, and `finish`, the timeout or the end of the process settles it. `_live` sees an environment through its life.
The rules are in `fleet.environments.scheduler` and `fleet.limits`.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

from fleet.credentials import CredentialsError
from fleet.environments import invocation as results
from fleet.environments.environment import Environment, State
from fleet.environments.invocation import EXIT_ERROR, Call, Invocation, InvokeResult
from fleet.environments.process import Process
from fleet.environments.scheduler import Scheduler
from fleet.errors import NoCapacity, Throttled
from fleet.functions import FunctionSpec
from fleet.limits.concurrency import LambdaLimits
from fleet.metrics import Metrics
from shoebox.telemetry import get_logger

_log = get_logger(action="fleet.pool")


Launch: TypeAlias = Callable[[FunctionSpec, Environment], Awaitable[Process]]
"""Starts the process of an environment and sets its `retire_at`.

It raises OSError when the program cannot be started, `CredentialsError` when the role cannot be assumed.
"""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds that an environment has to be ready, and to end when asked, and that an invocation waits for a slot."""

    init: float = 10.0
    stop: float = 2.0
    wait: float = 30.0
    check: float = 1.0  # between looks for what is idle


@dataclass(frozen=True, slots=True)
class PoolStatistics:
    """A moment of a pool: environments by state, invocations that run and that wait, environments ever started.

    `free` are slots that wait for an invocation; `oldest_wait` is how many seconds the oldest waiting invocation has
    waited for one. `memory` is what an environment of the function has, in MB.
    """

    function: str
    environments: dict[str, int]
    running: int
    free: int
    waiting: int
    oldest_wait: float
    started: int
    memory: int


class Pool:
    """Runs invocations of `function`; an async context manager, at whose end every environment has ended."""

    def __init__(
        self,
        function: FunctionSpec,
        *,
        launch: Launch,
        admission: LambdaLimits,
        scheduler: Scheduler,
        metrics: Metrics,
        timeouts: Timeouts | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.function = function
        self._launch = launch
        self._admission = admission
        self._scheduler = scheduler
        self._metrics = metrics
        self._timeouts = timeouts or Timeouts()
        self._clock = clock
        self._environments: dict[str, Environment] = {}
        self._waiting: dict[str, Invocation] = {}
        self._tasks = asyncio.TaskGroup()
        self._closing = asyncio.Event()
        self._started = 0
        self._throttles = ThrottleLog(function.key, metrics, clock)

    async def __aenter__(self) -> Pool:
        await self._tasks.__aenter__()
        self._tasks.create_task(self._retire_regularly())
        return self

    def stop(self) -> None:
        """Run nothing more, and end every environment; leaving the context waits until they have ended."""
        self._closing.set()
        for waiting in list(self._waiting.values()):
            self._settle(waiting, results.exited(waiting.request_id, 0), "stopped")
        for environment in self._environments.values():
            environment.drain()
            environment.drained.set()

    async def __aexit__(self, *exc_info: object) -> None:
        self.stop()
        await self._tasks.__aexit__(None, None, None)

    def statistics(self) -> PoolStatistics:
        """Return the pool's state now."""
        states = [environment.state for environment in self._environments.values()]
        return PoolStatistics(
            function=self.function.key,
            environments={str(state): states.count(state) for state in State if state is not State.ENDED},
            running=sum(environment.busy for environment in self._environments.values()),
            free=sum(environment.free for environment in self._environments.values()),
            waiting=len(self._waiting),
            oldest_wait=max((self._clock() - i.admitted_at for i in self._waiting.values()), default=0.0),
            started=self._started,
            memory=self.function.memory,
        )

    def environment(self, identity: str) -> Environment | None:
        """Return an environment that has not ended, or None."""
        return self._environments.get(identity)

    @property
    def ready_slots(self) -> int:
        """Slots of the environments that take invocations, whether they run one or not."""
        return sum(e.slots for e in self._environments.values() if e.state is State.READY)

    @property
    def stopping(self) -> bool:
        """Whether it runs nothing more, and no environment may join."""
        return self._closing.is_set()

    def join(self, launch: Launch) -> Environment:
        """Add an environment that a host offers; `launch` gives its process."""
        return self._start(launch)

    def renew(self) -> None:
        """Drain every environment, so that others with new credentials replace them."""
        for environment in self._environments.values():
            environment.drain()

    async def invoke(self, call: Call) -> InvokeResult:
        """Run `call`. A caller that stops waiting does not stop an invocation that runs.

        Raises:
            Throttled: a limit refuses it, or no slot came free in time (NoCapacity).
        """
        refused = self._admission.enter(self.function.key, self._clock(), synchronous=call.synchronous)
        if refused:
            self._throttles.note(refused)
            raise Throttled(refused)
        loop = asyncio.get_running_loop()
        invocation = Invocation(call, admitted_at=self._clock(), done=loop.create_future())
        self._waiting[invocation.request_id] = invocation
        self._dispatch()
        if invocation.request_id in self._waiting:
            invocation.timer = loop.call_later(self._timeouts.wait, self._give_up, invocation)
        try:
            return await invocation.done
        finally:
            if invocation.request_id in self._waiting:
                self._settle(invocation, None, "abandoned")

    def poll(self, environment: Environment) -> asyncio.Future[Invocation | None]:
        """Queue a slot of `environment` for an invocation; its result is None when the slot is to end.

        Raises:
            InvalidState: the environment may not ask now.
        """
        cold = environment.state is State.STARTING
        poller = environment.poll(self._clock())
        if cold:
            self._metrics.cold_start.labels(self.function.key).observe(self._clock() - environment.started_at)
        self._dispatch()
        return poller

    def offer_again(self, environment: Environment, invocation: Invocation) -> None:
        """Put an invocation first in the queue again whose slot vanished before it was sent."""
        if environment.take_back(invocation.request_id) is None:
            return
        if invocation.done.done():
            self._settle(invocation, None, "abandoned")
            return
        self._wait_again(invocation)
        self._dispatch()

    def finish(self, environment: Environment, request_id: str, nonce: str | None, result: InvokeResult) -> None:
        """Settle an invocation that the environment has responded to.

        Raises:
            UnknownRequest, TooLate: as `Environment.finish`.
        """
        invocation = environment.finish(request_id, nonce, self._clock())
        result = self._with_log(environment, invocation, result)
        self._settle(invocation, result, "error" if result.function_error else "success")

    def _dispatch(self) -> None:
        """Give waiting invocations to free slots, the oldest first, and start environments for those that are left."""
        loop, timeout = asyncio.get_running_loop(), self.function.timeout
        while self._waiting and (environment := self._scheduler.pick(self._environments.values())):
            invocation = self._waiting.pop(next(iter(self._waiting)))
            now = self._clock()
            invocation.stop_timer()
            invocation.started_at = now
            invocation.deadline_ms = int((time.time() + timeout) * 1000)
            invocation.timer = loop.call_later(timeout, self._time_out, environment, invocation)
            environment.assign(invocation, now)
        if self._waiting and not self._closing.is_set():
            environments = list(self._environments.values())
            for _ in range(self._scheduler.to_start(len(self._waiting), environments, self._clock())):
                self._start(self._launch)

    def _wait_again(self, invocation: Invocation) -> None:
        invocation.stop_timer()
        invocation.timer = asyncio.get_running_loop().call_later(self._timeouts.wait, self._give_up, invocation)
        self._waiting = {invocation.request_id: invocation, **self._waiting}

    def _settle(self, invocation: Invocation, result: InvokeResult | None, outcome: str) -> None:
        now = self._clock()
        invocation.stop_timer()
        self._waiting.pop(invocation.request_id, None)
        self._admission.leave(self.function.key, now)
        self._metrics.invocations.labels(self.function.key, outcome).inc()
        if invocation.started_at:
            self._metrics.duration.labels(self.function.key).observe(now - invocation.started_at)
        if result is not None and not invocation.done.done():
            invocation.done.set_result(result)

    def _with_log(self, environment: Environment, invocation: Invocation, result: InvokeResult) -> InvokeResult:
        tail = environment.take_tail(invocation.request_id)
        if tail is None:
            return result
        seconds = self._clock() - invocation.started_at
        return replace(result, log=tail.end(result, seconds, self.function.memory, environment.pid))

    def _give_up(self, invocation: Invocation) -> None:
        self._settle(invocation, None, "no_capacity")
        self._throttles.note("NoCapacity")
        if not invocation.done.done():
            invocation.done.set_exception(NoCapacity(self.function.key, self._timeouts.wait))

    def _time_out(self, environment: Environment, invocation: Invocation) -> None:
        environment.expire(invocation.request_id)
        result = results.timed_out(invocation.request_id, self.function.timeout)
        self._settle(invocation, self._with_log(environment, invocation, result), "timeout")
        _log.warning("invocation_timed_out", function=self.function.key, request_id=invocation.request_id)

    def _start(self, launch: Launch) -> Environment:
        environment = Environment(uuid.uuid4().hex, self.function.slots, self._clock())
        self._environments[environment.identity] = environment
        self._started += 1
        self._tasks.create_task(self._live(environment, launch))
        return environment

    async def _live(self, environment: Environment, launch: Launch) -> None:
        """See an environment through its life: launched, ready in time or not at all, drained, ended."""
        status = 0
        try:
            process = await launch(self.function, environment)
        except (OSError, CredentialsError) as error:
            self._start_failed(environment, "Runtime.InvalidEntrypoint", str(error))
        else:
            async with asyncio.TaskGroup() as group:
                guide = group.create_task(self._guide(environment, process))
                status = await process.wait()
                guide.cancel()
            if environment.state is State.STARTING:
                self._start_failed(environment, EXIT_ERROR, results.exit_reason(status), killed=status < 0)
            if process.pid is not None:
                self._metrics.process_ended(process.pid)
        del self._environments[environment.identity]
        left = environment.end()
        if left:
            _log.error("environment_ended", function=self.function.key, status=status, invocations=len(left))
        for invocation in left:
            if invocation.unread and not (invocation.done.done() or self._closing.is_set()):
                invocation.unread = False
                self._wait_again(invocation)
                continue
            result = results.exited(invocation.request_id, status)
            self._settle(invocation, self._with_log(environment, invocation, result), "exit")
        self._dispatch()

    async def _guide(self, environment: Environment, process: Process) -> None:
        """Bring a process from its start to its end; it may end by itself at any time."""
        try:
            async with asyncio.timeout(self._timeouts.init):
                await environment.settled.wait()
        except TimeoutError:
            reason = f"Task timed out after {self._timeouts.init:.2f} seconds"
            self._start_failed(environment, "Sandbox.Timedout", reason)
            process.kill()
            return
        if environment.init_error is not None:
            self._start_failed(environment, "", "see the function's log", reported=environment.init_error)
        else:
            await environment.drained.wait()
        if environment.overran:  # AWS does not ask it to end either
            process.kill()
        else:
            await process.stop(self._timeouts.stop)

    def _start_failed(
        self,
        environment: Environment,
        error_type: str,
        reason: str,
        *,
        reported: bytes | None = None,
        killed: bool = False,
    ) -> None:
        """Fail the invocations that waited for it, unless another environment can take them.

        They get the runtime's own error where it `reported` one. `killed`: a signal has ended the process.
        """
        environment.state = State.ENDED
        _log.error("environment_start_failed", function=self.function.key, type=error_type, reason=reason)
        if any(other.state is State.READY for other in self._environments.values()):
            return
        for invocation in list(self._waiting.values()):
            request_id = invocation.request_id
            if invocation.admitted_at > environment.started_at:
                continue
            if killed and not invocation.start_killed:
                # Wait for one more, as Lambda runs Init again after a crash ("Understanding the Lambda execution
                # environment lifecycle"): a queue's messages would stay hidden, though no handler has seen them.
                invocation.start_killed = True
            elif reported is not None:
                self._settle(invocation, results.failed_with(request_id, reported), "init_error")
            else:
                message = f"RequestId: {request_id} Error: {reason}"
                self._settle(invocation, results.failure(request_id, error_type, message), "init_error")

    async def _retire_regularly(self) -> None:
        while not self._closing.is_set():
            self.retire()
            self._dispatch()
            try:
                async with asyncio.timeout(self._timeouts.check):
                    await self._closing.wait()
            except TimeoutError:
                continue

    def retire(self) -> None:
        """Drain the environments that have been idle for long or whose credentials are about to end."""
        for environment in self._scheduler.to_retire(self._environments.values(), self._clock()):
            environment.drain()


class ThrottleLog:
    """Counts refused invocations by reason, and logs the first at once and then one line in `every` seconds."""

    def __init__(self, function: str, metrics: Metrics, clock: Callable[[], float], *, every: float = 10.0) -> None:
        self._function = function
        self._metrics = metrics
        self._clock = clock
        self._every = every
        self._logged: dict[str, tuple[float, int]] = {}  # by reason: when it was logged, and refusals since then

    def note(self, reason: str) -> None:
        """Count one refusal."""
        self._metrics.throttles.labels(self._function, reason).inc()
        now = self._clock()
        at, since = self._logged.get(reason, (-self._every, 0))
        if now - at < self._every:
            self._logged[reason] = (at, since + 1)
            return
        _log.warning("invocations_throttled", function=self._function, reason=reason, count=since + 1)
        self._logged[reason] = (now, 0)
