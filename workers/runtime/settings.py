"""What the environment's variables say, read once, with all problems reported together.

| variable | meaning, default |
|---|---|
| `AWS_LAMBDA_RUNTIME_API` | `host:port`, or `host:port/path`; needed |
| `_HANDLER`, or the first argument | `package.module.attribute`; needed |
| `LAMBDA_TASK_ROOT` | where the function's code lies; searched first for modules |
| `AWS_LAMBDA_MAX_CONCURRENCY` | slots, 1 to 1600 (Lambda's own range); 1 |
| `RUNTIME_PROCESSES` | processes that share the slots, 1 to 64, at most one a slot; auto (below) |
| `AWS_LAMBDA_FUNCTION_NAME`, `_VERSION`, `_MEMORY_SIZE` (MB) | the function, for the context |
| `AWS_LAMBDA_FUNCTION_TIMEOUT` | seconds, which only emulators tell; counts where an invocation has no deadline |
| `AWS_LAMBDA_LOG_GROUP_NAME`, `AWS_LAMBDA_LOG_STREAM_NAME` | for the context |
| `AWS_LAMBDA_LOG_LEVEL` | TRACE, DEBUG, INFO, WARN, ERROR or FATAL; INFO for JSON, WARN for Text, as on Lambda |
| `AWS_LAMBDA_LOG_FORMAT` | JSON or Text; JSON, as Lambda Managed Instances demand |
| `_LAMBDA_TELEMETRY_LOG_FD` | Lambda's: a descriptor that takes framed log records |
| `_LAMBDA_TELEMETRY_LOG_FD_PROVIDER_SOCKET` | Lambda's: where further processes connect their stdout and stderr |
| `RUNTIME_DEADLINE_MARGIN_MS` | a handler is cancelled so long before its deadline, 0 to 60000; 200 |
| `RUNTIME_DRAIN_S` | running invocations may go on so long after SIGTERM, 0 to 900; 10 |
| `RUNTIME_RECONNECT_S` | the Runtime API may be out of reach so long, 0 to 900; 30 |
| `RUNTIME_LOOP` | auto (uvloop where installed), asyncio or uvloop; auto |

`RUNTIME_PROCESSES=auto` is one process, but on Lambda Managed Instances (`AWS_LAMBDA_INITIALIZATION_TYPE`) one for each
vCPU. Lambda tells no function its vCPUs; they are the CPUs that the process may use, and not more than one for every
2 GB of memory, the minimum that Lambda gives with a vCPU.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from workers.runtime.context import TRACE_VARIABLE, FunctionDescription
from workers.runtime.errors import SettingsError
from workers.runtime.protocol import Endpoint
from workers.runtime.worker import VARIABLE as WORKER_VARIABLE
from workers.runtime.worker import WorkerConfig

LOG_LEVELS = {
    "TRACE": logging.DEBUG,
    "DEBUG": logging.DEBUG,
    "INFO": logging.INFO,
    "WARN": logging.WARNING,
    "WARNING": logging.WARNING,
    "ERROR": logging.ERROR,
    "FATAL": logging.CRITICAL,
}
LOG_FORMATS = ("JSON", "Text")
LOOPS = ("auto", "asyncio", "uvloop")
MANAGED_INSTANCES = "lambda-managed-instances"
MIN_MB_PER_VCPU = 2048
"""AWS Lambda, "Lambda Managed Instances": 2, 4 or 8 GB for each vCPU."""


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
    single_concurrency: bool = False
    """Whether the environment runs one invocation at a time, as Lambda's other runtimes know it.

    Then the trace also goes into `os.environ`, and a handler that outlives its deadline takes the process with it: in
    Lambda it would be killed by then, and no other invocation may run beside it.
    """


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of the process."""

    handler: str
    slots: SlotsSettings
    function: FunctionDescription
    task_root: str | None = None
    log_level: int = logging.INFO
    text_logs: bool = False
    log_descriptor: int | None = None
    log_socket: str = ""
    loop: str = "auto"
    processes: int = 1
    worker: WorkerConfig | None = None
    """What the supervisor gave this process, if it is one of several."""

    @classmethod
    def of(cls, environ: Mapping[str, str], arguments: Sequence[str] = ()) -> Self:
        """Read variables and command line. Raises SettingsError, which names every problem."""
        read = _Reader(environ)
        handler = arguments[0] if arguments else read.text("_HANDLER", needed="package.module.attribute")
        worker = WorkerConfig.parse(text) if (text := read.text(WORKER_VARIABLE)) else None
        slots, function = _slots(read, worker), _function(read)
        text_logs = read.choice("AWS_LAMBDA_LOG_FORMAT", LOG_FORMATS, "JSON") == "Text"
        settings = cls(
            handler=handler,
            slots=slots,
            function=function,
            processes=1 if worker else _processes(read, slots.slots, function.memory_mb),
            worker=worker,
            task_root=read.text("LAMBDA_TASK_ROOT") or None,
            log_level=LOG_LEVELS[read.choice("AWS_LAMBDA_LOG_LEVEL", LOG_LEVELS, "WARN" if text_logs else "INFO")],
            text_logs=text_logs,
            log_descriptor=read.descriptor("_LAMBDA_TELEMETRY_LOG_FD"),
            log_socket=read.text("_LAMBDA_TELEMETRY_LOG_FD_PROVIDER_SOCKET"),
            loop=read.choice("RUNTIME_LOOP", LOOPS, "auto"),
        )
        if read.problems:
            raise SettingsError(read.problems)
        return settings


