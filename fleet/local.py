"""A whole stack on one machine: data folder, emulator, provisioning, fleet; started in order, stopped in reverse."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self, TypeAlias

from fleet.data_folder import data_folder
from fleet.emulator import ACCOUNT, ROOT, Emulator, EmulatorDied
from fleet.http.ports import listen
from fleet.logs import LineCallback
from fleet.provision import Report, RoleSource, provision
from fleet.provision.tasks import first_of
from fleet.service import Fleet
from fleet.settings import FleetSettings
from shoebox.aws import Clients
from shoebox.place import BoundStack, Place, bind
from shoebox.stack import load_stack
from shoebox.telemetry import get_logger

log = get_logger(action="local")


@dataclass(frozen=True, slots=True)
class LocalSettings:
    """Settings of a local stack. Port 0 takes any free port; `data_dir` None keeps nothing.

    `task_root` is where the functions' code is imported from; `environment` is added to every function's variables.
    """

    stack_file: Path
    task_root: Path
    data_dir: Path | None = Path(".shoebox")
    fresh: bool = False
    prefix: str = "shoebox"
    region: str = "us-east-1"
    emulator_port: int = 4566
    gateway_port: int = 8080
    control_port: int = 9001
    environment: Mapping[str, str] = field(default_factory=dict)
    environments_at_most: int = 8


class Local:
    """A running stack; made by `Local.start`. Its parts appear in the order of the attributes.

    `clients` may do anything. `seconds` is how long each step of the start took.
    """

    folder: Path
    emulator: Emulator
    clients: Clients
    bound: BoundStack
    report: Report
    fleet: Fleet

    def __init__(self, settings: LocalSettings) -> None:
        self.settings = settings
        self.seconds: dict[str, float] = {}

    @classmethod
    @asynccontextmanager
    async def start(
        cls,
        settings: LocalSettings,
        after_provision: Hook | None = None,
        *,
        on_line: LineCallback | None = None,
    ) -> AsyncIterator[Self]:
        """Start everything; `after_provision` may put data into the stack before the first function runs.

        The block is cancelled when the emulator dies. `on_line` gets every line that a function prints.

        Raises:
            DataFolderError, PortTaken, StackError, EmulatorError, Problem: with a message for the user.
        """
        local = cls(settings)
        async with AsyncExitStack() as opening:
            await local._start(opening, after_provision, on_line)
            log.info("local.ready", gateway=local.fleet.gateway_url, seconds=local.seconds)
            yield local

    async def _start(self, opening: AsyncExitStack, after_provision: Hook | None, on_line: LineCallback | None) -> None:
        stack = load_stack(self.settings.stack_file)
        self.folder = _open_folder(opening, self.settings)
        reserved = opening.enter_context(ExitStack())
        gateway_port = _reserve(reserved, self.settings.gateway_port, "the gateway")
        control_port = _reserve(reserved, self.settings.control_port, "the fleet's control port")
        with self._timed("emulator"):
            await self._start_emulator(opening)
        with self._timed("provision"):
            self.bound = bind(stack, self._place(gateway_port))
            self.report = await provision(self.bound, self.clients)
            if after_provision:
                await after_provision(self)
        with self._timed("fleet"):
            reserved.close()
            settings = self._fleet_settings(gateway_port, control_port)
            fleet = Fleet(self.bound, settings, RoleSource(self.bound, self.clients), on_line=on_line)
            self.fleet = await opening.enter_async_context(fleet)

    async def _start_emulator(self, opening: AsyncExitStack) -> None:
        settings = self.settings
        kept = None if settings.data_dir is None else self.folder / "aws"
        emulator = Emulator(kept, settings.emulator_port, region=settings.region)
        self.emulator = await opening.enter_async_context(emulator)
        if emulator.lost_data:
            log.warning("local.data_lost", reason="the last run was cut off; what it had stored may be gone")
        await opening.enter_async_context(_while_it_lives(emulator))
        self.clients = await opening.enter_async_context(Clients(emulator.aws, ROOT))

    def _place(self, gateway_port: int) -> Place:
        url = self.emulator.url
        return Place(
            prefix=self.settings.prefix,
            account=ACCOUNT,
            region=self.settings.region,
            endpoint_url=url,
            s3_url=url,
            s3_public_url=url,
            sqs_url=url,
            gateway_url=f"http://127.0.0.1:{gateway_port}",
        )

    def _fleet_settings(self, gateway_port: int, control_port: int) -> FleetSettings:
        return FleetSettings(
            log_folder=self.folder / "logs",
            metrics_dir=self.folder / "metrics",
            task_root=self.settings.task_root.resolve(),
            gateway_port=gateway_port,
            control_port=control_port,
            environment=self.settings.environment,
            environments_at_most=self.settings.environments_at_most,
        )

    @contextmanager
    def _timed(self, step: str) -> Iterator[None]:
        begin = time.perf_counter()
        yield
        self.seconds[step] = round(time.perf_counter() - begin, 3)


Hook: TypeAlias = Callable[[Local], Awaitable[None]]


def _open_folder(opening: AsyncExitStack, settings: LocalSettings) -> Path:
    if settings.data_dir is None:
        return Path(opening.enter_context(tempfile.TemporaryDirectory(prefix="shoebox-")))
    return opening.enter_context(data_folder(settings.data_dir.resolve(), fresh=settings.fresh))


def _reserve(reserved: ExitStack, port: int, purpose: str) -> int:
    """Hold a port until the fleet takes it: its number is needed long before, in the buckets' CORS rules."""
    held = reserved.enter_context(listen(port, purpose))
    number: int = held.getsockname()[1]
    return number


@asynccontextmanager
async def _while_it_lives(emulator: Emulator) -> AsyncIterator[None]:
    """Cancels the block when the emulator dies.

    Raises:
        EmulatorDied: it did; whatever else failed because of that is left out.
    """
    try:
        async with asyncio.TaskGroup() as group:
            watch = group.create_task(emulator.watch())
            yield
            watch.cancel()
    except BaseExceptionGroup as errors:
        raise first_of(errors.subgroup(EmulatorDied) or errors) from None
