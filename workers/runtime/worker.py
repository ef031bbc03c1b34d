"""One of several processes: its configuration from the supervisor, and its reports to the supervisor.

The supervisor passes a WorkerConfig in one variable. The process reports on a pipe, one line of JSON each: that it
polls, or why it cannot start. Which invocations it runs stands in memory that outlives it, so that the supervisor can
post their errors. It dies with its supervisor (Linux: prctl(2), PR_SET_PDEATHSIG).
"""

from __future__ import annotations

import ctypes
import json
import mmap
import os
import signal
import socket
import sys
import tempfile
from dataclasses import asdict, dataclass
from typing import IO, Self

from workers.runtime.errors import Failure
from workers.runtime.protocol import InFlightInvocation, Invocation

VARIABLE = "_RUNTIME_WORKER"
ENTRY_BYTES = 256
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


@dataclass(frozen=True, slots=True)
class WorkerConfig:
    """One process's share of the slots, and its inherited file descriptors."""

    number: int
    slots: int
    supervisor_pid: int
    report_fd: int
    """The pipe for its reports."""
    in_flight_fd: int
    """The file of its InFlightTable."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read it from the variable."""
        return cls(**json.loads(text))

    def text(self) -> str:
        """Write it for the variable."""
        return json.dumps(asdict(self))

    def attach(self, log_socket: str = "") -> None:
        """Die with the supervisor from now on; write to Lambda's log socket if there is one."""
        for descriptor in (self.report_fd, self.in_flight_fd):
            os.set_inheritable(descriptor, False)
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != self.supervisor_pid:  # it died before prctl, which then never signals
                os._exit(1)
        if not log_socket:
            return
        for stream in (sys.stdout, sys.stderr):
            # As AWS's client does it in its forked workers, whose output Lambda takes at this socket.
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connected:
                connected.connect(log_socket)
                os.dup2(connected.fileno(), stream.fileno())

    def in_flight_table(self) -> InFlightTable:
        """Return the table where the slots note what they run."""
        return InFlightTable(self.in_flight_fd, self.slots)

    def report_polling(self) -> None:
        """Tell that the first slot asks for invocations."""
        self._report(WorkerReport(polling=True))

    def report_init_failure(self, failure: Failure) -> None:
        """Tell why the function cannot start."""
        self._report(WorkerReport(False, failure.error_type, failure.message, tuple(failure.stack_trace)))

    def _report(self, report: WorkerReport) -> None:
        data = json.dumps(asdict(report)).encode() + b"\n"
        while data:
            data = data[os.write(self.report_fd, data) :]


@dataclass(frozen=True, slots=True)
class WorkerReport:
    """One line from a process to its supervisor: that it polls, or why it cannot start."""

    polling: bool
    error_type: str = ""
    message: str = ""
    stack: tuple[str, ...] = ()

    @classmethod
    def parse(cls, line: bytes) -> Self:
        """Read one line from the pipe."""
        return cls(**json.loads(line))

    @property
    def failure(self) -> Failure:
        """Why the process cannot start."""
        return Failure(self.error_type, self.message, stack=tuple(self.stack))


class InFlightTable:
    """The invocations that one process runs, one entry a slot, in memory shared with its supervisor.

    An entry is the lengths of request id and invocation id, then both: writing it is two copies and no system call.
    The file must stay open as long as either side has the table.
    """

    def __init__(self, file: int, slots: int) -> None:
        self._memory = mmap.mmap(file, slots * ENTRY_BYTES)
        self._slots = slots

    def entry(self, slot: int) -> InFlightEntry:
        """Return one slot's entry."""
        return InFlightEntry(self._memory, slot * ENTRY_BYTES)

    def invocations(self) -> list[InFlightInvocation]:
        """Return what the process has taken and not reported; after its end, what it left behind."""
        found = (self.entry(slot).read() for slot in range(self._slots))
        return [invocation for invocation in found if invocation is not None]

    def close(self) -> None:
        """Release the memory."""
        self._memory.close()


class InFlightEntry:
    """Where one slot notes what it runs."""

    __slots__ = ("_memory", "_start")

    def __init__(self, memory: mmap.mmap, start: int) -> None:
        self._memory = memory
        self._start = start

    def begin(self, invocation: Invocation) -> None:
        """Note that the slot has taken this invocation."""
        request_id = invocation.request_id.encode("latin-1")
        invocation_id = (invocation.invocation_id or "").encode("latin-1")
        ids = request_id + invocation_id
        if len(ids) > ENTRY_BYTES - 2:
            return  # AWS's are UUIDs; an invocation with more is left to its time-out
        start = self._start
        self._memory[start + 1 : start + 2 + len(ids)] = bytes([len(invocation_id)]) + ids
        self._memory[start] = len(request_id)  # last, so that an entry is whole or empty

    def end(self) -> None:
        """Note that the invocation is reported."""
        self._memory[self._start] = 0

    def read(self) -> InFlightInvocation | None:
        """Return what the slot runs, if anything."""
        request_id_length, invocation_id_length = self._memory[self._start], self._memory[self._start + 1]
        if not request_id_length:
            return None
        middle = self._start + 2 + request_id_length
        request_id = self._memory[self._start + 2 : middle].decode("latin-1")
        invocation_id = self._memory[middle : middle + invocation_id_length].decode("latin-1")
        return InFlightInvocation(request_id, invocation_id or None)


def in_flight_file(slots: int) -> IO[bytes]:
    """Make the file for one table; no folder shows it (Linux: it is memory only)."""
    if hasattr(os, "memfd_create"):
        file: IO[bytes] = os.fdopen(os.memfd_create("lambda-in-flight"), "r+b")
    else:
        file = tempfile.TemporaryFile()  # noqa: SIM115  # whoever calls keeps it open
    file.truncate(slots * ENTRY_BYTES)
    return file
