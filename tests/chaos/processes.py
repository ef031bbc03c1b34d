"""Experiments with processes: killed, stopped for a while, started again at once."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

import psutil

from tests.chaos.judge import Verdict
from tests.chaos.lab import Experiment, Lab, beside
from tests.chaos.stack import ROLES, Stack, send_signal, stopped

_LOAD_SECONDS = 6
_HITS = 4
SAVED_SECONDS = 5
"""An emulator that is killed may lose what came in its last seconds; so many are allowed here."""
LOST_WORKER_SECONDS = 25
"""After the loss of a worker its photos must be READY: its messages are hidden for 20 s."""


def _one_slot(stack: dict[str, Any]) -> None:
    """Give each worker one slot, so that one that stands still gets no other batch, and leave room for others."""
    stack["functions"]["ingest"]["slots"] = 1
    stack["functions"]["ingest"]["queue"]["maximum_concurrency"] = 8


async def kill(lab: Lab, role: str) -> Verdict:
    """Send SIGKILL to a process of the role at random moments."""

    async def act() -> int:
        processes = lab.stack.processes(role)
        return send_signal([lab.random.choice(processes)], signal.SIGKILL) if processes else 0

    return await _under_load(lab, act)


async def hold(lab: Lab, role: str) -> Verdict:
    """Send SIGSTOP to all processes of the role at random moments, and SIGCONT after one to four seconds."""

    async def act() -> int:
        processes = lab.stack.processes(role)
        with stopped(processes):
            await asyncio.sleep(lab.random.uniform(1, 4))
        return len(processes)

    return await _under_load(lab, act)


async def lost_worker(lab: Lab, number: signal.Signals) -> Verdict:
    """Kill or stop a worker in the middle of its work; `shoebox upload` succeeds all the same, and soon."""
    load = lab.load()
    photos = await load.make(lab.photos)
    process = await load.command(photos)
    communicating = asyncio.create_task(process.communicate())
    workers = await _at_work(lab, process)
    begin = time.monotonic()
    hit = send_signal(workers, number)
    try:
        stdout, stderr = await asyncio.wait_for(communicating, 600)
    finally:
        send_signal(workers, signal.SIGCONT)
    seconds = time.monotonic() - begin
    load.note_stored(photos, stdout)
    verdict = await lab.judge(load).judge(seconds=30)
    verdict.faults = hit
    verdict.note = f"upload ended with {process.returncode}, {seconds:.1f} s after the worker was lost"
    if process.returncode:
        verdict.findings.append(f"upload ended with {process.returncode}: {stderr.decode(errors='replace')[-200:]}")
    if seconds > LOST_WORKER_SECONDS * lab.timeout_factor:
        verdict.findings.append(f"the photos of a lost worker took {seconds:.0f} s")
    return verdict


async def _at_work(lab: Lab, upload: asyncio.subprocess.Process) -> Sequence[psutil.Process]:
    """Ingest's processes, stopped at a moment when one of them has messages; those without any go on."""
    sqs, attribute = await lab.stack.client("sqs"), "ApproximateNumberOfMessagesNotVisible"
    while upload.returncode is None:
        workers = lab.stack.processes("ingest")
        asked = await sqs.get_queue_attributes(QueueUrl=lab.stack.queue_url("uploads"), AttributeNames=[attribute])
        if int(asked["Attributes"][attribute]):
            await asyncio.sleep(lab.random.uniform(0.1, 0.3))
            send_signal(workers, signal.SIGSTOP)
            await asyncio.sleep(0.3)  # what was done before is deleted meanwhile
            asked = await sqs.get_queue_attributes(QueueUrl=lab.stack.queue_url("uploads"), AttributeNames=[attribute])
            if int(asked["Attributes"][attribute]):
                return workers
            send_signal(workers, signal.SIGCONT)
        await asyncio.sleep(0.02)
    return []


