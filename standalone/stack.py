"""A whole stack: data folder, emulator, provisioning, fleet; started in order, stopped in reverse.

The emulator is the embedded one, or one that somebody else runs, in a container for example.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self, TypeAlias

from emulator.data_folder import StillSaving, data_folder
from emulator.disk_space import watch_space
from emulator.embedded import ACCOUNT, ROOT_CREDENTIALS, Emulator, EmulatorDied
from emulator.limiter.middleware import is_unlimited
from emulator.limiter.proxy import limiting_proxy
from emulator.limiter.usage import read_data_use
from emulator.provision import Report, RoleSource, provision
from emulator.tasks import running
from emulator.watchdog import EmulatorWatchdog, wait_for_emulator
from fleet.http.ports import LOOPBACK, listen
from fleet.limits.quotas import AWS_QUOTAS, Quotas
from fleet.limits.use import DataUse
from fleet.logs import LineCallback
from fleet.service import Fleet
from fleet.settings import LONG_POLL, FleetSettings
from shoebox.aws.clients import Clients
from shoebox.aws.credentials import Credentials
from shoebox.config import AwsSettings
from shoebox.stack.deployment import Deployment, ResolvedStack, resolve
from shoebox.stack.model import StackError, load_stack
from shoebox.telemetry import get_logger

_SAVING_SECONDS = 30.0  # that the emulator of a killed stack gets to end
_POLL_SECONDS = 0.1
_SHORT_POLL = 2  # on an emulator that outlives us: the end waits for the poll under way

log = get_logger(action="standalone")


@dataclass(frozen=True, slots=True)
class StandaloneSettings:
    """Settings of a stack on this machine. Port 0 takes any free port; `data_dir` None keeps nothing.

    `task_root` is where the functions' code is imported from; `environment` is added to every function's variables.
    `endpoint_url` names an emulator that runs already, `credentials` are then its administrator's, and it gets
    `endpoint_seconds` to answer. `gateway_url` and `s3_public_url` are the addresses as clients see them, where they
    differ. `host`, `runtime_port`, `joined` and `quotas` as in `fleet.settings.FleetSettings`. `limiter_port` is where
    DynamoDB's and S3's quotas are kept for such an emulator, and `limiter_url` its address as functions elsewhere see
    it.
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
    max_environments: int = 8
    endpoint_url: str | None = None
    endpoint_seconds: float = 60.0
    credentials: Credentials = ROOT_CREDENTIALS
    gateway_url: str | None = None
    s3_public_url: str | None = None
    host: str = LOOPBACK
    runtime_port: int = 9002
    joined: frozenset[str] = frozenset()
    limiter_port: int = 0
    limiter_url: str | None = None
    quotas: Quotas = AWS_QUOTAS


