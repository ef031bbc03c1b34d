"""Runs the real command against a service of the test's own."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

from upload_service import TOKEN, Service

from tests import command
from tests.command import Ended, end

__all__ = ["Ended", "end", "shoebox", "start"]


async def start(
    *arguments: str | Path,
    service: Service | None = None,
    folder: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> asyncio.subprocess.Process:
    """Start `shoebox` with these arguments; a service's address and token go into its environment."""
    ours = {"SHOEBOX_URL": service.url, "SHOEBOX_TOKEN": TOKEN} if service else {}
    return await command.start(*arguments, folder=folder, env={**ours, **(env or {})})


async def shoebox(
    *arguments: str | Path,
    service: Service | None = None,
    folder: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> Ended:
    """Run `shoebox` with these arguments to its end."""
    return await end(await start(*arguments, service=service, folder=folder, env=env))
