"""What the environment's variables say, read once, with all problems reported together.

| variable | meaning, default |
|---|---|
| `AWS_LAMBDA_RUNTIME_API` | `host:port`, or `host:port/path`; needed |
| `_HANDLER`, or the first argument | `package.module.attribute`; needed |
| `LAMBDA_TASK_ROOT` | where the function's code lies; searched first for modules |
| `AWS_LAMBDA_MAX_CONCURRENCY` | slots, 1 to 1600 (Lambda's own range); 1 |
| `AWS_LAMBDA_FUNCTION_NAME`, `_VERSION`, `_MEMORY_SIZE` (MB) | the function, for the context |
| `AWS_LAMBDA_FUNCTION_TIMEOUT` | seconds, which only emulators tell; counts where an invocation has no deadline |
| `AWS_LAMBDA_LOG_GROUP_NAME`, `AWS_LAMBDA_LOG_STREAM_NAME` | for the context |
| `AWS_LAMBDA_LOG_LEVEL` | TRACE, DEBUG, INFO, WARN, ERROR or FATAL; INFO |
| `RUNTIME_DEADLINE_MARGIN_MS` | a handler is cancelled so long before its deadline, 0 to 60000; 200 |
| `RUNTIME_DRAIN_S` | running invocations may go on so long after SIGTERM, 0 to 900; 10 |
| `RUNTIME_RECONNECT_S` | the Runtime API may be out of reach so long, 0 to 900; 30 |
| `RUNTIME_LOOP` | auto (uvloop where installed), asyncio or uvloop; auto |
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from workers.runtime.context import FunctionDescription
from workers.runtime.errors import SettingsError
from workers.runtime.protocol import Endpoint
from workers.runtime.slots import SlotsSettings

LOG_LEVELS = {
    "TRACE": logging.DEBUG,
    "DEBUG": logging.DEBUG,
    "INFO": logging.INFO,
    "WARN": logging.WARNING,
    "WARNING": logging.WARNING,
    "ERROR": logging.ERROR,
    "FATAL": logging.CRITICAL,
}
LOOPS = ("auto", "asyncio", "uvloop")
TRACE_VARIABLE = "_X_AMZN_TRACE_ID"


@dataclass(frozen=True, slots=True)
class Settings:
    """All that the process is told."""

    handler: str
    slots: SlotsSettings
    function: FunctionDescription
    task_root: str | None = None
    log_level: int = logging.INFO
    loop: str = "auto"

    @classmethod
    def of(cls, environ: Mapping[str, str], arguments: Sequence[str] = ()) -> Self:
        """From variables and command line. Raises SettingsError, which names every problem."""
        read = _Reader(environ)
        handler = arguments[0] if arguments else read.text("_HANDLER", needed="package.module.attribute")
        settings = cls(
            handler=handler,
            slots=_slots(read),
            function=_function(read),
            task_root=read.text("LAMBDA_TASK_ROOT") or None,
            log_level=LOG_LEVELS[read.choice("AWS_LAMBDA_LOG_LEVEL", LOG_LEVELS, "INFO")],
            loop=read.choice("RUNTIME_LOOP", LOOPS, "auto"),
        )
        if read.problems:
            raise SettingsError(read.problems)
        return settings


def read_settings() -> Settings:
    """This process's settings; takes the trace id out of its environment (see workers.runtime.context)."""
    os.environ.pop(TRACE_VARIABLE, None)
    return Settings.of(os.environ, sys.argv[1:])


def _slots(read: _Reader) -> SlotsSettings:
    return SlotsSettings(
        endpoint=read.endpoint("AWS_LAMBDA_RUNTIME_API"),
        slots=int(read.number("AWS_LAMBDA_MAX_CONCURRENCY", 1, 1, 1600)),
        margin=read.number("RUNTIME_DEADLINE_MARGIN_MS", 200, 0, 60_000) / 1000,
        drain=read.number("RUNTIME_DRAIN_S", 10, 0, 900),
        reconnect=read.number("RUNTIME_RECONNECT_S", 30, 0, 900),
    )


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
    """Reads values and collects what is wrong with them."""

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
