"""Runs the command against a service of the test's own: `tests/command.py` with the service's address and token."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

from upload_service import TOKEN, Service

from tests import command
from tests.command import Ended, end, shoebox_process

__all__ = ["Ended", "end", "shoebox", "shoebox_process", "start"]


def _environment(service: Service | None, env: Mapping[str, str] | None) -> dict[str, str]:
    return {**({"SHOEBOX_URL": service.url, "SHOEBOX_TOKEN": TOKEN} if service else {}), **(env or {})}


async def start(
    *arguments: str | Path,
    service: Service | None = None,
    folder: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> asyncio.subprocess.Process:
    """Start `shoebox` with these arguments as a process."""
    return await command.start(*arguments, folder=folder, env=_environment(service, env))


async def shoebox(
    *arguments: str | Path,
    service: Service | None = None,
    folder: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> Ended:
    """Run `shoebox` with these arguments to its end, in this process."""
    return await command.shoebox(*arguments, folder=folder, env=_environment(service, env))
