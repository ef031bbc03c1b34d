"""The process of an execution environment: its variables, its start, its output, its end."""

from __future__ import annotations

import asyncio
import ctypes
import fcntl
import os
import signal
import sys
import termios
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from io import FileIO
from pathlib import Path
from typing import Protocol

from fleet.functions import VERSION, FunctionSpec
from fleet.logs import pump
from shoebox.aws.credentials import Credentials

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_PRCTL = getattr(ctypes.CDLL(None), "prctl", None) if sys.platform == "linux" else None
_TURNS = 4  # of the loop: from the pipe to the reader, to the pump, to what writes
_OUTPUT_SECONDS = 1.0  # for the rest of the output, when a grandchild keeps the pipe open


class Process(Protocol):
    """The process behind an environment."""

    @property
    def pid(self) -> int | None:
        """Its process id, if it runs on this machine."""

    async def wait(self) -> int:
        """Wait for its end, and return its exit status."""

    async def stop(self, seconds: float) -> None:
        """Ask it to end, and make it end after `seconds`."""

    def kill(self) -> None:
        """End it now."""


@dataclass(frozen=True, slots=True)
class EnvironmentConfig:
    """What all environments of a fleet have in common."""

    region: str
    endpoint_url: str | None
    task_root: Path
    metrics_dir: Path
    environment: Mapping[str, str]


def environment_variables(
    function: FunctionSpec, identity: str, runtime_api: str, keys: Credentials, config: EnvironmentConfig
) -> dict[str, str]:
    """Return all variables of an environment ("Defined runtime environment variables"); nothing is inherited."""
    values = {
        "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
        "LANG": "en_US.UTF-8",
        "TZ": ":UTC",
        "PYTHONUNBUFFERED": "1",
        "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
        "AWS_XRAY_DAEMON_ADDRESS": "127.0.0.1:2000",
        **config.environment,
        **function.environment,
        "_HANDLER": function.handler,
        "AWS_ACCESS_KEY_ID": keys.access_key_id,
        "AWS_SECRET_ACCESS_KEY": keys.secret_access_key,
        "AWS_REGION": config.region,
        "AWS_DEFAULT_REGION": config.region,
        "AWS_EXECUTION_ENV": f"AWS_Lambda_python{sys.version_info.major}.{sys.version_info.minor}",
        "AWS_LAMBDA_FUNCTION_NAME": function.name,
        "AWS_LAMBDA_FUNCTION_VERSION": VERSION,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory),
        "AWS_LAMBDA_FUNCTION_TIMEOUT": str(function.timeout),
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{function.name}",
        "AWS_LAMBDA_LOG_STREAM_NAME": f"{datetime.now(UTC):%Y/%m/%d}/[{VERSION}]{identity}",
        "AWS_LAMBDA_RUNTIME_API": runtime_api,
        "LAMBDA_TASK_ROOT": str(config.task_root),
        "PROMETHEUS_MULTIPROC_DIR": str(config.metrics_dir),
    }
    if keys.session_token:
        values["AWS_SESSION_TOKEN"] = keys.session_token
    if config.endpoint_url:
        values["AWS_ENDPOINT_URL"] = config.endpoint_url
    if function.slots > 1:
        values["AWS_LAMBDA_INITIALIZATION_TYPE"] = "lambda-managed-instances"
        values["AWS_LAMBDA_MAX_CONCURRENCY"] = str(function.slots)
    return values


class EnvironmentProcess:
    """A running process, whose output a task passes on; it leads a process group of its own."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        pipe: FileIO,
        output: asyncio.Task[None],
        on_end: Callable[[], None],
    ) -> None:
        self._process = process
        self._pipe = pipe
        self._on_end = on_end
        self._output = output

    @property
    def pid(self) -> int:
        """Process id, and id of the process group."""
        return self._process.pid

    async def wait(self) -> int:
        """Wait for the end of the process, its group and its output, and return its status."""
        try:
            status = await self._process.wait()
        finally:
            self._signal(signal.SIGKILL)
            self._on_end()
        with suppress(TimeoutError):
            async with asyncio.timeout(_OUTPUT_SECONDS):
                await self._output
        return status

    async def output_settled(self) -> None:
        """Wait until everything that it has printed by now was passed on, but not for ever."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_OUTPUT_SECONDS):
                while self._unread():  # noqa: ASYNC110  # the loop reads meanwhile, and signals nothing
                    await asyncio.sleep(0)
        for _ in range(_TURNS):
            await asyncio.sleep(0)

    def _unread(self) -> int:
        """Return how many bytes are in the pipe."""
        if self._pipe.closed:
            return 0
        return int.from_bytes(fcntl.ioctl(self._pipe, termios.FIONREAD, bytes(4)), sys.byteorder)

    async def stop(self, seconds: float) -> None:
        """Send SIGTERM, and SIGKILL when it has not ended after `seconds`."""
        self._signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(seconds):
                await self._process.wait()
        except TimeoutError:
            self.kill()

    def kill(self) -> None:
        """Send SIGKILL to the whole group."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)


async def start_process(
    command: list[str],
    environment: Mapping[str, str],
    folder: Path,
    write: Callable[[bytes], None],
    on_end: Callable[[], None],
) -> EnvironmentProcess:
    """Start an environment's process in `folder`, which dies with ours, whatever ends us (Linux: prctl(2), PDEATHSIG).

    `write` gets whole lines of its output, and `on_end` is called when it has ended.

    Raises:
        OSError: the program cannot be started.
    """
    ours, theirs = os.pipe()  # asyncio's own pipe would make us wait for grandchildren that keep it open
    pipe, output = FileIO(ours), asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(output), pipe)
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=folder,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=partial(_die_with_parent, os.getpid()) if _PRCTL else None,
        )
    finally:
        os.close(theirs)
    return EnvironmentProcess(process, pipe, asyncio.create_task(pump(output, write)), on_end)


def _die_with_parent(parent: int) -> None:
    """Have the kernel kill this process, a child before its program, when its parent dies."""
    _PRCTL(_PR_SET_PDEATHSIG, signal.SIGKILL)  # type: ignore[misc]
    if os.getppid() != parent:
        os._exit(1)
