"""Fleets with real environments, under our runtime and under AWS's own, and one emulator for the session."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from fleet_bench import HERE, ROOT_FOLDER, FleetOf, Running, an_hour

from emulator.embedded import ROOT_CREDENTIALS, Emulator
from fleet.credentials import CredentialsSource
from fleet.service import Fleet
from fleet.settings import AWSLAMBDARIC, SHOEBOX_RUNTIME, FleetSettings, RuntimeCommand
from shoebox.aws.clients import Clients
from shoebox.stack.deployment import ResolvedStack


@pytest.fixture(params=[SHOEBOX_RUNTIME, AWSLAMBDARIC], ids=["shoebox", "awslambdaric"])
def runtime(request: pytest.FixtureRequest) -> RuntimeCommand:
    """Return the program of the environments: the same tests pass with both."""
    command: RuntimeCommand = request.param
    return command


@pytest.fixture
def fleet_of(tmp_path: Path, runtime: RuntimeCommand) -> FleetOf:
    """Return what runs a fleet of a stack: `async with fleet_of(stack) as running`."""

    @asynccontextmanager
    async def run(
        stack: ResolvedStack,
        credentials: CredentialsSource = an_hour,
        environment: dict[str, str] | None = None,
        **settings: Any,
    ) -> AsyncIterator[Running]:
        lines: list[tuple[str, bytes]] = []
        chosen = FleetSettings(
            log_folder=tmp_path / "logs",
            metrics_dir=tmp_path / "metrics",
            task_root=HERE,
            command=runtime,
            environment={"PYTHONPATH": str(ROOT_FOLDER), **(environment or {})},
            **{"stop_seconds": 1.0, **settings},
        )
        async with Fleet(stack, chosen, credentials, on_line=lambda *line: lines.append(line)) as fleet:
            yield Running(fleet, lines)

    return run


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    """Return a plain HTTP client."""
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture(scope="session")
def emulator(embedded: Emulator) -> Emulator:
    """Return the session's emulator."""
    return embedded


@pytest.fixture
async def root_clients(emulator: Emulator) -> AsyncIterator[Clients]:
    """Clients that may do anything."""
    async with Clients(emulator.aws, ROOT_CREDENTIALS) as clients:
        yield clients
