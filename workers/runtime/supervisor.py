"""Several processes of one function: slots on several cores, for handlers whose work is Python's own.

The supervisor loads no handler. It starts the processes, restarts one that ends, posts errors for the invocations that
one left without a response, and passes SIGTERM on. AWS's Python client does not restart a process.

- All processes fail to start: init/error once, with what the first of them said, and exit 1.
- Some fail: the others serve; the failed are tried again with growing delays, and their lost slots are logged.
- One ends with invocations in it: each fails with Runtime.ExitError, as Lambda does where a function has one process.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from contextlib import suppress
from dataclasses import dataclass
from typing import IO

from workers.runtime.client import Backoff, RuntimeClient, post_init_failure
from workers.runtime.drain import Drain, on_signals
from workers.runtime.errors import EXIT_ERROR, Failure, exit_reason
from workers.runtime.protocol import Endpoint, InFlightInvocation
from workers.runtime.worker import VARIABLE, InFlightTable, WorkerConfig, WorkerReport, in_flight_file

MAX_RESTART_DELAY_S = 5.0
STEADY_S = 10.0
"""A process that has polled for so long has started well: the next delay is short again."""
CLOSING_S = 3.0
"""Seconds after the drain in which a process must be gone."""
LAST_REPORT_TIMEOUT_S = 0.5
"""How long a report of a process that has ended may still take to arrive."""
MAX_REPORT_BYTES = 2**20

_log = logging.getLogger("runtime")


def split_slots(slots: int, processes: int) -> list[int]:
    """Return how many slots each process gets: as even as whole numbers can be, at least one each."""
    whole, rest = divmod(slots, processes)
    return [whole + (number < rest) for number in range(processes)]


class Supervisor:
    """Keeps `processes` processes alive that share `slots` slots, until the drain, which takes `drain` seconds."""

    def __init__(self, endpoint: Endpoint, *, slots: int, processes: int, drain: float) -> None:
        self._endpoint = endpoint
        self._slots = split_slots(slots, processes)
        self._drain_s = drain
        self._drain = Drain()
        self._workers: dict[int, WorkerProcess] = {}
        self._init_failures: dict[int, Failure] = {}
        """Of the processes that could not start; those that poll are taken out."""

    async def run(self) -> int:
        """Supervise until SIGTERM or until nothing can start; return the exit code."""
        with on_signals(self._drain.request), self._drain.on_request(lambda: self._signal_all(signal.SIGTERM)):
            tasks = [asyncio.create_task(self._keep_alive(number)) for number in range(len(self._slots))]
            await self._drain.wait()
            _, late = await asyncio.wait(tasks, timeout=self._drain_s + CLOSING_S)
            if late:
                _log.warning("workers_killed", extra={"workers": sorted(self._workers), "reason": "drain timed out"})
                self._signal_all(signal.SIGKILL)
            await asyncio.gather(*tasks)
        return self._drain.exit_code

    async def _keep_alive(self, number: int) -> None:
        """Start one process again and again, and clean up after each end of it."""
        backoff = Backoff(float("inf"), max_delay=MAX_RESTART_DELAY_S)
        while not self._drain.requested:
            try:
                worker = await WorkerProcess.start(number, self._slots[number])
            except OSError as error:
                ended = WorkerExit(1, Failure.of(error), [])
            else:
                self._workers[number] = worker
                if self._drain.requested:  # while it was started, so that the signal was not passed on to it
                    worker.signal(signal.SIGTERM)
                watch = asyncio.create_task(self._watch(number, worker, backoff))
                try:
                    ended = await worker.wait()
                finally:
                    watch.cancel()
                    del self._workers[number]
            for invocation in ended.in_flight:
                message = f"RequestId: {invocation.request_id} Error: {exit_reason(ended.status)}"
                client = RuntimeClient(self._endpoint)
                await client.fail(invocation, Failure(EXIT_ERROR, message))
                client.close()
            await self._report_exit(number, ended)
            await self._drain.wait(backoff.failed())

    async def _watch(self, number: int, worker: WorkerProcess, backoff: Backoff) -> None:
        await worker.polling.wait()
        self._init_failures.pop(number, None)
        _log.info("worker_started", extra={"worker": number, "slots": self._slots[number], "pid": worker.pid})
        await asyncio.sleep(STEADY_S)
        backoff.succeeded()

    async def _report_exit(self, number: int, ended: WorkerExit) -> None:
        """Log what a process's end means: nothing in a drain, lost slots, or that the function cannot start."""
        if self._drain.requested:
            if ended.status not in (0, -signal.SIGTERM):  # the signal ends one that was still starting
                self._drain.exit_code = 1
            return
        extra = {"worker": number, "status": ended.status, "slots": self._slots[number]}
        if ended.failure is None:
            _log.error("worker_ended", extra=extra | {"invocations": len(ended.in_flight)})
            return
        self._init_failures[number] = ended.failure
        _log.error("worker_start_failed", extra=extra | ended.failure.fields())
        if len(self._init_failures) == len(self._slots):
            first = next(iter(self._init_failures.values()))
            _log.critical("function_start_failed", extra=first.fields())
            await post_init_failure(self._endpoint, first)
            self._drain.request(1)

    def _signal_all(self, number: signal.Signals) -> None:
        for worker in self._workers.values():
            worker.signal(number)


