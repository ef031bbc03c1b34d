"""The environments of one function: invocations wait here for a slot, and environments start, retire and are replaced.

What to do is decided by `fleet.environments.scheduler` and `fleet.limits`; this module does it.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace

from fleet.environments import invocation as results
from fleet.environments.environment import Environment
from fleet.environments.invocation import Call, Invocation, InvokeResult
from fleet.environments.lifecycle import Launch, StartFailure, Timeouts, live
from fleet.environments.refusals import Refusals
from fleet.environments.scheduler import Scheduler, State
from fleet.errors import NoCapacity, Throttled
from fleet.functions import FunctionSpec
from fleet.limits.concurrency import Admission, Throttle
from fleet.metrics import Metrics
from shoebox.telemetry import get_logger

_log = get_logger(action="fleet.pool")


@dataclass(frozen=True, slots=True)
class PoolStatistics:
    """A moment of a pool: environments by state, invocations that run and that wait, environments ever started.

    `free` are slots that ask for an invocation; `oldest_wait` is how many seconds the invocation that waits longest has
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
        admission: Admission,
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
        self._refused = Refusals(function.key, metrics, clock)

    async def __aenter__(self) -> Pool:
        await self._tasks.__aenter__()
        self._tasks.create_task(self._retire_regularly())
        return self

    def stop(self) -> None:
        """Run nothing more, and end every environment; leaving the context waits for their ends."""
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
        """The pool as it is now."""
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
        """One of the environments that have not ended."""
        return self._environments.get(identity)

    @property
    def ready_slots(self) -> int:
        """Slots of the environments that take invocations, whether they run one or not."""
        return sum(e.slots for e in self._environments.values() if e.state is State.READY)

    @property
    def stopping(self) -> bool:
        """It runs nothing more, and nobody may join."""
        return self._closing.is_set()

    def join(self, launch: Launch) -> Environment:
        """Take in an environment that nobody here asked for; `launch` gives its process."""
        return self._start(launch)

    def renew(self) -> None:
        """Drain every environment, so that others with new credentials take their places."""
        for environment in self._environments.values():
            environment.drain()

    async def invoke(self, call: Call) -> InvokeResult:
        """Run `call`. A caller that stops waiting does not stop an invocation that runs.

        Raises:
            Throttled: a limit refuses it, or no slot came free in time (NoCapacity).
        """
        decision = self._admission.enter(self.function.key, self._clock(), synchronous=call.synchronous)
        if isinstance(decision, Throttle):
            self._refused.note(decision.reason)
            raise Throttled(decision.reason)
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
        """A slot of `environment` asks for an invocation.

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
        """The slot vanished before the invocation reached it: it comes first in the queue again."""
        if environment.take_back(invocation.request_id) is None:
            return
        if invocation.done.done():
            self._settle(invocation, None, "abandoned")
            return
        self._wait_again(invocation)
        self._dispatch()

    def _wait_again(self, invocation: Invocation) -> None:
        invocation.stop_timer()
        invocation.timer = asyncio.get_running_loop().call_later(self._timeouts.wait, self._give_up, invocation)
        self._waiting = {invocation.request_id: invocation, **self._waiting}

    def finish(self, environment: Environment, request_id: str, nonce: str | None, result: InvokeResult) -> None:
        """The environment has answered an invocation.

        Raises:
            UnknownRequest, TooLate: as `Environment.finish`.
        """
        invocation = environment.finish(request_id, nonce, self._clock())
        result = self._with_log(environment, invocation, result)
        self._settle(invocation, result, "error" if result.function_error else "success")

    def fail_init(self, environment: Environment, error: bytes) -> None:
        """The environment reports that it cannot start.

        Raises:
            InvalidState: as `Environment.fail_init`.
        """
        environment.fail_init(error)

    def _dispatch(self) -> None:
        while self._waiting and (environment := self._scheduler.pick(self._environments.values())):
            request_id = next(iter(self._waiting))
            self._assign(environment, self._waiting.pop(request_id))
        if self._waiting and not self._closing.is_set():
            for _ in range(
                self._scheduler.to_start(len(self._waiting), list(self._environments.values()), self._clock())
            ):
                self._start(self._launch)

    def _assign(self, environment: Environment, invocation: Invocation) -> None:
        now = self._clock()
        timeout = self.function.timeout
        invocation.stop_timer()
        invocation.started_at = now
        invocation.deadline_ms = int((time.time() + timeout) * 1000)
        loop = asyncio.get_running_loop()
        invocation.timer = loop.call_later(timeout, self._time_out, environment, invocation)
        environment.assign(invocation, now)

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
        self._refused.note("NoCapacity")
        if not invocation.done.done():
            invocation.done.set_exception(NoCapacity(self.function.key, self._timeouts.wait))

    def _time_out(self, environment: Environment, invocation: Invocation) -> None:
        environment.expire(invocation.request_id)
        result = results.timed_out(invocation.request_id, self.function.timeout)
        self._settle(invocation, self._with_log(environment, invocation, result), "timeout")
        _log.warning("timed out", function=self.function.key, request_id=invocation.request_id)

    def _start(self, launch: Launch) -> Environment:
        environment = Environment(uuid.uuid4().hex, self.function.slots, self._clock())
        self._environments[environment.identity] = environment
        self._started += 1
        self._tasks.create_task(self._live(environment, launch))
        return environment

    async def _live(self, environment: Environment, launch: Launch) -> None:
        end = await live(
            self.function, environment, launch=launch, timeouts=self._timeouts, start_failed=self._start_failed
        )
        if end.pid is not None:
            self._metrics.process_ended(end.pid)
        del self._environments[environment.identity]
        left = environment.end()
        if left:
            _log.error("environment ended", function=self.function.key, status=end.status, invocations=len(left))
        for invocation in left:
            if invocation.unread and not (invocation.done.done() or self._closing.is_set()):
                invocation.unread = False
                self._wait_again(invocation)
                continue
            result = results.exited(invocation.request_id, end.status)
            self._settle(invocation, self._with_log(environment, invocation, result), "exit")
        self._dispatch()

    def _start_failed(self, environment: Environment, failure: StartFailure) -> None:
        """Fail the invocations that waited for it, unless another environment can take them.

        If it was killed, they wait for one more, as Lambda runs Init again after a crash ("Understanding the Lambda
        execution environment lifecycle"): messages of a queue would stay hidden, though no handler has seen them.
        """
        environment.state = State.ENDED
        why = failure.message or "see the function's log"
        _log.error("environment did not start", function=self.function.key, type=failure.kind, reason=why)
        if any(other.state is State.READY for other in self._environments.values()):
            return
        for invocation in list(self._waiting.values()):
            if invocation.admitted_at > environment.started_at:
                continue
            if failure.killed and not invocation.start_killed:
                invocation.start_killed = True
            else:
                self._settle(invocation, failure.result(invocation.request_id), "init_error")

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
