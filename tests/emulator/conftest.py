"""Stacks on each emulator (`tests/emulators.py`); clients live as long as their test, on its own event loop."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from emulator.embedded import ROOT_CREDENTIALS, Emulator
from emulator.provision import RoleSource, provision
from shoebox.aws.clients import Clients
from shoebox.config import AwsSettings
from shoebox.stack.deployment import Deployment, ResolvedStack, resolve
from shoebox.stack.model import Stack, load_stack

STACK_FILE = Path(__file__).parents[2] / "stack.yaml"
GATEWAY_URL = "http://127.0.0.1:8088"  # nobody listens there; it is the origin that CORS lets in

ClientsFor = Callable[[str], Awaitable[Clients]]


@dataclass(frozen=True, slots=True)
class EmulatorAt:
    """A running emulator, whichever it is."""

    url: str

    @property
    def aws(self) -> AwsSettings:
        """Settings for clients of it."""
        return AwsSettings(endpoint_url=self.url)


def bind_to(emulator: Emulator | EmulatorAt, stack: Stack, prefix: str = "shoebox") -> ResolvedStack:
    """`stack` as it is on `emulator`; another prefix makes another, independent copy of it."""
    url = emulator.url
    deployment = Deployment(
        prefix=prefix, endpoint_url=url, s3_url=url, s3_public_url=url, sqs_url=url, gateway_url=GATEWAY_URL
    )
    return resolve(stack, deployment)


async def provision_as_root(emulator: EmulatorAt, resolved: ResolvedStack) -> None:
    """Create the stack with root's keys."""
    async with Clients(emulator.aws, ROOT_CREDENTIALS) as clients:
        await provision(resolved, clients)


@pytest.fixture(scope="session")
def emulator(emulator_url: str) -> EmulatorAt:
    """Provide the session's emulator: the embedded one, then LocalStack."""
    return EmulatorAt(emulator_url)


@pytest.fixture(scope="session")
def stack() -> Stack:
    """Provide the project's stack.yaml."""
    return load_stack(STACK_FILE)


@pytest.fixture(scope="session")
def resolved(emulator: EmulatorAt, stack: Stack) -> ResolvedStack:
    """stack.yaml, bound to the session's emulator; not created there."""
    return bind_to(emulator, stack)


@pytest.fixture(scope="session")
def provisioned(emulator: EmulatorAt, resolved: ResolvedStack) -> ResolvedStack:
    """stack.yaml as created in the session's emulator. Tests share it: use keys and ids of your own."""
    with asyncio.Runner() as runner:
        runner.run(provision_as_root(emulator, resolved))
    return resolved


@pytest.fixture
def own_stack(emulator: EmulatorAt, stack: Stack, request: pytest.FixtureRequest) -> ResolvedStack:
    """Provide a copy of the stack for this test alone, not yet created: for emptying queues and changing settings."""
    return bind_to(emulator, stack, prefix=f"own{abs(hash(request.node.nodeid)) % 10**9}")


@pytest.fixture
async def root_clients(emulator: EmulatorAt) -> AsyncIterator[Clients]:
    """Clients that may do anything, as the provisioner."""
    async with Clients(emulator.aws, ROOT_CREDENTIALS) as clients:
        yield clients


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    """Plain HTTP, as a browser or any client has it."""
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def clients_for(
    emulator: EmulatorAt, provisioned: ResolvedStack, root_clients: Clients
) -> AsyncIterator[ClientsFor]:
    """Provide clients with the credentials of a function's role: `await clients_for("ingest")`."""
    source = RoleSource(provisioned, root_clients)
    async with AsyncExitStack() as opened:

        async def open_for(function: str) -> Clients:
            return await opened.enter_async_context(Clients(emulator.aws, (await source(function)).keys))

        yield open_for