@dataclass(frozen=True, slots=True)
class WorkerExit:
    """How a process ended. `failure` is set if it never polled; `status` is as `Process.returncode`."""

    status: int
    failure: Failure | None
    in_flight: list[InFlightInvocation]
    """Invocations that it left without a response."""


class WorkerProcess:
    """One of the processes, as the supervisor handles it: start, reports, signals, exit."""

    def __init__(
        self, process: asyncio.subprocess.Process, reports: asyncio.StreamReader, in_flight: IO[bytes], slots: int
    ) -> None:
        self.polling = asyncio.Event()
        """Set when it has asked for its first invocation."""
        self._process = process
        self._reports = reports
        self._in_flight = in_flight
        self._slots = slots
        self._failure: Failure | None = None

    @classmethod
    async def start(cls, number: int, slots: int) -> WorkerProcess:
        """Run this very program once more, as a worker. Raises OSError."""
        read_end, write_end = os.pipe()
        in_flight = in_flight_file(slots)
        config = WorkerConfig(number, slots, os.getpid(), write_end, in_flight.fileno())
        try:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, *sys.orig_argv[1:]),
                env={**os.environ, VARIABLE: config.text()},
                pass_fds=(write_end, in_flight.fileno()),
            )
        except BaseException:
            # The start is tried again and again: each attempt would leave two descriptors open, until there are none.
            os.close(read_end)
            in_flight.close()
            raise
        finally:
            os.close(write_end)
        reports = asyncio.StreamReader(MAX_REPORT_BYTES)
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reports), os.fdopen(read_end, "rb", buffering=0)
        )
        return cls(process, reports, in_flight, slots)

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        with suppress(ProcessLookupError):
            self._process.send_signal(number)

    async def wait(self) -> WorkerExit:
        """Take its reports until it ends; return how it ended."""
        listening = asyncio.create_task(self._take_reports())
        status = await self._process.wait()
        await asyncio.wait({listening}, timeout=LAST_REPORT_TIMEOUT_S)
        listening.cancel()  # something that it started may hold its pipe open
        table = InFlightTable(self._in_flight.fileno(), self._slots)
        in_flight = table.invocations()
        table.close()
        self._in_flight.close()
        # One that crashed has reported nothing.
        failure = None if self.polling.is_set() else self._failure or Failure(EXIT_ERROR, exit_reason(status))
        return WorkerExit(status, failure, in_flight)

    async def _take_reports(self) -> None:
        while line := await self._reports.readline():
            report = WorkerReport.parse(line)
            if report.polling:
                self.polling.set()
            else:
                self._failure = report.failure
