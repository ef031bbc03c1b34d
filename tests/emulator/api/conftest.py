"""The API on the emulator, with its own role."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import aiohttp
import pytest
import pytest_asyncio
from yarl import URL

from api.dependencies import open_services
from emulator.embedded import ROOT_CREDENTIALS
from emulator.provision import RoleSource
from shoebox.aws.clients import Clients
from shoebox.aws.credentials import Credentials
from shoebox.config import ApiSettings, Limits
from shoebox.files.memory import LinkResponse
from shoebox.files.s3 import open_pictures
from shoebox.stack.deployment import ResolvedStack
from tests.api_bench import PART, Bench, Clock, serving
from tests.emulator.conftest import EmulatorAt


@asynccontextmanager
async def open_bench(
    emulator: EmulatorAt, role: Credentials, settings: ApiSettings, root: Clients
) -> AsyncIterator[Bench]:
    """Open the API with some settings, at the real time."""
    clock = Clock()
    async with (
        open_services(emulator.aws, settings, Limits(part_bytes=PART), credentials=role, now=clock) as services,
        serving(services) as handler,
        aiohttp.ClientSession() as http,
        open_pictures(emulator.aws, root, settings.personal_bucket, s3_url=settings.s3_url) as eyes,
    ):

        async def send(method: str, url: str, data: bytes, headers: dict[str, str]) -> LinkResponse:
            skip = {"content-type"} if "content-type" not in headers else set()
            address = URL(url, encoded=True)
            async with http.request(
                method, address, data=None if method == "GET" else data, headers=headers, skip_auto_headers=skip
            ) as response:
                sent = {name.lower(): value for name, value in response.headers.items()}
                return LinkResponse(response.status, sent, await response.read())

        yield Bench(handler, services, clock, send, eyes)


# Opening AWS clients takes most of a second: they live as long as the session, and so does their loop.


@pytest.fixture(scope="session")
def settings(provisioned: ResolvedStack) -> ApiSettings:
    """Return the settings that stack.yaml gives the function `api`."""
    return ApiSettings.from_environment(provisioned.environment("api"))


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def root(emulator: EmulatorAt) -> AsyncIterator[Clients]:
    """Clients that may do anything."""
    async with Clients(emulator.aws, ROOT_CREDENTIALS) as clients:
        yield clients


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def role(provisioned: ResolvedStack, root: Clients) -> Credentials:
    """Return the credentials of the function `api`."""
    return (await RoleSource(provisioned, root)("api")).keys


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def opened(emulator: EmulatorAt, role: Credentials, settings: ApiSettings, root: Clients) -> AsyncIterator[Bench]:
    """Open the API as stack.yaml describes it."""
    async with open_bench(emulator, role, settings, root) as bench:
        yield bench


@pytest.fixture
def bench(opened: Bench) -> Bench:
    """Return the API at the real time, and a user whom no other test knows."""
    opened.clock.later = timedelta()
    return Bench(opened.handler, opened.services, opened.clock, opened.send, opened.eyes)
