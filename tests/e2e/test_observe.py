"""A real stack, observed from outside while photos go through it: the figures are those of what was done."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest

from load_tests.observe import Observed, Observer
from load_tests.stack import RunningStack, running_stack
from shoebox_client.api import open_api
from shoebox_client.records import Outcome
from shoebox_client.renditions import RENDITIONS
from shoebox_client.uploads import Uploader, UploadSettings
from tests.e2e.live_stack import photo, until

PHOTOS = 20
UNITS = 5
"""Write units a photo: the item comes, becomes READY and leaves the list of the unfinished; in its index twice."""


@pytest.fixture
def stack() -> Iterator[RunningStack]:
    """`shoebox up` as a process of its own, with an emulator that nobody else uses."""
    with running_stack() as running:
        yield running


async def upload(stack: RunningStack, folder: Path, first: int, number: int) -> None:
    """Upload photos as `shoebox upload` does, until each is READY."""
    photos = [photo(folder, f"{n}.jpg", seed=n) for n in range(first, first + number)]
    async with open_api(stack.addresses["url"], stack.addresses["token"]) as api:
        report = await Uploader(api, await api.limits(), UploadSettings()).run(photos)
    assert [record.outcome for record in report.records] == [Outcome.READY] * number
    await until(lambda: settled(stack), 30)


async def settled(stack: RunningStack) -> bool:
    """Whether ingest's messages are deleted, which comes after READY."""
    async with aiohttp.ClientSession() as session, session.get(stack.addresses["control"] + "/healthz") as answer:
        (mapping,) = [m for m in (await answer.json())["mappings"] if m["function"] == "ingest"]
    return bool(mapping["deleted"] == mapping["received"] and not mapping["batches"])


@contextlib.asynccontextmanager
async def observed(stack: RunningStack) -> AsyncIterator[list[Observed]]:
    """Observe the stack during the block; the list has the outcome after it."""
    observer, outcome = Observer(stack.addresses["control"], pid=stack.process.pid), list[Observed]()

    over = asyncio.Event()

    async def look() -> None:
        while not over.is_set():
            await asyncio.to_thread(observer.sample)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(over.wait(), 0.3)

    await asyncio.to_thread(observer.sample)
    looking = asyncio.create_task(look())
    try:
        yield outcome
    finally:
        over.set()
        await looking
    outcome.append(await asyncio.to_thread(observer.finish))


def batches(stack: RunningStack) -> int:
    """Invocations of ingest, by its own log."""
    log = Path(stack.addresses["logs"], "ingest.log")
    return log.read_text().count('"batch_finished"')


async def test_the_figures_are_those_of_what_was_done(stack: RunningStack, tmp_path: Path) -> None:
    """Requests, units, invocations and messages of these photos alone, though the stack had worked before."""
    await upload(stack, tmp_path, 0, 3)
    before = batches(stack)
    async with observed(stack) as outcome:
        await upload(stack, tmp_path, 100, PHOTOS)
    (found,) = outcome
    usage, done = found.usage, batches(stack) - before

    assert (usage.s3_puts, usage.s3_gets, usage.s3_deletes) == (PHOTOS * (1 + len(RENDITIONS)), PHOTOS, 0)
    assert usage.dynamodb_write_units == PHOTOS * UNITS
    assert usage.function_requests["ingest"] == done > 0
    assert usage.function_requests["api"] == usage.gateway_requests
    assert usage.function_gb_seconds["ingest"] > 0
    assert usage.sqs_requests is not None
    assert usage.sqs_requests["DeleteMessageBatch"] == done
    assert usage.sqs_requests["ReceiveMessage"] > 0  # the polls that waited at the first look had been made before it
    assert usage.sns_publishes == {"PublishBatch": done}
    assert (found.repeated, found.skipped, found.gaps, found.notes) == (0, 0, 0, [])


async def test_queues_limits_and_processes_are_seen(stack: RunningStack, tmp_path: Path) -> None:
    """No dead letter, nothing twice; each process has used CPU and memory; limits have their peaks."""
    async with observed(stack) as outcome:
        await upload(stack, tmp_path, 200, PHOTOS)
    (found,) = outcome

    queues = {queue.name: queue for queue in found.queues}
    assert set(queues) == {"uploads", "uploads-dead", "deletions", "deletions-dead"}
    assert {(queue.dead_letters, queue.received_again) for queue in found.queues} == {(0, 0)}
    assert (queues["uploads"].peak_age or 0) < 60
    processes = {process.role: process for process in found.processes}
    worked = [processes[role] for role in ("fleet and gateway", "emulator", "function ingest", "function api")]
    assert all(process.cpu_seconds > 0 for process in worked)
    assert all(process.memory_mb > 10 for process in found.processes)
    writes = next(use for use in found.limits if use.limit == "s3.prefix_writes" and "originals" in use.subject)
    assert 0 < writes.peak <= PHOTOS  # exact on a new stack: no peak of before hides it
    assert (writes.maximum, writes.throttled, writes.raise_to) == (3500, 0, None)
    assert {series.panel for series in found.series} >= {
        "backlog",
        "age",
        "concurrency",
        "environments",
        "CPU",
        "memory",
    }
    assert all(len(series.t) == len(series.values) for series in found.series)
