"""The poll loops: many invocations in one process, each slot asking for its next.

The way of one invocation, all of it in `Slot`: `run` polls; `_handle` makes the context and bounds the handler by its
deadline; `_call_handler` turns the event into an outcome; `_report` posts that. No invocation ends a slot. Slot 0 polls
first, for the first `next` tells Lambda that the environment is ready; the others follow at once.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from contextlib import aclosing, nullcontext
from dataclasses import dataclass, replace
from functools import partial

from workers.runtime.client import Backoff, RuntimeClient
from workers.runtime.context import Context, FunctionDescription, current_context, process_wide
from workers.runtime.drain import Drain
from workers.runtime.errors import (
    EXIT_ERROR,
    DeadlineExceeded,
    Failure,
    HandlerLeaked,
    InvocationFault,
    PollAbandoned,
    RuntimeApiError,
    ShutDown,
)
from workers.runtime.handlers import Caller
from workers.runtime.marshal import marshal, unmarshal
from workers.runtime.protocol import Invocation
from workers.runtime.settings import SlotsSettings
from workers.runtime.streaming import ResponseStream, StreamingResponse
from workers.runtime.transport import RECEIVE_BUFFER_BYTES
from workers.runtime.worker import InFlightEntry, WorkerConfig

OVERRUN_S = 1.0
"""How long after its deadline the only handler may still run before the process ends itself; Lambda kills it sooner."""

_log = logging.getLogger("runtime")


@dataclass(frozen=True, slots=True)
class BufferedResponse:
    """What the handler returned, ready to post in one piece (Lambda's invoke mode BUFFERED)."""

    body: bytes
    content_type: str


Outcome = BufferedResponse | ResponseStream | Failure
"""How a handler call ended; a stream is still to be closed."""


@dataclass(frozen=True, slots=True)
class SlotsStatistics:
    """What the slots do now, and have done."""

    slots: int
    running: int
    """Slots with an invocation."""
    succeeded: int
    failed: int
    leaked: int
    """Handlers that outlived their deadline and still run."""


class Slots:
    """Runs a function's slots until `drain` is requested; `worker` if this process is one of several."""

    def __init__(
        self,
        settings: SlotsSettings,
        function: FunctionDescription,
        new_caller: Callable[[], Caller],
        drain: Drain,
        worker: WorkerConfig | None = None,
    ) -> None:
        self._settings = settings
        self._drain = drain
        self._worker = worker
        table = worker.in_flight_table() if worker is not None else None
        buffer = bytearray(RECEIVE_BUFFER_BYTES)
        self._slots = [
            Slot(settings, function, new_caller(), drain, buffer, table.entry(number) if table is not None else None)
            for number in range(settings.slots)
        ]

    @property
    def statistics(self) -> SlotsStatistics:
        """A snapshot."""
        return SlotsStatistics(
            slots=len(self._slots),
            running=sum(slot.running for slot in self._slots),
            succeeded=sum(slot.succeeded for slot in self._slots),
            failed=sum(slot.failed for slot in self._slots),
            leaked=sum(len(slot.leaks) for slot in self._slots),
        )

    async def run(self) -> None:
        """Poll and handle until the drain; then let running invocations end, or cancel them when its time is up."""
        first, *rest = self._slots
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(first.run())]
            await first.polling.wait()
            if self._worker is not None:
                self._worker.report_polling()
            tasks += [group.create_task(slot.run()) for slot in rest]
            await self._drain.wait()
            for slot in self._slots:
                slot.stop_polling()
            _, late = await asyncio.wait(tasks, timeout=self._settings.drain)
            if late:
                _log.warning("invocations_cancelled", extra={"invocations": self.statistics.running})
                for slot in self._slots:
                    slot.cancel(ShutDown("The execution environment shut down before the handler ended"))