async def _under_load(lab: Lab, act: Callable[[], Awaitable[int]]) -> Verdict:
    """Delete some photos while others are uploaded."""
    load = lab.load()
    old = await load.ready(lab.photos // 2)
    new = await load.make(lab.photos - len(old))
    victims = lab.random.sample(old, len(old) // 2)
    work = asyncio.gather(load.upload(new, over=_LOAD_SECONDS), load.delete(victims, over=_LOAD_SECONDS))
    faults = await beside(work, [lab.random.uniform(0.2, _LOAD_SECONDS + 1) for _ in range(_HITS)], act)
    verdict = await lab.judge(load).judge(seconds=100)
    verdict.faults = faults
    return verdict


async def restart(lab: Lab, pause: float = 0.0, slow: float = 0.0) -> Verdict:
    """Send SIGKILL to `up` under load, and start on the same data; nothing at all may be lost.

    The former emulator is stopped for `slow` seconds, as on a slow disk, or until the new one has started.
    """
    load, stack = lab.load(), lab.stack
    old = await load.ready(lab.photos // 2)
    new = await load.make(lab.photos - len(old))
    refusals = 0
    alarm = False

    async def again() -> int:
        nonlocal refusals, alarm
        emulator = stack.processes("emulator") if slow else []
        send_signal(emulator, signal.SIGSTOP)
        await stack.kill()
        await asyncio.sleep(pause)
        starting = asyncio.create_task(stack.start_with_retries())
        await asyncio.wait([starting], timeout=slow)
        send_signal(emulator, signal.SIGCONT)
        refusals += await starting
        alarm |= _reports_loss(stack)
        return 1

    faults = await beside(load.upload(new, over=6), [lab.random.uniform(1, 3)], again)
    verdict = await lab.judge(load).judge(seconds=60)
    verdict.faults = faults
    verdict.note = f"{refusals} starts refused, because the one before still saved" if refusals else ""
    if alarm:
        verdict.findings.append("a false alarm: up reported a loss after a kill of up alone")
    return verdict


async def crash(lab: Lab, roles: Sequence[str]) -> Verdict:
    """Send SIGKILL to all processes of the roles at once, and start again.

    Photos stored more than `SAVED_SECONDS` ago must be there; younger ones may be gone, if the start reports it, but
    leave nothing behind.
    """
    load, stack = lab.load(), lab.stack
    old = await load.ready(lab.photos // 2)
    await lab.events.take()
    await asyncio.sleep(SAVED_SECONDS)
    new = await load.make(lab.photos - len(old))
    uploading = asyncio.create_task(load.upload(new, over=4))
    await asyncio.sleep(lab.random.uniform(2, 4))
    stored = [photo for photo in load.photos if photo.stored]
    faults = send_signal([process for role in roles for process in stack.processes(role)], signal.SIGKILL)
    code = await stack.wait()
    await stack.start_with_retries()
    states = await load.states(stored)
    forgotten = [photo for photo in stored if photo.file_id not in states]
    await uploading
    for photo in new:
        photo.stored, photo.extra_allowed = False, 1
    await load.upload(new)  # whoever sent them runs again
    verdict = await lab.judge(load).judge(seconds=60)
    verdict.faults = faults
    verdict.note = f"up ended with {code}; of {len(stored)} stored photos {len(forgotten)} were forgotten"
    if forgotten and not _reports_loss(stack):
        verdict.findings.append("the next start does not report what was lost")
    return verdict


def _reports_loss(stack: Stack) -> bool:
    """Tell whether the last start has reported on the terminal that data is lost."""
    errors = stack.error_output().lower()
    return "lost" in errors or "cut off" in errors or "forgot" in errors


EXPERIMENTS = [
    *(
        Experiment(
            f"kill-{role}", f"SIGKILL {role} under load", partial(kill, role=role), "plain", short=role == "ingest"
        )
        for role in ("ingest", "decode", "api", "authorizer", "cleanup")
    ),
    *(
        Experiment(
            f"stop-{role}",
            f"SIGSTOP {role} for 1-4 s under load",
            partial(hold, role=role),
            "plain",
            short=role == "emulator",
        )
        for role in ROLES
    ),
    Experiment(
        "lost-worker",
        "SIGKILL all ingest workers in the middle of their work, with stack.yaml's own times; `shoebox upload` goes on",
        partial(lost_worker, number=signal.SIGKILL),
        "own",
        short=True,
        changes=(),
    ),
    Experiment(
        "hung-worker",
        "SIGSTOP all ingest workers in the middle of their work, and leave them so; `shoebox upload` goes on",
        partial(lost_worker, number=signal.SIGSTOP),
        "own",
        changes=(_one_slot,),
    ),
    Experiment("restart-at-once", "SIGKILL up under load and start it again at once", restart, "own"),
    Experiment("restart-soon", "SIGKILL up, start it again after 0.2 s", partial(restart, pause=0.2), "own"),
    Experiment(
        "restart-slow-save",
        "SIGKILL up under load and start it again at once; the old emulator is slow to save",
        partial(restart, slow=8.0),
        "own",
        short=True,
    ),
    Experiment(
        "kill-emulator",
        "SIGKILL the emulator under load, and start again",
        partial(crash, roles=("emulator",)),
        "own",
        short=True,
    ),
    Experiment(
        "power-cut", "SIGKILL every process at once under load, and start again", partial(crash, roles=ROLES), "own"
    ),
]