def read_settings() -> Settings:
    """Read this process's settings; take out of its environment what the handler should not see or hand on."""
    settings = Settings.of(os.environ, sys.argv[1:])
    for name in (TRACE_VARIABLE, WORKER_VARIABLE, "_LAMBDA_TELEMETRY_LOG_FD"):
        os.environ.pop(name, None)
    return settings


def _slots(read: _Reader, worker: WorkerConfig | None) -> SlotsSettings:
    endpoint = read.endpoint("AWS_LAMBDA_RUNTIME_API")
    slots = int(read.number("AWS_LAMBDA_MAX_CONCURRENCY", 1, 1, 1600))
    return SlotsSettings(
        endpoint=endpoint,
        slots=worker.slots if worker else slots,
        single_concurrency=slots == 1,  # of the environment, not of this process's share
        margin=read.number("RUNTIME_DEADLINE_MARGIN_MS", 200, 0, 60_000) / 1000,
        drain=read.number("RUNTIME_DRAIN_S", 10, 0, 900),
        reconnect=read.number("RUNTIME_RECONNECT_S", 30, 0, 900),
    )


def _processes(read: _Reader, slots: int, memory_mb: int) -> int:
    if read.text("RUNTIME_PROCESSES").lower() not in ("", "auto"):
        return min(slots, int(read.number("RUNTIME_PROCESSES", 1, 1, 64)))
    if read.text("AWS_LAMBDA_INITIALIZATION_TYPE") != MANAGED_INSTANCES:
        return 1
    return max(1, min(slots, usable_cpus(), memory_mb // MIN_MB_PER_VCPU))


def usable_cpus() -> int:
    """Count the CPUs that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _function(read: _Reader) -> FunctionDescription:
    return FunctionDescription(
        name=read.text("AWS_LAMBDA_FUNCTION_NAME"),
        version=read.text("AWS_LAMBDA_FUNCTION_VERSION") or "$LATEST",
        memory_mb=int(read.number("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", 128, 1, 1_000_000)),
        timeout_s=read.number("AWS_LAMBDA_FUNCTION_TIMEOUT", 0, 0, 86_400) or None,
        log_group=read.text("AWS_LAMBDA_LOG_GROUP_NAME"),
        log_stream=read.text("AWS_LAMBDA_LOG_STREAM_NAME"),
    )


class _Reader:
    """Reads values and collects what is wrong with them, so that all problems are reported together."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.problems: list[str] = []

    def text(self, name: str, *, needed: str = "") -> str:
        value = self._environ.get(name, "").strip()
        if not value and needed:
            self.problems.append(f"{name}: missing; expected {needed}")
        return value

    def number(self, name: str, default: float, low: float, high: float) -> float:
        text = self.text(name)
        if not text:
            return default
        if text.isdecimal() and low <= int(text) <= high:
            return int(text)
        self.problems.append(f"{name}: {text!r}; expected a whole number from {low} to {high}")
        return default

    def descriptor(self, name: str) -> int | None:
        number = int(self.number(name, -1, 0, 2**20))
        return None if number < 0 else number

    def choice(self, name: str, choices: Mapping[str, object] | Sequence[str], default: str) -> str:
        text = self.text(name) or default
        found = next((choice for choice in choices if choice.lower() == text.lower()), None)
        if found is None:
            self.problems.append(f"{name}: {text!r}; expected one of {', '.join(choices)}")
        return found or default

    def endpoint(self, name: str) -> Endpoint:
        text = self.text(name, needed="host:port, or host:port/path")
        try:
            return Endpoint.parse(text)
        except ValueError as error:
            if text:
                self.problems.append(f"{name}: {error}")
            return Endpoint("", 0)