class Slot:
    """One poll loop: at most one invocation at a time, over its own connection.

    `receive_buffer` is shared by all slots of the loop. `entry` is where the supervisor learns what runs, if there is
    one.
    """

    def __init__(
        self,
        settings: SlotsSettings,
        function: FunctionDescription,
        caller: Caller,
        drain: Drain,
        receive_buffer: bytearray,
        entry: InFlightEntry | None,
    ) -> None:
        self.polling = asyncio.Event()
        """Set with the first `next`, or when there will be none."""
        self.succeeded = 0
        self.failed = 0
        self.leaks: set[asyncio.Task[Outcome]] = set()
        """Handlers that outlived their deadline and still run."""
        self._settings = settings
        self._function = function
        self._caller = caller
        self._drain = drain
        self._client = RuntimeClient(settings.endpoint, receive_buffer)
        self._backoff = Backoff(settings.reconnect)
        self._entry = entry
        self._execution: Execution | None = None

    @property
    def running(self) -> bool:
        """Whether a handler runs in this slot."""
        return self._execution is not None

    def stop_polling(self) -> None:
        """Take no further invocation."""
        self._client.stop_polling()

    def cancel(self, fault: InvocationFault) -> None:
        """Cancel the running handler, if any; `fault` is why."""
        if self._execution is not None:
            self._execution.cancel(fault)

    async def run(self) -> None:
        """Poll and handle until the drain."""
        try:
            while (invocation := await self._next()) is not None:
                if self._entry is None:
                    await self._handle(invocation)
                else:
                    self._entry.begin(invocation)
                    await self._handle(invocation)
                    self._entry.end()
        finally:
            self.polling.set()
            self._client.close()
            self._caller.close()

    async def _next(self) -> Invocation | None:
        """Wait for the next invocation, however often that fails; None: there will be none."""
        while not self._drain.requested:
            try:
                if not self.polling.is_set():
                    await self._client.open()
                    self.polling.set()  # the next line sends before any other slot runs
                invocation = await self._client.next()
            except PollAbandoned:
                return None
            except RuntimeApiError as error:
                delay = self._backoff.failed()
                if delay is None:
                    _log.critical("runtime_api_lost", extra={"errorMessage": str(error)})
                    self._drain.request(exit_code=1)
                else:
                    _log.warning("next_failed", extra={"reason": str(error), "retryAfterSeconds": delay})
                    await self._drain.wait(delay)
            else:
                self._backoff.succeeded()
                return invocation
        return None

    async def _handle(self, invocation: Invocation) -> None:
        """Run the handler until its deadline, and report how that ended."""
        stream = self._client.stream(invocation)
        try:
            context = self._function.context(invocation)
        except InvocationFault as fault:
            await self._report(invocation, Failure.of(fault), stream)
            return
        token = current_context.set(context)
        try:
            with process_wide(context) if self._settings.single_concurrency else nullcontext():
                call = partial(self._call_handler, invocation, context, stream)
                self._execution = Execution(call, context, self._settings, self._leaked)
                try:
                    outcome = await self._execution.wait()
                finally:
                    self._execution = None
                await self._report(invocation, outcome, stream)
        finally:
            current_context.reset(token)

    async def _call_handler(self, invocation: Invocation, context: Context, stream: ResponseStream) -> Outcome:
        """Event in, outcome out: the one place where whatever a handler raises becomes a Failure."""
        try:
            returned = await self._caller(unmarshal(invocation.body, invocation.content_type), context)
            if (response := StreamingResponse.of(returned)) is None:
                return BufferedResponse(*marshal(returned))
            stream.open(response.wire_type)
            async with aclosing(response.parts()) as parts:
                async for part in parts:
                    if not await stream.send(part):
                        break
            return stream
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001  # nothing that a handler raises may end the slot
            return Failure.of(error)

    async def _report(self, invocation: Invocation, outcome: Outcome, stream: ResponseStream) -> None:
        """Post the response or the failure; a stream that has begun is closed with it."""
        if isinstance(outcome, BufferedResponse):
            self.succeeded += 1
            await self._client.respond(invocation, outcome.body, outcome.content_type)
            return
        if isinstance(outcome, ResponseStream):
            self.succeeded += 1
            await self._client.end_stream(stream)
            return
        self.failed += 1
        if outcome.error_type == EXIT_ERROR:  # in Lambda's words
            outcome = replace(outcome, message=f"RequestId: {invocation.request_id} Error: {outcome.message}")
        _log.error("invocation_failed", extra=outcome.fields() | {"requestId": invocation.request_id})
        if stream.begun:
            await self._client.end_stream(stream, outcome)
        else:
            stream.abandon()
            await self._client.fail(invocation, outcome)
        if outcome.exit_code is not None:
            self._drain.request(exit_code=outcome.exit_code)

    def _leaked(self, task: asyncio.Task[Outcome]) -> None:
        """Go on without a handler that ignored its cancellation, and log its end, should it come."""
        self._caller.abandon_call()
        since = time.monotonic()
        context = current_context.get()
        request_id = context.aws_request_id if context else None
        _log.error("handler_leaked", extra={"processEnds": self._settings.single_concurrency})

        def ended(task: asyncio.Task[Outcome]) -> None:
            self.leaks.discard(task)
            late = round(time.monotonic() - since, 1)
            _log.warning("leaked_handler_ended", extra={"requestId": request_id, "lateBySeconds": late})

        self.leaks.add(task)
        task.add_done_callback(ended)


