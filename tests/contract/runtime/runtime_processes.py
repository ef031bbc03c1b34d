"""Runtimes as real processes: this one, and AWS's own Python client, against the fake Runtime API."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

from workers.runtime.testing import FakeRuntimeApi

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[2]
FUNCTION = {
    "AWS_LAMBDA_FUNCTION_NAME": "photos",
    "AWS_LAMBDA_FUNCTION_VERSION": "7",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
    "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/photos",
    "AWS_LAMBDA_LOG_STREAM_NAME": "stream",
}
Kind = Literal["workers.runtime", "awslambdaric"]


class RuntimeProcess:
    """One process, its lines on stdout, its end."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.lines: list[str] = []

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    async def line(self, text: str) -> str:
        """Return the next line that contains `text`. Raises EOFError if the process ends without it."""
        assert self._process.stdout is not None
        while data := await self._process.stdout.readline():
            self.lines.append(data.decode().rstrip("\n"))
            if text in self.lines[-1]:
                return self.lines[-1]
        raise EOFError(f"{text!r} is not in {self.lines}")

    async def logged(self, message: str) -> dict[str, Any]:
        """Return the next log line with this message."""
        fields: dict[str, Any] = json.loads(await self.line(f'"message": "{message}'))
        return fields

    def signal(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    async def ended(self) -> int:
        """Its exit code; the rest of its output is in `lines`."""
        assert self._process.stdout is not None
        rest = await self._process.stdout.read()
        self.lines += rest.decode().splitlines()
        return await self._process.wait()

    def kill(self) -> None:
        """End it if it has not ended."""
        if self._process.returncode is None:
            self._process.kill()


@asynccontextmanager
async def runtime_process(
    api: FakeRuntimeApi | None,
    handler: str,
    *,
    kind: Kind = "workers.runtime",
    task_root: Path = HERE,
    variables: Mapping[str, str] | None = None,
) -> AsyncIterator[RuntimeProcess]:
    """Start a runtime that polls `api` for `handler`, such as `runtime_functions.echo`."""
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": f"{REPOSITORY}{os.pathsep}{task_root}" if kind == "awslambdaric" else str(REPOSITORY),
        "LAMBDA_TASK_ROOT": str(task_root),
        "_HANDLER": handler,
        **({"AWS_LAMBDA_RUNTIME_API": api.address} if api else {}),
        **FUNCTION,
        **(variables or {}),
    }
    arguments = [handler] if kind == "awslambdaric" else []
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", kind, *arguments),
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        limit=2**22,
    )
    running = RuntimeProcess(process)
    try:
        yield running
    finally:
        running.kill()
        await running.ended()
