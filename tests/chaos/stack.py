"""A stack under test: `shoebox up` as a process of its own, its processes by role, its AWS from outside."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import psutil
import yaml

from emulator.embedded import ROOT_CREDENTIALS, Emulator
from fleet.limits.quotas import load_quotas
from shoebox.aws.clients import Clients
from shoebox.config import AwsSettings
from shoebox.stack.deployment import ResolvedStack, resolve
from shoebox.stack.model import load_stack
from shoebox.tenants.keys import KeyPair, jwks_document
from shoebox.tenants.tokens import mint_token
from standalone.stack import emulated_deployment
from tests.chaos.proxy import Proxy
from tests.command import COMMAND

REPOSITORY = Path(__file__).parents[2]
START_SECONDS = 90
Change = Callable[[dict[str, Any]], None]
ROLES = ("main", "emulator", "authorizer", "api", "ingest", "cleanup", "decode")


class StackFailedError(Exception):
    """`shoebox up` ended instead of starting; the message is what it wrote to stderr."""


def short_timeouts(stack: dict[str, Any]) -> None:
    """Let messages of a dead worker come back after 24 s instead of six minutes; clean-up is never the bottleneck."""
    stack["functions"]["cleanup"]["queue"]["maximum_concurrency"] = 6
    stack["functions"]["ingest"]["timeout"] = 4
    stack["queues"]["uploads"]["visibility_timeout"] = 24
    stack["functions"]["cleanup"]["timeout"] = 4
    stack["queues"]["deletions"]["visibility_timeout"] = 24
    for name in ("uploads", "deletions"):
        stack["queues"][name]["max_receive_count"] = 5


def free_port() -> int:
    """Return a port that nobody has at the moment."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