class Execution:
    """One handler call as a task that is cancelled before the context's deadline; `wait` once for its outcome.

    `settings.margin` before the deadline the task is cancelled. It then has half of the margin to clean up, and may
    still return something; the other half is kept for posting. A task that outlives even that is leaked: it is given to
    `on_leak`, and `wait` returns without it. With single concurrency the task may go on until its deadline, when
    Lambda kills the process; where nothing does, its Failure ends the process OVERRUN_S later.

    `call` gives an Outcome and raises nothing but CancelledError.
    """

    def __init__(
        self,
        call: Callable[[], Coroutine[None, None, Outcome]],
        context: Context,
        settings: SlotsSettings,
        on_leak: Callable[[asyncio.Task[Outcome]], None],
    ) -> None:
        self._call = call
        self._settings = settings
        self._on_leak = on_leak
        self._cancelled_by: InvocationFault | None = None
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._task = self._loop.create_task(self._run())
        seconds = context.get_remaining_time_in_millis() / 1000 - settings.margin
        self._timer = self._loop.call_later(seconds, self._reach_deadline, seconds)

    def cancel(self, fault: InvocationFault) -> None:
        """Cancel the handler now; `fault` is why."""
        if self._cancelled_by is not None or self._task.done():
            return
        self._cancelled_by = fault
        self._timer.cancel()
        margin = self._settings.margin
        grace = margin + OVERRUN_S if self._settings.single_concurrency else margin / 2
        self._timer = self._loop.call_later(grace, self._end)
        self._task.add_done_callback(self._end)  # a task that is cancelled before it began never enters `_run`
        self._task.cancel()

    async def wait(self) -> Outcome:
        """Return the outcome, at the latest half the margin before the deadline; a leaked single handler's later."""
        try:
            await self._ended
        finally:
            self._timer.cancel()
        if not self._task.done():
            self._on_leak(self._task)
            fault = HandlerLeaked(f"{self._cancelled_by}; the handler ignored its cancellation and runs on")
            return replace(Failure.of(fault), exit_code=1 if self._settings.single_concurrency else None)
        try:
            return self._task.result()
        except asyncio.CancelledError as cancelled:
            if self._cancelled_by is None:  # the handler cancelled itself
                return Failure.of(cancelled)
            self._cancelled_by.__cause__ = cancelled  # its traceback shows where the handler was
            return Failure.of(self._cancelled_by)

    async def _run(self) -> Outcome:
        try:
            return await self._call()
        finally:
            self._end()  # a done callback would take one more turn of the loop

    def _reach_deadline(self, seconds: float) -> None:
        self.cancel(DeadlineExceeded(f"Task timed out after {max(seconds, 0):.2f} seconds"))

    def _end(self, _: object = None) -> None:
        if not self._ended.done():
            self._ended.set_result(None)
