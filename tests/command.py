"""Runs the real command in a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

COMMAND = [sys.executable, "-c", "from shoebox.cli import main; main()"]
END_SECONDS = 60
_ROOT = Path(__file__).parents[1]


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


async def start(
    *arguments: str | Path, folder: Path | None = None, env: Mapping[str, str] | None = None
) -> asyncio.subprocess.Process:
    """Start `shoebox` in `folder`, with none of our own settings but `env`."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("SHOEBOX_", "AWS_"))}
    return await asyncio.create_subprocess_exec(
        *COMMAND,
        *map(str, arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=folder,
        env={**clean, "COLUMNS": "200", "PYTHONPATH": str(_ROOT), **(env or {})},
    )


async def end(process: asyncio.subprocess.Process) -> Ended:
    """Wait for a command's end."""
    stdout, stderr = await asyncio.wait_for(process.communicate(), END_SECONDS)
    assert process.returncode is not None
    return Ended(process.returncode, stdout.decode(), stderr.decode())


async def shoebox(*arguments: str | Path, folder: Path | None = None, env: Mapping[str, str] | None = None) -> Ended:
    """Run `shoebox` in `folder` to its end."""
    return await end(await start(*arguments, folder=folder, env=env))
