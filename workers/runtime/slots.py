"""The poll loops: many invocations in one process, each slot asking for its next.

A slot is `next`, handler, post, over its own connection, and never ends because of one invocation. Slot 0 polls
first, for the first `next` tells Lambda that the environment is ready; the others follow at once.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import aclosing, nullcontext
from dataclasses import dataclass, replace

from workers.runtime.backoff import Backoff
from workers.runtime.callers import Caller
from workers.runtime.client import RuntimeClient
from workers.runtime.context import Context, FunctionDescription, alone, current_context
from workers.runtime.drain import Drain
from workers.runtime.errors import InvocationFault, PollAbandoned, RuntimeApiError, ShutDown
from workers.runtime.execution import Answer, Execution, Outcome, Streamed
from workers.runtime.failure import EXIT_ERROR, Failure
from workers.runtime.marshal import marshal, unmarshal
from workers.runtime.protocol import Endpoint, Invocation
from workers.runtime.response_stream import ResponseStream
from workers.runtime.running import NoRow, Row
from workers.runtime.streaming import StreamingResponse
from workers.runtime.transport import RECEIVE_BUFFER_BYTES

OVERRUN_S = 1.0
"""How long after its deadline a lone handler may still run before the process ends itself; Lambda kills it sooner."""

_log = logging.getLogger("runtime")


@dataclass(frozen=True, slots=True)
class SlotsStatistics:
    """What the slots do now, and have done."""

    slots: int
    running: int
    """Slots with an invocation."""
    answered: int
    failed: int
    leaked: int
    """Handlers that outlived their deadline and still run."""


@dataclass(frozen=True, slots=True)
class SlotsSettings:
    """How the slots behave. Times are seconds."""

    endpoint: Endpoint
    slots: int = 1
    margin: float = 0.2
    """How long before its deadline a handler is cancelled."""
    drain: float = 10.0
    """How long running invocations may go on when the environment ends."""
    reconnect: float = 30.0
    """How long the Runtime API may be out of reach."""
    alone: bool = False
    """Whether the environment runs one invocation at a time, as Lambda's other runtimes know it.

    Then the trace also goes into `os.environ`, and a handler that outlives its deadline takes the process with it: in
    Lambda it would be killed by then, and beside it no other invocation must run.
    """


class Slots:
    """Runs a function's slots until `drain` is requested.

    `rows` gives each slot a place to note what it runs; `on_polling` is called when the first slot has polled.
    """

    def __init__(
        self,
        settings: SlotsSettings,
        function: FunctionDescription,
        new_caller: Callable[[], Caller],
        drain: Drain,
        *,
        rows: Callable[[int], Row] = lambda _: NoRow(),
        on_polling: Callable[[], None] = lambda: None,
    ) -> None:
        self._settings = settings
        self._drain = drain
        self._on_polling = on_polling
        self._leaks: set[asyncio.Task[Outcome]] = set()
        buffer = bytearray(RECEIVE_BUFFER_BYTES)
        self._slots = [
            Slot(
                RuntimeClient(settings.endpoint, buffer),
                function,
                new_caller(),
                drain,
                margin=settings.margin,
                backoff=Backoff(settings.reconnect),
                on_leak=self._leaked,
                row=rows(number),
                alone=settings.alone,
            )
            for number in range(settings.slots)
        ]

    @property
    def statistics(self) -> SlotsStatistics:
        """A snapshot."""
        return SlotsStatistics(
            slots=len(self._slots),
            running=sum(slot.running for slot in self._slots),
            answered=sum(slot.answered for slot in self._slots),
            failed=sum(slot.failed for slot in self._slots),
            leaked=len(self._leaks),
        )

    async def run(self) -> None:
        """Poll and handle until the drain; then let running invocations end, or cancel them when its time is up."""
        first, *rest = self._slots
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(first.run())]
            await first.polling.wait()
            self._on_polling()
            tasks += [group.create_task(slot.run()) for slot in rest]
            await self._drain.wait()
            for slot in self._slots:
                slot.stop_polling()
            _, late = await asyncio.wait(tasks, timeout=self._settings.drain)
            if late:
                _log.warning("cancelling %d invocations that outlast the drain", self.statistics.running)
                self._stop_running()

    def _stop_running(self) -> None:
        for slot in self._slots:
            slot.stop_running(ShutDown("The execution environment shut down before the handler ended"))

    def _leaked(self, task: asyncio.Task[Outcome]) -> None:
        since = time.monotonic()
        context = current_context.get()
        request_id = context.aws_request_id if context else None
        rest = "the process ends" if self._settings.alone else "the slot goes on without it"
        _log.error("handler leaked: it ignored its cancellation; %s", rest)

        def ended(task: asyncio.Task[Outcome]) -> None:
            self._leaks.discard(task)
            late = round(time.monotonic() - since, 1)
            _log.warning("leaked handler ended", extra={"requestId": request_id, "lateBySeconds": late})

        self._leaks.add(task)
        task.add_done_callback(ended)


class Slot:
    """One poll loop: at most one invocation at a time."""

    def __init__(
        self,
        client: RuntimeClient,
        function: FunctionDescription,
        caller: Caller,
        drain: Drain,
        *,
        margin: float,
        backoff: Backoff,
        on_leak: Callable[[asyncio.Task[Outcome]], None],
        row: Row,
        alone: bool = False,
    ) -> None:
        self.polling = asyncio.Event()
        """Set with the first `next`, or when there will be none."""
        self.answered = 0
        self.failed = 0
        self._client = client
        self._function = function
        self._caller = caller
        self._drain = drain
        self._margin = margin
        self._backoff = backoff
        self._on_leak = on_leak
        self._row = row
        self._alone = alone
        self._execution: Execution | None = None

    @property
    def running(self) -> bool:
        """Whether a handler runs in this slot."""
        return self._execution is not None

    async def run(self) -> None:
        """Poll and handle until the drain."""
        try:
            while (invocation := await self._poll()) is not None:
                self._row.begin(invocation)
                await self._handle(invocation)
                self._row.end()
        finally:
            self.polling.set()
            self._client.close()
            self._caller.close()

    def stop_polling(self) -> None:
        """Take no further invocation."""
        self._client.stop_polling()

    def stop_running(self, fault: InvocationFault) -> None:
        """Cancel the running handler, if any."""
        if self._execution is not None:
            self._execution.stop(fault)

    async def _poll(self) -> Invocation | None:
        while not self._drain.requested:
            try:
                if not self.polling.is_set():
                    await self._client.open()
                    self.polling.set()  # the next line sends before anyone else runs
                invocation = await self._client.next()
            except PollAbandoned:
                return None
            except RuntimeApiError as error:
                await self._back_off(error)
            else:
                self._backoff.succeeded()
                return invocation
        return None

    async def _back_off(self, error: RuntimeApiError) -> None:
        delay = self._backoff.failed()
        if delay is None:
            _log.critical("the Runtime API is out of reach, giving up: %s", error)
            self._drain.request(exit_code=1)
            return
        _log.warning("next failed, trying again in %.2f s: %s", delay, error)
        await self._drain.wait(delay)

    async def _handle(self, invocation: Invocation) -> None:
        stream = self._client.stream(invocation)
        try:
            context = self._function.context(invocation)
        except InvocationFault as fault:
            await self._fail(invocation, Failure.of(fault), stream)
            return
        token = current_context.set(context)
        try:
            with alone(context) if self._alone else nullcontext():
                await self._post(invocation, await self._execute(invocation, context, stream), stream)
        finally:
            current_context.reset(token)

    async def _execute(self, invocation: Invocation, context: Context, stream: ResponseStream) -> Outcome:
        call = call_handler(self._caller, invocation, context, stream)
        self._execution = Execution(
            call, context, margin=self._margin, overrun=OVERRUN_S if self._alone else None, on_leak=self._leaked
        )
        try:
            return await self._execution.wait()
        finally:
            self._execution = None

    def _leaked(self, task: asyncio.Task[Outcome]) -> None:
        self._caller.replace()
        self._on_leak(task)

    async def _post(self, invocation: Invocation, outcome: Outcome, stream: ResponseStream) -> None:
        if isinstance(outcome, Failure):
            await self._fail(invocation, outcome, stream)
            return
        self.answered += 1
        if isinstance(outcome, Answer):
            await self._client.respond(invocation, outcome.body, outcome.content_type)
        else:
            await self._client.end_stream(stream)

    async def _fail(self, invocation: Invocation, failure: Failure, stream: ResponseStream) -> None:
        self.failed += 1
        if failure.error_type == EXIT_ERROR:
            failure = replace(failure, message=f"RequestId: {invocation.request_id} Error: {failure.message}")
        _log.error("invocation failed", extra=failure.fields() | {"requestId": invocation.request_id})
        if stream.begun:
            await self._client.end_stream(stream, failure)
        else:
            stream.abandon()
            await self._client.fail(invocation, failure)
        if failure.exit_code is not None:
            self._drain.request(exit_code=failure.exit_code)


async def call_handler(caller: Caller, invocation: Invocation, context: Context, stream: ResponseStream) -> Outcome:
    """Event in, outcome out: the one place where whatever a handler raises becomes a Failure."""
    try:
        answer = await caller(unmarshal(invocation.body, invocation.content_type), context)
        if (streaming := StreamingResponse.of(answer)) is None:
            return Answer(*marshal(answer))
        stream.open(streaming.wire_type)
        await send_parts(streaming, stream)
        return Streamed()
    except asyncio.CancelledError:
        raise
    except BaseException as error:  # noqa: BLE001  # nothing that a handler raises may end the slot
        return Failure.of(error)


async def send_parts(response: StreamingResponse, stream: ResponseStream) -> None:
    """Send the body as it is made, until its end or until nobody takes more of it."""
    async with aclosing(response.parts()) as parts:
        async for part in parts:
            if not await stream.send(part):
                return
