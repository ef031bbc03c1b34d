"""Each store in memory, on the embedded emulator and on LocalStack: one suite for all that keep its promises."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import aiohttp
import pytest
from yarl import URL

from emulator.embedded import ROOT_CREDENTIALS
from shoebox.aws.clients import Clients
from shoebox.files.memory import LinkResponse, MemoryPictureStore
from shoebox.files.pictures import PictureStore
from shoebox.files.s3 import open_pictures
from shoebox.stack.deployment import ResolvedStack
from shoebox.stack.model import load_stack
from tests.emulator.conftest import STACK_FILE, EmulatorAt, bind_to, provision_as_root

BACKENDS = ("memory", "embedded", "localstack")
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what asks for `backend` in memory and on every emulator; LocalStack needs Docker."""
    if "backend" in metafunc.fixturenames:
        marks = {"localstack": [pytest.mark.docker, pytest.mark.timeout(600)]}  # the first one builds the image
        cases = [pytest.param(name, id=name, marks=marks.get(name, [])) for name in BACKENDS]
        metafunc.parametrize("backend", cases, indirect=True, scope="session")


@dataclass(frozen=True, slots=True)
class Backend:
    """An emulator, and stack.yaml as it was created there."""

    emulator: EmulatorAt
    resolved: ResolvedStack


@pytest.fixture(scope="session")
def backend(request: pytest.FixtureRequest) -> Backend | None:
    """Return where the stores are: an emulator, or None for memory."""
    if request.param == "memory":
        return None
    emulator = EmulatorAt(request.getfixturevalue(f"{request.param}_url"))
    resolved = bind_to(emulator, load_stack(STACK_FILE))
    with asyncio.Runner() as runner:
        runner.run(provision_as_root(emulator, resolved))
    return Backend(emulator, resolved)


@pytest.fixture
async def clients(backend: Backend | None) -> AsyncIterator[Clients | None]:
    """Open clients that may do anything, unless all is in memory."""
    if backend is None:
        yield None
        return
    async with Clients(backend.emulator.aws, ROOT_CREDENTIALS) as clients:
        yield clients


class Clock:
    """A clock that only tests move."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        """Return the time."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """Return the clock of a store."""
    return Clock()


@dataclass(frozen=True, slots=True)
class Pictures:
    """A store of pictures, and what a client does with its links: method, URL, body, headers."""

    store: PictureStore
    send: Callable[[str, str, bytes, dict[str, str]], Awaitable[LinkResponse]]


@pytest.fixture
async def pictures(backend: Backend | None, clients: Clients | None) -> AsyncIterator[Pictures]:
    """Open a store of pictures."""
    if backend is None or clients is None:
        memory = MemoryPictureStore()

        async def send_to_memory(method: str, url: str, data: bytes, headers: dict[str, str]) -> LinkResponse:
            return memory.send(method, url, data, headers)

        yield Pictures(memory, send_to_memory)
        return
    bucket, url = backend.resolved.name_of("bucket", "personal"), backend.emulator.url
    async with open_pictures(backend.emulator.aws, clients, bucket, s3_url=url) as store, sending() as send:
        yield Pictures(store, send)


@asynccontextmanager
async def sending() -> AsyncIterator[Callable[[str, str, bytes, dict[str, str]], Awaitable[LinkResponse]]]:
    """Send requests as any HTTP client does."""
    async with aiohttp.ClientSession() as http:

        async def send(method: str, url: str, data: bytes, headers: dict[str, str]) -> LinkResponse:
            skip = {"content-type"} if "content-type" not in headers else set()
            content = None if method == "GET" else data
            async with http.request(
                method, URL(url, encoded=True), data=content, headers=headers, skip_auto_headers=skip
            ) as response:
                sent = {name.lower(): value for name, value in response.headers.items()}
                return LinkResponse(response.status, sent, await response.read())

        yield send
