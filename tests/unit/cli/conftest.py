"""A service to talk to, and pictures to upload."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from upload_service import Service, running_service

JPEG = b"\xff\xd8\xff\xe0"
MakePicture = Callable[..., Path]


@pytest_asyncio.fixture
async def service() -> AsyncIterator[Service]:
    """A Shoebox on a real socket."""
    async with running_service() as running:
        yield running


@pytest.fixture
def picture(tmp_path: Path) -> MakePicture:
    """`picture("a.jpg", 5000)` writes a file that begins as a JPEG does; other seeds, other bytes."""

    def make(name: str, size: int = 5000, *, seed: str | None = None, magic: bytes = JPEG) -> Path:
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(magic + random.Random(seed or name).randbytes(size - len(magic)))
        return path

    return make