class StandaloneStack:
    """A running stack; made by `StandaloneStack.start`. Its parts appear in the order of the attributes.

    `emulator` is None where somebody else runs it; `endpoint_url` is its address in any case. `clients` may do
    anything. `seconds` is how long each step of the start took.
    """

    folder: Path
    emulator: Emulator | None
    endpoint_url: str
    clients: Clients
    resolved: ResolvedStack
    report: Report
    fleet: Fleet

    def __init__(self, settings: StandaloneSettings, after_provision: Hook | None) -> None:
        self.settings = settings
        self.seconds: dict[str, float] = {}
        self._after_provision = after_provision
        self._lock: tuple[int, ...] = ()
        self._functions_url = ""  # where functions reach the emulator: at its limiter, if there is one
        self._limiter_url: str | None = None

    @classmethod
    @asynccontextmanager
    async def start(
        cls,
        settings: StandaloneSettings,
        after_provision: Hook | None = None,
        *,
        on_line: LineCallback | None = None,
        on_wait: Callable[[], None] = lambda: None,
    ) -> AsyncIterator[Self]:
        """Start everything; `after_provision` may put data into the stack before the first function runs.

        The block is cancelled when the emulator dies. `on_line` gets every line that a function prints; `on_wait` is
        called while the emulator of a killed stack still saves its data in the folder.

        Raises:
            DataFolderError, PortTaken, StackError, EmulatorError, EmulatorUnreachable, ProvisionError: with a message
                for the user.
        """
        stack = cls(settings, after_provision)
        async with AsyncExitStack() as opened:
            await stack._start(opened, on_line, on_wait)
            log.info("stack_started", gateway=stack.fleet.gateway_url, seconds=stack.seconds)
            yield stack

    async def _start(self, opened: AsyncExitStack, on_line: LineCallback | None, on_wait: Callable[[], None]) -> None:
        settings = self.settings
        stack = load_stack(settings.stack_file)
        if unknown := settings.joined - stack.functions.keys():
            raise StackError(f"{settings.stack_file} has no function {', '.join(sorted(unknown))} to join")
        await self._open_folder(opened, on_wait)
        # The fleet takes its ports last, but their numbers are needed before, in the buckets' CORS rules.
        reserved = opened.enter_context(ExitStack())
        gateway_port = _reserve(reserved, settings.gateway_port, "the gateway", settings.host)
        control_port = _reserve(reserved, settings.control_port, "the fleet's control port", settings.host)
        with self._timed("emulator"):
            if settings.endpoint_url is None:
                await self._start_emulator(opened)
            else:
                await self._connect_to_emulator(opened, settings.endpoint_url)
        with self._timed("provision"):
            gateway_url = settings.gateway_url or f"http://{LOOPBACK}:{gateway_port}"
            deployment = emulated_deployment(
                self.endpoint_url,
                functions_url=self._functions_url,
                gateway_url=gateway_url,
                prefix=settings.prefix,
                region=settings.region,
                s3_public_url=settings.s3_public_url,
            )
            self.resolved = resolve(stack, deployment)
            await self._provision()
        with self._timed("fleet"):
            reserved.close()
            fleet = Fleet(
                self.resolved,
                self._fleet_settings(gateway_port, control_port),
                RoleSource(self.resolved, self.clients),
                on_line=on_line,
                data_limits=self._data_use,
                administrator=ROOT_CREDENTIALS if self.emulator else settings.credentials,
            )
            self.fleet = await opened.enter_async_context(fleet)
        if self.emulator is None:
            watchdog = EmulatorWatchdog(self.resolved, self.clients, self._restore)
            await opened.enter_async_context(running(watchdog.run()))

    async def _open_folder(self, opened: AsyncExitStack, on_wait: Callable[[], None]) -> None:
        data_dir = self.settings.data_dir
        if data_dir is None:
            self.folder = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="shoebox-")))
            return
        deadline = time.monotonic() + _SAVING_SECONDS
        while True:
            try:
                held = opened.enter_context(data_folder(data_dir.resolve(), fresh=self.settings.fresh))
                break
            except StillSaving:
                if time.monotonic() > deadline:
                    raise
                on_wait()
                await asyncio.sleep(_POLL_SECONDS)
        self.folder, self._lock = held.path, (held.lock,)

    async def _start_emulator(self, opened: AsyncExitStack) -> None:
        settings = self.settings
        kept = None if settings.data_dir is None else self.folder / "aws"
        emulator = Emulator(
            *(kept, settings.emulator_port), region=settings.region, quotas=settings.quotas, inherited=self._lock
        )
        self.emulator = await opened.enter_async_context(emulator)
        self.endpoint_url = self._functions_url = emulator.url
        if emulator.recovery.cut_off:
            log.warning("emulator_recovered", **asdict(emulator.recovery))
        await opened.enter_async_context(running(emulator.watch(), cause=EmulatorDied))
        if kept is not None:
            await opened.enter_async_context(running(watch_space(kept)))
        self.clients = await opened.enter_async_context(Clients(emulator.aws, ROOT_CREDENTIALS))

    async def _connect_to_emulator(self, opened: AsyncExitStack, url: str) -> None:
        """Wait for an emulator that somebody else runs, and put a limiter in front of it for the functions."""
        settings = self.settings
        self.emulator, self.endpoint_url = None, url
        aws = AwsSettings(region=settings.region, endpoint_url=url)
        self.clients = await opened.enter_async_context(Clients(aws, settings.credentials))
        await wait_for_emulator(self.clients, url, settings.endpoint_seconds)
        # Functions that join from other machines cannot reach a limiter here, unless its address for them is known.
        out_of_reach = settings.joined and settings.host != LOOPBACK and settings.limiter_url is None
        if out_of_reach or is_unlimited(settings.quotas):
            self._functions_url = url
            return
        limiter = limiting_proxy(url, settings.quotas, port=settings.limiter_port, host=settings.host)
        self._limiter_url = await opened.enter_async_context(limiter)
        self._functions_url = settings.limiter_url or self._limiter_url

    async def _provision(self) -> None:
        self.report = await provision(self.resolved, self.clients)
        if self._after_provision:
            await self._after_provision(self)

    async def _restore(self) -> None:
        """Provision again: the emulator was away, and may have forgotten everything, the roles' sessions, too."""
        await self._provision()
        self.fleet.renew_credentials()

    async def _data_use(self) -> DataUse:
        if self.emulator:
            return await self.emulator.data_use()
        return await read_data_use(self._limiter_url) if self._limiter_url else DataUse()

    def _fleet_settings(self, gateway_port: int, control_port: int) -> FleetSettings:
        settings, outlives_us = self.settings, self.emulator is None
        return FleetSettings(
            log_folder=self.folder / "logs",
            metrics_dir=self.folder / "metrics",
            task_root=settings.task_root.resolve(),
            gateway_port=gateway_port,
            control_port=control_port,
            environment=settings.environment,
            max_environments=settings.max_environments,
            host=settings.host,
            runtime_port=settings.runtime_port,
            joined=settings.joined,
            quotas=settings.quotas,
            poll_seconds=_SHORT_POLL if outlives_us else LONG_POLL,
            finish_polls=outlives_us,
        )

    @contextmanager
    def _timed(self, step: str) -> Iterator[None]:
        begin = time.perf_counter()
        yield
        self.seconds[step] = round(time.perf_counter() - begin, 3)


Hook: TypeAlias = Callable[[StandaloneStack], Awaitable[None]]


def emulated_deployment(
    url: str,
    *,
    gateway_url: str,
    functions_url: str | None = None,
    prefix: str = "shoebox",
    region: str = "us-east-1",
    s3_public_url: str | None = None,
) -> Deployment:
    """Return the deployment of a stack in the emulator at `url`, which serves all of AWS at one address.

    `functions_url` is where functions reach it, `s3_public_url` where clients do, if these differ.
    """
    return Deployment(
        prefix=prefix,
        account=ACCOUNT,
        region=region,
        endpoint_url=functions_url or url,
        s3_url=functions_url or url,
        s3_public_url=s3_public_url or url,
        sqs_url=url,
        gateway_url=gateway_url,
    )


def _reserve(reserved: ExitStack, port: int, purpose: str, host: str) -> int:
    """Hold a port until `reserved` is closed, and return its number."""
    number: int = reserved.enter_context(listen(port, purpose, host)).getsockname()[1]
    return number
