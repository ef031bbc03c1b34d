"""Notices that a function's code has changed, by looking: mounts into containers do not always tell."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path

_PAUSE = 0.5


async def code_changed(folder: Path, *, pause: float = _PAUSE) -> None:
    """Wait until a Python file under `folder` is new, gone or another."""
    before = await asyncio.to_thread(_times, folder)
    while await asyncio.to_thread(_times, folder) == before:  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(pause)


def _times(folder: Path) -> Mapping[Path, int]:
    """When each file was last written, in nanoseconds; hidden folders, a virtual environment for one, are left out."""
    found = {}
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for path in (Path(parent, name) for name in files if name.endswith(".py")):
            try:
                found[path] = path.stat().st_mtime_ns
            except OSError:  # an editor replaces it at this moment
                continue
    return found