@dataclass
class Stack:
    """One stack and its data folder through as many starts as an experiment wants.

    `changes` are made to stack.yaml. With `proxied` the emulator is ours, and everybody reaches it through `proxy`.
    `disk` is the size in MB of a disk of its own for the data.
    """

    folder: Path
    random: Random
    changes: tuple[Change, ...] = (short_timeouts,)
    options: tuple[str, ...] = ()
    proxied: bool = False
    disk: int | None = None
    proxy: Proxy | None = None
    addresses: dict[str, Any] = field(default_factory=dict)
    starts: int = 0
    port: int = field(default_factory=free_port)  # the gateway's, so that clients find it again
    process: asyncio.subprocess.Process | None = None
    _keys: dict[str, KeyPair] = field(default_factory=dict)
    _opened: AsyncExitStack = field(default_factory=AsyncExitStack)
    _resolved: ResolvedStack | None = None
    _clients: Clients | None = None

    # --- life --------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Stack]:
        """Start; stop at the end of the block, whatever is left then."""
        async with AsyncExitStack() as around:
            options = self.options
            if self.disk:
                around.enter_context(small_disk(self.data, self.disk))
            if self.proxied:
                quotas = load_quotas("off")
                emulator = await around.enter_async_context(Emulator(self.folder / "aws", quotas=quotas))
                self.proxy = await around.enter_async_context(Proxy(emulator.port, self.random).running())
                self.options = (*options, "--endpoint-url", self.proxy.url, "--quotas", "off")
            try:
                await self.start()
                yield self
            finally:
                await self.stop()
                self.options = options

    async def start(self) -> None:
        """Start `shoebox up` on the data folder, and wait until it says where it is.

        Raises:
            StackFailedError: it ended instead.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self.starts += 1
        with self.error_file.open("wb") as errors:
            self.process = await asyncio.create_subprocess_exec(
                *COMMAND,
                *("up", "--json", "--data", str(self.data), "--stack", str(self._stack_file())),
                *("--port", str(self.port), "--emulator-port=0", "--control-port=0", "--runtime-port=0"),
                *self.options,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=errors,
                env=environment(),
                start_new_session=True,
            )
        self.addresses = await self._announced(self.process)
        await self._open()

    async def start_with_retries(self, seconds: float = 60) -> int:
        """Start, again and again while the former stack still saves; return how often the start was refused."""
        end, refusals = time.monotonic() + seconds, 0
        while True:
            try:
                await self.start()
            except StackFailedError:
                if time.monotonic() > end:
                    raise
                refusals += 1
                await asyncio.sleep(0.3)
            else:
                return refusals

    async def kill(self) -> None:
        """Send SIGKILL to the main process alone; its emulator notices, saves and ends."""
        assert self.process is not None
        with suppress(ProcessLookupError):
            self.process.kill()
        await self.process.wait()
        await self._close()

    async def wait(self, seconds: float = 60) -> int:
        """Wait for its end; return the exit code."""
        assert self.process is not None
        code = await asyncio.wait_for(self.process.wait(), seconds)
        await self._close()
        return code

    async def stop(self) -> int:
        """Send SIGTERM, as an operator stops it; return the exit code."""
        assert self.process is not None
        await self._close()
        if self.process.returncode is None:
            for process in self.all_processes():
                with suppress(psutil.Error):
                    process.resume()
            with suppress(ProcessLookupError):
                self.process.terminate()
            try:
                await asyncio.wait_for(self.process.wait(), 60)
            except TimeoutError:
                self.process.kill()
                await self.process.wait()
        return self.process.returncode or 0

    @property
    def data(self) -> Path:
        """What `--data` names."""
        return self.folder / "data"

    @property
    def error_file(self) -> Path:
        """What the last start writes to stderr."""
        return self.folder / f"up-{self.starts}.err"

    @property
    def url(self) -> str:
        """The gateway."""
        return str(self.addresses["url"])

    def _stack_file(self) -> Path:
        document = yaml.safe_load((REPOSITORY / "stack.yaml").read_text())
        for change in self.changes:
            change(document)
        path = self.folder / "stack.yaml"
        path.write_text(yaml.safe_dump(document, sort_keys=False))
        return path

    async def _announced(self, process: asyncio.subprocess.Process) -> dict[str, Any]:
        note, end = self.data / "running.json", time.monotonic() + START_SECONDS
        while process.returncode is None and time.monotonic() < end:
            with suppress(OSError, ValueError):
                found: dict[str, Any] = json.loads(note.read_text())
                if found["pid"] == process.pid:
                    return found
            await asyncio.sleep(0.05)
        if process.returncode is None:
            process.kill()
            await process.wait()
        raise StackFailedError(self.error_output())

    def error_output(self) -> str:
        """Return what the last start has written to stderr so far."""
        return self.error_file.read_text(errors="replace")

    # --- processes ---------------------------------------------------------------------------------------------

    def all_processes(self) -> list[psutil.Process]:
        """Return the main process and all below it."""
        assert self.process is not None
        try:
            main = psutil.Process(self.process.pid)
            return [main, *main.children(recursive=True)]
        except psutil.Error:
            return []

    def processes(self, role: str) -> list[psutil.Process]:
        """Return those of a role: main, emulator, a function's name, or decode for ingest's children."""
        return [process for process in self.all_processes() if self._role(process) == role]

    def _role(self, process: psutil.Process) -> str | None:
        assert self.process is not None
        if process.pid == self.process.pid:
            return "main"
        if process.pid == self.addresses.get("emulator_pid"):
            return "emulator"
        with suppress(psutil.Error):
            if process.ppid() == self.process.pid:
                return process.environ().get("AWS_LAMBDA_FUNCTION_NAME", "").removeprefix("shoebox-")
            parent = process.parent()
            return "decode" if parent and self._role(parent) == "ingest" else None
        return None

    # --- its AWS, from outside ---------------------------------------------------------------------------------

    async def _open(self) -> None:
        await self._close()
        url = self.addresses["emulator"]
        deployment = emulated_deployment(url, gateway_url=self.url)
        self._resolved = resolve(load_stack(self._stack_file()), deployment)
        self._clients = await self._opened.enter_async_context(Clients(AwsSettings(endpoint_url=url), ROOT_CREDENTIALS))
        for tenant in self._keys:
            await self._publish(tenant)

    async def _close(self) -> None:
        opened, self._opened = self._opened, AsyncExitStack()
        await opened.aclose()

    async def client(self, service: str) -> Any:
        """Return an AWS client that may do anything."""
        assert self._clients is not None
        return await self._clients.open(service)

    def name(self, kind: str, name: str) -> str:
        """Return a physical name."""
        assert self._resolved is not None
        return self._resolved.name_of(kind, name)

    def queue_url(self, name: str) -> str:
        """Return a queue's address."""
        assert self._resolved is not None
        return self._resolved.queue_url(name)

    def arn(self, kind: str, name: str) -> str:
        """Return an ARN."""
        assert self._resolved is not None
        return self._resolved.arn_of(kind, name)

    # --- tenants -----------------------------------------------------------------------------------------------

    async def add_tenant(self, tenant: str) -> None:
        """Make a key for a tenant and publish it."""
        if tenant not in self._keys:
            self._keys[tenant] = KeyPair.generate()
            await self._publish(tenant)

    async def _publish(self, tenant: str) -> None:
        s3 = await self.client("s3")
        body = jwks_document([self._keys[tenant]])
        await s3.put_object(Bucket=self.name("bucket", "public"), Key=f"keys/{tenant}.json", Body=body)

    def token(self, tenant: str, user: str) -> str:
        """Return a token for an hour."""
        return mint_token(self._keys[tenant], tenant=tenant, user=user, lifetime=3600, now=time.time())


def send_signal(processes: Iterable[psutil.Process], number: signal.Signals) -> int:
    """Send a signal to those that still live; return to how many."""
    sent = 0
    for process in processes:
        with suppress(psutil.Error):
            process.send_signal(number)
            sent += 1
    return sent


@contextmanager
def stopped(processes: Sequence[psutil.Process]) -> Iterator[None]:
    """Stop the processes with SIGSTOP for the block."""
    send_signal(processes, signal.SIGSTOP)
    try:
        yield
    finally:
        send_signal(processes, signal.SIGCONT)


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[None]:
    """Provide a tmpfs at `folder` for the block; needs root."""
    folder.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "chaos", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=False)


def environment() -> dict[str, str]:
    """Return the variables of a command under test, without our own settings."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("SHOEBOX_", "AWS_", "PYTHONDONTWRITE"))}
    return {**clean, "PYTHONPATH": str(REPOSITORY), "COLUMNS": "200"}
