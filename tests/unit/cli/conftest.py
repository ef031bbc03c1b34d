"""A service to talk to, and pictures to upload."""

from __future__ import annotations

import random
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio
from upload_service import Service, running_service

JPEG = b"\xff\xd8\xff\xe0"
MakePicture = Callable[..., Path]
MakeFolder = Callable[..., Path]


@pytest_asyncio.fixture
async def service() -> AsyncIterator[Service]:
    """Run a Shoebox on a real socket."""
    async with running_service() as running:
        yield running


@pytest.fixture
def picture(tmp_path: Path) -> MakePicture:
    """Return a function: `picture("a.jpg", 5000)` writes a file that begins as a JPEG; other seeds, other bytes."""

    def make(name: str, size: int = 5000, *, seed: str | None = None, magic: bytes = JPEG) -> Path:
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(magic + random.Random(seed or name).randbytes(size - len(magic)))
        return path

    return make


@pytest.fixture
def folder(picture: MakePicture) -> MakeFolder:
    """Return a function: `folder(12)` writes twelve pictures, 00.jpg to 11.jpg, and returns their folder."""

    def make(count: int, size: int = 5000) -> Path:
        return [picture(f"{n:02}.jpg", size) for n in range(count)][-1].parent

    return make


@pytest.fixture
def no_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let retries of commands in this process pause no longer than they must."""
    monkeypatch.setattr("shoebox_client.retry.random.uniform", lambda low, _: low)


@pytest.fixture
def unused_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
