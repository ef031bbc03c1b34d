"""The embedded AWS emulator, seen from its client: ministack with IAM on, as a subprocess on 127.0.0.1 (ADR 0002).

EmulatorError
├── EmulatorFailed       it did not start
│   ├── StateUnreadable  because what it kept cannot be read
│   └── NoRoomToStart    because the disk is full
├── EmulatorDied         it ended while it was needed
└── StateNotSaved        it stopped, and could not save its state
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NoReturn, Self

from emulator.disk_space import disk_full_message
from emulator.limiter.middleware import is_unlimited, to_json
from emulator.limiter.usage import read_data_use
from fleet.http.ports import listen
from fleet.limits.quotas import AWS_QUOTAS, Quotas
from fleet.limits.use import DataUse
from shoebox.aws.botocore_errors import aws_errors
from shoebox.aws.clients import Clients
from shoebox.aws.credentials import Credentials
from shoebox.aws.errors import AwsError
from shoebox.config import AwsSettings
from shoebox.telemetry import get_logger

_MAIN = Path(__file__).parent / "server" / "main.py"
ACCOUNT = "000000000000"
# ministack takes "test", and any twelve digits, as root and never checks root's signature; so it is no secret, and
# only provisioning uses it. What runs as a function has a role.
ROOT_CREDENTIALS = Credentials("test", "test")
START_SECONDS = 30
STOP_SECONDS = 20  # on SIGTERM it saves what has changed in the last second
_LOG_LINES = 15
_LOG_BYTES = 8192

log = get_logger(action="emulator")


class EmulatorError(RuntimeError):
    """The emulator cannot be used; the message holds the end of its log."""


class EmulatorFailed(EmulatorError):
    """It did not start."""


class StateUnreadable(EmulatorFailed):
    """What it kept cannot be read; it is left as it is."""


class NoRoomToStart(EmulatorFailed):
    """Its disk is full; what it kept is left as it is."""


class EmulatorDied(EmulatorError):
    """It ended while it was needed."""


class StateNotSaved(EmulatorError):
    """It stopped, and what came after its last save is lost."""


@dataclass(frozen=True, slots=True)
class Recovery:
    """What a start found of the run before: whether it was cut off, and when it last saved (epoch seconds).

    `uploads_again` counts uploads since then, whose events were fired again; `other_objects` counts other new objects.
    """

    cut_off: bool = False
    saved_at: float | None = None
    uploads_again: int = 0
    other_objects: int = 0


class Emulator:
    """Starts the emulator, waits until it answers, and stops it at the end of its `async with`.

    With `data_dir` everything is loaded from there and saved there every second; a kill -9 loses what came after the
    last save (`recovery` tells at the next start), but no object of S3's. Without, it lives in memory. `port` 0 takes
    any free port. DynamoDB's and S3's `quotas` are kept inside its process (emulator.limiter). It inherits the
    descriptors `inherited`, and so keeps a lock of its parent's when that is killed.

    Raises:
        PortTaken: another program has the port.
        EmulatorFailed: it ended or stayed silent instead of starting.
        StateUnreadable: that, since what is in `data_dir` cannot be read.
        NoRoomToStart: that, since the disk is full.
        StateNotSaved: at the end.
    """

    def __init__(
        self,
        data_dir: Path | None = None,
        port: int = 0,
        *,
        region: str = "us-east-1",
        quotas: Quotas = AWS_QUOTAS,
        inherited: Sequence[int] = (),
    ) -> None:
        self._inherited = inherited
        self._data_dir = data_dir
        self._wanted_port = port
        self._region = region
        self._quotas = quotas
        self._process: asyncio.subprocess.Process | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._log: BinaryIO | None = None
        self.port = 0
        self.died = asyncio.Event()
        self.recovery = Recovery()

    @property
    def url(self) -> str:
        """Address of all its services."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def aws(self) -> AwsSettings:
        """Settings for its clients."""
        return AwsSettings(region=self._region, endpoint_url=self.url)

    @property
    def pid(self) -> int | None:
        """Process id, while it runs."""
        return self._process.pid if self._process and self._process.returncode is None else None

    async def data_use(self) -> DataUse:
        """Return the use of DynamoDB's and S3's limits, and what was counted; nothing if it keeps none, or died."""
        return DataUse() if is_unlimited(self._quotas) else await read_data_use(self.url)

    async def __aenter__(self) -> Self:
        try:
            await self._launch()
            await self._until_ready()
            if self._data_dir:
                self.recovery = read_recovery(self._data_dir) or Recovery()
        except BaseException:
            with suppress(StateNotSaved):  # what went wrong before matters more
                await self.stop()
            raise
        log.info("emulator_started", url=self.url, pid=self.pid)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.stop()

    async def _launch(self) -> None:
        self._log = self._open_log()
        # The process gets a copy of the socket: an original left open here would keep callers waiting after its death.
        with listen(self._wanted_port, "the emulator") as listener:
            self.port = listener.getsockname()[1]
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", str(_MAIN), str(listener.fileno())),
                *(() if is_unlimited(self._quotas) else (to_json(self._quotas),)),
                stdin=asyncio.subprocess.PIPE,
                stdout=self._log,
                stderr=self._log,
                env=self._environment(),
                pass_fds=[listener.fileno(), *self._inherited],
                start_new_session=True,  # Ctrl-C is for us alone: the emulator must outlive what uses it
            )
        self._watcher = asyncio.create_task(self._note_death(self._process))

    def _environment(self) -> dict[str, str]:
        """Return all that ministack sees: nothing of the user's own AWS, LocalStack or Docker settings."""
        settings = {
            "AUTH": "true",
            "AWS_ACCESS_KEY_ID": ROOT_CREDENTIALS.access_key_id,
            "AWS_SECRET_ACCESS_KEY": ROOT_CREDENTIALS.secret_access_key,
            "BIND_HOST": "127.0.0.1",
            "DOCKER_HOST": "unix:///nonexistent/docker.sock",  # at start it would remove other ministacks' containers
            "GATEWAY_PORT": str(self.port),
            "IOT_MTLS_ENABLED": "0",
            "LOG_LEVEL": "WARNING",
            "MINISTACK_ACCOUNT_ID": ACCOUNT,
            "MINISTACK_REGION": self._region,
            "PYTHONUNBUFFERED": "1",
            "SFTP_ENABLED": "0",
        }
        if self._data_dir is None:
            return settings
        folders = {"STATE_DIR": str(self._data_dir / "state"), "S3_DATA_DIR": str(self._data_dir / "s3")}
        return settings | folders | {"PERSIST_STATE": "1", "S3_PERSIST": "1"}

    def _open_log(self) -> BinaryIO:
        if self._data_dir is None:
            return tempfile.TemporaryFile()
        self._data_dir.mkdir(parents=True, exist_ok=True)
        return (self._data_dir / "emulator.log").open("w+b")

    async def _until_ready(self) -> None:
        """Make one real call; it waits in the socket's backlog until the server is up."""
        called = asyncio.create_task(self._call())
        died = asyncio.create_task(self.died.wait())
        try:
            await asyncio.wait([called, died], timeout=START_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            if not called.done():
                raise self._failed_start()
            with aws_errors():
                called.result()
        except AwsError as error:
            raise EmulatorFailed(self._with_log(f"The emulator does not work: {error}")) from error
        finally:
            called.cancel()
            died.cancel()

    async def _call(self) -> None:
        async with Clients(self.aws, ROOT_CREDENTIALS) as clients:
            await (await clients.open("sts")).get_caller_identity()

    def _failed_start(self) -> EmulatorFailed:
        status = self._process.returncode if self._process else None
        if self._data_dir and status == os.EX_DATAERR:
            return StateUnreadable(self._with_log(f"What is stored in {self._data_dir} cannot be read."))
        if self._data_dir and status == os.EX_IOERR:
            return NoRoomToStart(self._with_log(disk_full_message(self._data_dir)))
        reason = "ended" if self.died.is_set() else f"did not respond in {START_SECONDS} s"
        return EmulatorFailed(self._with_log(f"The emulator {reason} instead of starting."))

    async def _note_death(self, process: asyncio.subprocess.Process) -> None:
        status = await process.wait()
        log.error("emulator_died", status=status, lines=self.last_log_lines())
        self.died.set()

    async def watch(self) -> NoReturn:
        """Wait for the emulator's death, which should not come.

        Raises:
            EmulatorDied: it came; the message holds the end of its log.
        """
        await self.died.wait()
        status = self._process.returncode if self._process else None
        message = f"The emulator ended by itself (status {status}). Start again; its last second may be lost."
        raise EmulatorDied(self._with_log(message))

    def _with_log(self, message: str) -> str:
        lines = self.last_log_lines()
        return f"{message} The end of its log:\n{lines}" if lines else message

    def last_log_lines(self) -> str:
        """Return the end of what it has written, for messages."""
        if self._log is None or self._log.closed:
            return ""
        start = max(0, os.fstat(self._log.fileno()).st_size - _LOG_BYTES)
        end = os.pread(self._log.fileno(), _LOG_BYTES, start)  # leaves the offset, which the child shares, alone
        return "\n".join(end.decode(errors="replace").splitlines()[-_LOG_LINES:])

    async def stop(self) -> None:
        """Ask it to stop, give it time to save its data, then kill it; stopping twice does no harm.

        Raises:
            StateNotSaved: it stopped, but could not save its state. A death before is reported by `watch`.
        """
        process, watcher, self._watcher = self._process, self._watcher, None
        try:
            if process and watcher:
                watcher.cancel()
                if process.returncode is None:
                    await self._terminate(process)
        finally:
            if self._log:
                self._log.close()

    async def _terminate(self, process: asyncio.subprocess.Process) -> None:
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(STOP_SECONDS):
                status = await process.wait()
        except TimeoutError:
            log.error("emulator_killed", seconds=STOP_SECONDS, lines=self.last_log_lines())
            with suppress(ProcessLookupError):
                process.kill()
            status = await process.wait()
        if self._data_dir and status != -signal.SIGTERM:  # with which uvicorn ends after an orderly stop
            raise StateNotSaved(self._with_log("The emulator stopped, but could not save its state."))


def read_recovery(data_dir: Path) -> Recovery | None:
    """Return what the last start with this folder found; None where there was none."""
    try:
        found = json.loads((data_dir / "state" / "recovery.json").read_bytes())
        counts = int(found["uploads_again"]), int(found.get("other_objects", 0))
        return Recovery(bool(found["cut_off"]), found["saved_at"], *counts)
    except (OSError, ValueError, KeyError, TypeError):
        return None
