"""Runs the `shoebox` command: in this process, or in one of its own where signals, logs or a long life are tested."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any
from unittest import mock

import structlog

from shoebox_cli import main

COMMAND = [sys.executable, "-c", "from shoebox_cli import main; main()"]
END_SECONDS = 60
NO_CONTAINERS = {"COMPOSE_PROJECT_NAME": "shoebox-none"}  # a stack in containers on this machine is not the test's
_ROOT = Path(__file__).parents[1]
_ONE_AT_A_TIME = threading.Lock()  # streams, environment and current folder are the whole process's


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def document(self) -> Any:
        """What stdout holds: JSON and nothing else."""
        return json.loads(self.stdout)


async def shoebox(*arguments: str | Path, folder: Path | None = None, env: Mapping[str, str] | None = None) -> Ended:
    """Run `shoebox` in `folder` to its end, in a thread of this process: it has an event loop of its own.

    It sees none of our own settings but `env`.
    """
    return await asyncio.to_thread(_invoke, [str(each) for each in arguments], folder or Path.cwd(), env or {})


def _invoke(arguments: list[str], folder: Path, env: Mapping[str, str]) -> Ended:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("SHOEBOX_", "AWS_"))}
    with ExitStack() as changed:
        changed.enter_context(_ONE_AT_A_TIME)
        changed.callback(structlog.configure, **structlog.get_config())
        changed.enter_context(contextlib.chdir(folder))
        changed.enter_context(
            mock.patch.dict(os.environ, {**clean, "COLUMNS": "200", **NO_CONTAINERS, **env}, clear=True)
        )
        changed.enter_context(mock.patch.object(sys, "argv", ["shoebox", *arguments]))
        # Files, which typer's CliRunner does not have: what docker prints goes to their descriptors.
        stdout, stderr = (changed.enter_context(TemporaryFile("w+", buffering=1)) for _ in range(2))
        changed.enter_context(contextlib.redirect_stdout(stdout))
        changed.enter_context(contextlib.redirect_stderr(stderr))
        code: Any = 0
        try:
            main()
        except SystemExit as end:
            code = end.code
        return Ended(int(code or 0), _read(stdout), _read(stderr))


def _read(file: IO[str]) -> str:
    file.seek(0)
    return file.read()


async def start(
    *arguments: str | Path, folder: Path | None = None, env: Mapping[str, str] | None = None
) -> asyncio.subprocess.Process:
    """Start `shoebox` in `folder` as a process, with none of our own settings but `env`."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("SHOEBOX_", "AWS_"))}
    return await asyncio.create_subprocess_exec(
        *COMMAND,
        *map(str, arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=folder,
        env={**clean, "COLUMNS": "200", "PYTHONPATH": str(_ROOT), **NO_CONTAINERS, **(env or {})},
    )


async def end(process: asyncio.subprocess.Process) -> Ended:
    """Wait for a process's end."""
    stdout, stderr = await asyncio.wait_for(process.communicate(), END_SECONDS)
    assert process.returncode is not None
    return Ended(process.returncode, stdout.decode(), stderr.decode())


async def shoebox_process(
    *arguments: str | Path, folder: Path | None = None, env: Mapping[str, str] | None = None
) -> Ended:
    """Run `shoebox` in `folder` to its end, as a process."""
    return await end(await start(*arguments, folder=folder, env=env))
