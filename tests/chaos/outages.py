"""Experiments with what Shoebox depends on: no host, no disk, no emulator, and ingest that starts too late."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from shoebox_client.errors import ClientError
from tests.chaos.judge import Verdict
from tests.chaos.lab import Experiment, Lab
from tests.chaos.load import Load
from tests.chaos.stack import Stack, environment, stopped
from tests.command import COMMAND

_OUTAGE_SECONDS = 20
_MB = 2**20


@asynccontextmanager
async def hosted(stack: Stack, function: str = "ingest") -> AsyncIterator[None]:
    """`shoebox host FUNCTION` during the block."""
    with (stack.folder / "host.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *COMMAND,
            *("host", function, "--fleet", str(stack.addresses["hosts"])),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment(),
            start_new_session=True,
        )
    try:
        yield
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


def _shorter_timeouts(stack: dict[str, Any]) -> None:
    stack["functions"]["ingest"]["timeout"] = 3
    stack["queues"]["uploads"] |= {"visibility_timeout": 18, "max_receive_count": 5}


def _short_registrations(stack: dict[str, Any]) -> None:
    # Long timeouts, so that nothing becomes a dead letter meanwhile: that is another experiment.
    stack["functions"]["ingest"]["timeout"] = 10
    stack["queues"]["uploads"]["visibility_timeout"] = 60
    for function in ("api", "ingest"):
        stack["functions"][function]["environment"]["SHOEBOX_REGISTRATION_SECONDS"] = "60"


async def no_host(lab: Lab) -> Verdict:
    """Check that photos wait for a host, and become no dead letters."""
    return await _late(lab, 5 * 18 + 60)


async def late_ingest(lab: Lab) -> Verdict:
    """Check that a photo becomes READY whose bytes were sent before its registration expired."""
    return await _late(lab, 130)


async def _late(lab: Lab, seconds: float) -> Verdict:
    load = lab.load()
    photos = await load.make(lab.photos)
    await load.upload(photos)
    await asyncio.sleep(seconds)
    async with hosted(lab.stack):
        verdict = await lab.judge(load).judge(seconds=90)
    verdict.faults = 1
    return verdict


async def outage(lab: Lab, how: str) -> Verdict:
    """Stop the emulator for 20 s while `shoebox upload` runs, which must neither fail nor report a photo twice."""
    load, stack = lab.load(), lab.stack
    photos = await load.make(lab.photos)
    process = await load.command(photos, "--concurrency", "1")
    communicating = asyncio.create_task(process.communicate())
    while not await lab.judge(load).objects() and process.returncode is None:  # noqa: ASYNC110 - in other processes
        await asyncio.sleep(0.05)
    if how == "frozen":
        with stopped(stack.processes("emulator")):
            await asyncio.sleep(_OUTAGE_SECONDS)
    else:
        assert stack.proxy is not None
        stack.proxy.away = True
        await asyncio.sleep(_OUTAGE_SECONDS)
        stack.proxy.away = False
    stdout, stderr = await asyncio.wait_for(communicating, 300)
    load.note_stored(photos, stdout)
    verdict = await lab.judge(load).judge(seconds=60)
    verdict.faults = 1
    verdict.note = f"upload ended with {process.returncode}: {_last(stderr)}" if process.returncode else ""
    return verdict


def _last(text: bytes) -> str:
    return (text.decode(errors="replace").strip().splitlines() or [""])[-1]


async def full_disk(lab: Lab, keep: int) -> Verdict:
    """Check that what got 200 is there after a stop and a start with more room, and that the rest was refused."""
    load, stack = lab.load(), lab.stack
    await load.ready(lab.photos // 2)
    filler = stack.data / "others"
    _fill(filler, keep)
    new = await load.make(lab.photos - lab.photos // 2)
    await load.upload(new, over=3, seconds=25)
    states = await _states(load)
    died = stack.process is not None and stack.process.returncode is not None
    code = await stack.stop()
    errors = stack.error_output()
    filler.unlink()
    await stack.start_with_retries()
    verdict = await lab.judge(load).judge(seconds=60, may_refuse=True)
    verdict.faults = 1
    stored = sum(photo.stored for photo in new)
    ready = sum(state == "READY" for state in states.values())
    verdict.note = f"{stored} of {len(new)} taken on a full disk, {ready} READY in all; up ended with {code}"
    if died:
        verdict.findings.append(f"up died: {_last(errors.encode())}")
    if verdict.lost and code == 0:
        verdict.findings.append("the stop ended with 0, although not everything was saved")
    return verdict


def _fill(path: Path, keep: int) -> None:
    """Write a file that leaves `keep` bytes of its disk, while others write there, too."""
    disk = os.statvfs(path.parent)
    with path.open("wb") as file, suppress(OSError):
        os.posix_fallocate(file.fileno(), 0, disk.f_bavail * disk.f_frsize - max(keep, _MB))
        file.seek(0, os.SEEK_END)
        while not keep:
            os.write(file.fileno(), bytes(4096))


async def _states(load: Load) -> dict[str, str]:
    try:
        return await load.states(load.photos)
    except ClientError:
        return {}


EXPERIMENTS = [
    Experiment(
        "outage-frozen",
        f"SIGSTOP the emulator for {_OUTAGE_SECONDS} s while `shoebox upload` runs",
        partial(outage, how="frozen"),
        "plain",
    ),
    Experiment(
        "outage-refused",
        f"no connection to the emulator for {_OUTAGE_SECONDS} s while `shoebox upload` runs",
        partial(outage, how="refused"),
        "proxied",
    ),
    Experiment(
        "no-host",
        "a joined function has no host for longer than five receives last",
        no_host,
        "own",
        changes=(_shorter_timeouts,),
        options=("--join", "ingest"),
    ),
    Experiment(
        "late-ingest",
        "ingest comes when the registrations (60 s) have run out",
        late_ingest,
        "own",
        changes=(_short_registrations,),
        options=("--join", "ingest"),
    ),
    *(
        Experiment(
            name,
            f"files of others leave {keep // _MB} MB on the data folder's disk; upload, stop, room, start (root)",
            partial(full_disk, keep=keep),
            "own",
            disk=1024,
        )
        for name, keep in (("full-disk", 2 * _MB), ("no-space", 0))
    ),
]
