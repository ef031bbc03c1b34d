"""Room on the disk that keeps a stack's data: how much there is, and how much uploads have to leave."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import NoReturn

from shoebox.telemetry import get_logger

RESERVE = 128 * 1024 * 1024
_MAX_SHARE = 5  # of a small disk at most a fifth is kept free
_POLL_SECONDS = 2.0

log = get_logger(action="emulator.space")


def free_and_reserve(folder: Path) -> tuple[int, int]:
    """Return the free bytes of a folder's disk, and how many of them clients' uploads have to leave."""
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize, min(RESERVE, disk.f_blocks * disk.f_frsize // _MAX_SHARE)


async def watch_space(folder: Path, seconds: float = _POLL_SECONDS) -> NoReturn:
    """Log when the disk is so full that uploads are refused, and when it is not any more."""
    full = False
    while True:
        free, reserve = free_and_reserve(folder)
        if full != (free < reserve):
            full = not full
            if full:
                log.error("disk_filled", free_mb=free // 1000**2, folder=str(folder), effect="uploads are refused")
            else:
                log.info("disk_freed", free_mb=free // 1000**2, folder=str(folder))
        await asyncio.sleep(seconds)


def disk_full_message(folder: Path) -> str:
    """Return what to tell whoever wanted to write."""
    free, _ = free_and_reserve(folder)
    return f"The disk that keeps this stack's data is full ({free // 1000**2} MB free). Make room, then try again."
