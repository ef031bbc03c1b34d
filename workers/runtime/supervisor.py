"""Several processes of one function: slots on several cores, for handlers whose work is Python's own.

The supervisor loads no handler. It starts the processes, starts one that ends again, answers for the invocations that
one leaves behind, and passes SIGTERM on. AWS's Python client leaves a dead process dead, and its slots lost.

- All processes fail to start: init/error once, with what the first of them said, and exit 1.
- Some fail: the others serve; the failed are tried again with growing pauses, and their lost slots are logged.
- One ends with invocations in it: each is answered with Runtime.ExitError, as Lambda does for a lone process.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable

from workers.runtime.backoff import Backoff
from workers.runtime.client import RuntimeClient, post_init_failure
from workers.runtime.drain import Drain, on_signals
from workers.runtime.failure import EXIT_ERROR, Failure, exit_reason
from workers.runtime.protocol import Endpoint
from workers.runtime.running import Unanswered, shares
from workers.runtime.worker import Ended, Worker

LONGEST_PAUSE_S = 5.0
STEADY_S = 10.0
"""A process that has polled for so long has started well: the next pause is short again."""
CLOSING_S = 3.0
"""Seconds after the drain in which a process must be gone."""

_log = logging.getLogger("runtime")
Start = Callable[[int, int], Awaitable[Worker]]


class Supervisor:
    """Keeps `processes` processes alive that share `slots` slots, until the drain."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        slots: int,
        processes: int,
        drain: float,
        start: Start = Worker.start,
    ) -> None:
        self._endpoint = endpoint
        self._shares = list(shares(slots, processes))
        self._drain_s = drain
        self._start = start
        self._drain = Drain()
        self._workers: dict[int, Worker] = {}
        self._unable: dict[int, Failure] = {}

    async def run(self) -> int:
        """Supervise until SIGTERM or until nothing can start; return the exit code."""
        with on_signals(self._drain.request), self._drain.calling(self._pass_on):
            tasks = [asyncio.create_task(self._keep(number)) for number in range(len(self._shares))]
            await self._drain.wait()
            _, late = await asyncio.wait(tasks, timeout=self._drain_s + CLOSING_S)
            if late:
                _log.warning("killing processes that outlast the drain", extra={"action": "runtime.workers_killed"})
                self._signal(signal.SIGKILL)
            await asyncio.gather(*tasks)
        return self._drain.exit_code

    async def _keep(self, number: int) -> None:
        slots = self._shares[number]
        pauses = Backoff(float("inf"), longest=LONGEST_PAUSE_S)
        while not self._drain.requested:
            try:
                worker = await self._start(number, slots)
            except OSError as error:
                ended = Ended(1, Failure.of(error), [])
            else:
                ended = await self._live(number, worker, pauses)
            await self._after(number, ended)
            await self._drain.wait(pauses.failed())

    async def _live(self, number: int, worker: Worker, pauses: Backoff) -> Ended:
        self._workers[number] = worker
        if self._drain.requested:
            worker.signal(signal.SIGTERM)
        watch = asyncio.create_task(self._watch(number, worker, pauses))
        try:
            return await worker.ended()
        finally:
            watch.cancel()
            del self._workers[number]

    async def _watch(self, number: int, worker: Worker, pauses: Backoff) -> None:
        await worker.polls.wait()
        self._unable.pop(number, None)
        extra = {"action": "runtime.worker_polls", "worker": number, "slots": self._shares[number], "pid": worker.pid}
        _log.info("worker polls", extra=extra)
        await asyncio.sleep(STEADY_S)
        pauses.succeeded()

    async def _after(self, number: int, ended: Ended) -> None:
        """Answer for the process, and say what its end means."""
        for invocation in ended.unanswered:
            await self._fail(invocation, exit_reason(ended.status))
        if self._drain.requested:
            if ended.status not in (0, -signal.SIGTERM):  # the signal ends one that was still starting
                self._drain.exit_code = 1
            return
        lost = {"worker": number, "status": ended.status, "slots": self._shares[number]}
        if ended.failure is not None:
            self._unable[number] = ended.failure
            action = {"action": "runtime.worker_unable", **ended.failure.fields()}
            _log.error("worker cannot start, its slots are lost", extra=action | lost)
            if len(self._unable) == len(self._shares):
                await self._give_up()
            return
        extra = {"action": "runtime.worker_ended", "invocations": len(ended.unanswered)}
        _log.error("worker ended, its slots are lost until it polls again", extra=extra | lost)

    async def _give_up(self) -> None:
        failure = next(iter(self._unable.values()))
        _log.critical("the function cannot start", extra={"action": "runtime.unable", **failure.fields()})
        await post_init_failure(self._endpoint, failure)
        self._drain.request(1)

    async def _fail(self, invocation: Unanswered, reason: str) -> None:
        client = RuntimeClient(self._endpoint)
        await client.fail(invocation, Failure(EXIT_ERROR, f"RequestId: {invocation.request_id} Error: {reason}"))
        client.close()

    def _pass_on(self) -> None:
        self._signal(signal.SIGTERM)

    def _signal(self, number: signal.Signals) -> None:
        for worker in self._workers.values():
            worker.signal(number)
