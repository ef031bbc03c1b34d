"""A process's place among several: what its supervisor gave it, and what it tells its supervisor.

The supervisor passes a Seat in one variable. The process reports on a pipe, one line of JSON each: that it polls, or
why it cannot start. It dies with its supervisor (Linux: prctl(2), PR_SET_PDEATHSIG).
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import sys
from dataclasses import asdict, dataclass
from typing import Self

from workers.runtime.failure import Failure
from workers.runtime.running import RunningTable

VARIABLE = "_RUNTIME_SEAT"
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


@dataclass(frozen=True, slots=True)
class Seat:
    """One process's share. `reports` and `running` are inherited file descriptors."""

    number: int
    slots: int
    supervisor: int
    """Its process id."""
    reports: int
    running: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """From the variable."""
        return cls(**json.loads(text))

    def text(self) -> str:
        """For the variable."""
        return json.dumps(asdict(self))

    def take(self, log_socket: str = "") -> None:
        """Die with the supervisor from now on; write to Lambda's log socket if there is one."""
        for file in (self.reports, self.running):
            os.set_inheritable(file, False)
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != self.supervisor:
                os._exit(1)
        if log_socket:
            for stream in (sys.stdout, sys.stderr):
                _redirect(stream.fileno(), log_socket)

    def table(self) -> RunningTable:
        """Where to note what runs."""
        return RunningTable(self.running, self.slots)

    def polls(self) -> None:
        """Tell that the first slot asks for invocations."""
        self._report(Report(polls=True))

    def cannot_start(self, failure: Failure) -> None:
        """Tell why the function cannot start."""
        self._report(Report(error_type=failure.error_type, message=failure.message, stack=tuple(failure.stack_trace)))

    def _report(self, report: Report) -> None:
        data = json.dumps(asdict(report)).encode() + b"\n"
        while data:
            data = data[os.write(self.reports, data) :]


@dataclass(frozen=True, slots=True)
class Report:
    """One line from a process to its supervisor."""

    polls: bool = False
    error_type: str = ""
    message: str = ""
    stack: tuple[str, ...] = ()

    @classmethod
    def parse(cls, line: bytes) -> Self:
        """From the pipe."""
        return cls(**json.loads(line))

    @property
    def failure(self) -> Failure:
        """Why the process cannot start."""
        return Failure(self.error_type, self.message, stack=tuple(self.stack))


def _redirect(stream: int, path: str) -> None:
    """As AWS's client does it in its forked workers, whose output Lambda takes at this socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connected:
        connected.connect(path)
        os.dup2(connected.fileno(), stream)
