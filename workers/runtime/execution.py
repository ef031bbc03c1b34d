"""One handler call as a task, stopped before its deadline.

`margin` before the deadline the task is cancelled. It then has half of the margin to clean up, and may still answer;
the other half is kept for posting. A task that outlives even that is leaked: its slot no longer waits for it. A lone
one may answer until its deadline and `overrun` seconds later is to end the process: Lambda kills it at the deadline.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace

from workers.runtime.context import Context
from workers.runtime.errors import DeadlineExceeded, HandlerLeaked, InvocationFault
from workers.runtime.failure import Failure


@dataclass(frozen=True, slots=True)
class Answer:
    """What the handler returned, ready to post."""

    body: bytes
    content_type: str


@dataclass(frozen=True, slots=True)
class Streamed:
    """The handler has sent its answer in parts; what is left is to close the stream."""


Outcome = Answer | Streamed | Failure


class Execution:
    """Runs `coroutine` under the context's deadline, less `margin` seconds; `wait` once for its outcome.

    The coroutine gives an Outcome and raises nothing but CancelledError. `on_leak` gets the task that runs on.
    """

    def __init__(
        self,
        coroutine: Coroutine[None, None, Outcome],
        context: Context,
        *,
        margin: float,
        overrun: float | None = None,
        on_leak: Callable[[asyncio.Task[Outcome]], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._coroutine = coroutine
        self._task = self._loop.create_task(self._run())
        self._patience = margin / 2 if overrun is None else margin + overrun
        self._ends_process = overrun is not None
        self._on_leak = on_leak
        self._stopped_by: InvocationFault | None = None
        seconds = context.get_remaining_time_in_millis() / 1000 - margin
        self._timer = self._loop.call_later(seconds, self._deadline, seconds)

    async def wait(self) -> Outcome:
        """The outcome, at the latest half the margin before the deadline or after `stop`; a lone handler's later."""
        try:
            await self._ended
        finally:
            self._timer.cancel()
        if not self._task.done():
            self._on_leak(self._task)
            fault = HandlerLeaked(f"{self._stopped_by}; the handler ignored its cancellation and runs on")
            return replace(Failure.of(fault), exit_code=1 if self._ends_process else None)
        try:
            return self._task.result()
        except asyncio.CancelledError as cancelled:
            self._coroutine.close()  # if it never began
            return self._cancelled(cancelled)

    def stop(self, fault: InvocationFault) -> None:
        """Cancel the handler now; `fault` is why."""
        if self._stopped_by is not None or self._task.done():
            return
        self._stopped_by = fault
        self._timer.cancel()
        self._timer = self._loop.call_later(self._patience, self._finish)
        self._task.add_done_callback(self._finish)  # a task that never began ends without `_run`
        self._task.cancel()

    def _deadline(self, seconds: float) -> None:
        self.stop(DeadlineExceeded(f"Task timed out after {max(seconds, 0):.2f} seconds"))

    async def _run(self) -> Outcome:
        try:
            return await self._coroutine
        finally:
            self._finish()  # a done callback would take one more turn of the loop

    def _finish(self, _: object = None) -> None:
        if not self._ended.done():
            self._ended.set_result(None)

    def _cancelled(self, cancelled: asyncio.CancelledError) -> Failure:
        if self._stopped_by is None:  # the handler cancelled itself
            return Failure.of(cancelled)
        self._stopped_by.__cause__ = cancelled
        return Failure.of(self._stopped_by)
