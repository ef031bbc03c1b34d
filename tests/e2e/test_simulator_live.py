"""The day simulator against the live fleet: the same small scenario in both, its backlog made by a narrow mapping.

Photos come four times as fast as one batch at a time prepares them, so the queue fills, and drains afterwards. What is
compared is the queueing: how long functions take on this machine is measured in the run itself, and told to the
simulator. One photo at a time leaves a processor for the rest, so that the mapping is the limit and not the machine.
`pytest tests/e2e/test_simulator_live.py -s` prints the table of docs/reference/simulate.md.
"""

from __future__ import annotations

import asyncio
import math
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from statistics import mean
from typing import Any

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from fleet.limits.quotas import Quotas, load_quotas
from load_tests.photos import Photo, with_comment
from load_tests.simulator.capacity import PhotoCalls
from load_tests.simulator.day import Day, simulate
from load_tests.simulator.model import Parameters, SimulationSettings
from load_tests.simulator.tally import at_rank
from shoebox.aws.connections import Connections
from shoebox.aws.sqs import SqsClient
from shoebox.files.model import File, FileKey, Owner, State
from shoebox.stack.model import load_stack
from shoebox_client.api import Api
from shoebox_client.samples import jpeg_of_size
from tests.e2e.conftest import Start
from tests.e2e.live_stack import TENANT, Change, LocalLiveStack, changed_stack, until

VISITS, UPLOAD = 40, 2
PHOTOS = VISITS * UPLOAD
PICTURE = (6000, 4000, 600_000)
"""Width, height and bytes: a photo takes much longer than the calls around it."""
OVERLOAD = 4.0
WARM_UP = 6
TICK, SAMPLE_EVERY = 0.02, 0.1
TOLERANCE = 0.2
PATIENCE = 200.0
SINGLE = Change("queue: {name: uploads, batch_size: 10,", "queue: {name: uploads, batch_size: 1,")
NARROW = "mappings: {pollers: 1, concurrency_most: 1}"
Durations = dict[str, tuple[float, float]]
"""Seconds and number of invocations by function."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What the live run came to; times in seconds. `every`: from one visit to the next."""

    every: float
    files: list[File]
    depths: list[int]
    queue_call: float
    functions: dict[str, float]

    def stage(self, end: str) -> list[float]:
        """How long photos took from their registration to a later time, in order."""
        return sorted((_time(file, end) - file.registered_at).total_seconds() for file in self.files)

    @property
    def span(self) -> float:
        """From the first registration to the last READY."""
        begin, end = min(f.registered_at for f in self.files), max(_time(f, "finished_at") for f in self.files)
        return (end - begin).total_seconds()

    @property
    def told(self) -> Parameters:
        """What the simulator is told of this run."""
        calls = PhotoCalls(
            upload=UPLOAD,
            polls=0.0,
            authorizer_seconds=self.functions["authorizer"],
            api_seconds=self.functions["api"],
            ingest_seconds=self.functions["ingest"],
        )
        upload_seconds = mean(self.stage("uploaded_at"))
        return Parameters(calls=calls, mapping_seconds=2 * self.queue_call, upload_seconds=upload_seconds)


@dataclass(frozen=True, slots=True)
class Figures:
    """What is compared: photos a second from the first registration to the last READY, photos, and seconds."""

    throughput: float
    peak_backlog: float
    p99: float

    def rows(self, other: Figures) -> list[tuple[str, float, float, float]]:
        """Each figure's name, here, there, and by how much there is more."""
        named = {
            "throughput (photos/s)": (self.throughput, other.throughput),
            "peak backlog (photos)": (self.peak_backlog, other.peak_backlog),
            "p99 registered → ready (s)": (self.p99, other.p99),
        }
        return [(name, here, there, there / here - 1) for name, (here, there) in named.items()]


@pytest.mark.timeout(400)
@pytest.mark.only_on("embedded", reason="the fleet is the same everywhere, and Docker's time is dear")
async def test_the_simulator_agrees_with_the_live_fleet(start: Start, tmp_path: Path) -> None:
    """Throughput, peak backlog and p99 delay of the same scenario are within 20 % of each other."""
    stack, narrow = changed_stack(tmp_path, SINGLE), tmp_path / "narrow.yaml"
    narrow.write_text(NARROW)
    quotas = load_quotas(str(narrow))
    async with start(stack=stack, quotas=quotas) as live:
        seen = await played(live)
    live = Figures(PHOTOS / seen.span, max(seen.depths), seen.stage("finished_at")[math.ceil(PHOTOS * 0.99) - 1])
    rows = live.rows(figures(simulate(settings(stack, quotas, seen))))

    shown = [f"{name:<28}{here:8.2f}{there:8.2f}{more:+8.1%}" for name, here, there, more in rows]
    sys.stdout.write("\n".join(["", f"{'':<28}{'live':>8}{'simul.':>8}", *shown, str(seen.told), ""]))
    assert live.peak_backlog > PHOTOS / 4, "the scenario must build a backlog"
    assert [name for name, _, _, more in rows if abs(more) > TOLERANCE] == []


def settings(stack: Path, quotas: Quotas, seen: Seen) -> SimulationSettings:
    """Return the same scenario for the simulator, with the times of this run."""
    tick = VISITS * seen.every / round(VISITS * seen.every / TICK)
    return SimulationSettings(
        load_stack(stack), PHOTOS, "flat", quotas, seconds=VISITS * seen.every, tick=tick, parameters=seen.told
    )


def figures(day: Day) -> Figures:
    """Of a simulated day."""
    p99 = at_rank(day.tally.stages["registered → ready"], 99)
    assert (day.tally.ready, p99 is None) == (PHOTOS, False)
    return Figures(PHOTOS / day.tally.last_ready, day.tally.peak_backlog, p99 or 0.0)


async def played(live: LocalLiveStack) -> Seen:
    """Run the scenario against the stack: phones come when they come, whether the service keeps up or not."""
    picture = jpeg_of_size(1, *PICTURE)
    photos = [Photo(f"{n}.jpg", with_comment(picture, n.to_bytes(16, "big"))) for n in range(PHOTOS + WARM_UP)]
    async with live.api() as api, aiohttp.ClientSession() as s3:
        every = await warmed_up(live, api, s3, photos[PHOTOS:])
        before = await durations(live)
        async with sampled(live) as (depths, calls):
            ids = await visits(api, s3, photos[:PHOTOS], every)
            files = await until_ready(live, ids)
        functions = means(before, await durations(live))
    return Seen(every, files, depths, mean(calls), functions)


async def warmed_up(live: LocalLiveStack, api: Api, s3: aiohttp.ClientSession, photos: Sequence[Photo]) -> float:
    """Have environments started, and see how fast they are: the seconds from one visit to the next."""
    await until_ready(live, await upload(api, s3, photos[:1]))
    before = await durations(live)
    await until_ready(live, await upload(api, s3, photos[1:]))
    return UPLOAD * means(before, await durations(live))["ingest"] / OVERLOAD


async def visits(api: Api, s3: aiohttp.ClientSession, photos: Sequence[Photo], every: float) -> list[str]:
    """One visit after the other, each at its time; the ids of all photos."""
    begin = time.monotonic()
    async with asyncio.TaskGroup() as group:
        tasks = []
        for n in range(VISITS):
            await asyncio.sleep(begin + n * every - time.monotonic())
            tasks.append(group.create_task(upload(api, s3, photos[n * UPLOAD : (n + 1) * UPLOAD])))
    return [file_id for task in tasks for file_id in task.result()]


async def upload(api: Api, s3: aiohttp.ClientSession, photos: Sequence[Photo]) -> list[str]:
    """Register photos, and put them into S3; their ids."""
    entries = await api.register([photo.registration for photo in photos])
    async with asyncio.TaskGroup() as group:
        for photo, entry in zip(photos, entries, strict=True):
            group.create_task(put(s3, entry["upload"], photo))
    return [str(entry["file_id"]) for entry in entries]


async def put(s3: aiohttp.ClientSession, link: dict[str, Any], photo: Photo) -> None:
    """Send the bytes to where the registration's response says."""
    async with s3.put(link["url"], headers=link["headers"], data=photo.content) as answer:
        assert answer.status == 200, await answer.text()


async def until_ready(live: LocalLiveStack, ids: Sequence[str]) -> list[File]:
    """Wait until all files are READY; the table is read only when about as many messages are done."""
    table, keys = await live.files(), [FileKey(Owner(TENANT, "anna"), file_id) for file_id in ids]
    files: list[File] = []

    async def ready() -> bool:
        if live.mapping("ingest").deleted < len(ids):
            return False
        files[:] = await table.get_many(keys)
        return Counter(file.state for file in files) == {State.READY: len(ids)}

    await until(ready, PATIENCE)
    return files


@asynccontextmanager
async def sampled(live: LocalLiveStack) -> AsyncIterator[tuple[list[int], list[float]]]:
    """Measure the queue's depth, and how long a receive call takes, again and again while the block lasts.

    The call is the mapping's own client's, to a queue where nothing is, so that it takes nothing away.
    """
    deployment, attribute = live.resolved.deployment, "ApproximateNumberOfMessages"
    connections = Connections(deployment.sqs_url)
    sqs = SqsClient(connections, live.clients.credentials, region=deployment.region)
    look = {"QueueUrl": live.resolved.queue_url("uploads"), "AttributeNames": [attribute]}
    receive = {"QueueUrl": live.resolved.queue_url("uploads-dead"), "WaitTimeSeconds": 0}
    depths: list[int] = []
    calls: list[float] = []

    async def sample() -> None:
        while True:
            answer = await sqs.call("GetQueueAttributes", look)
            depths.append(int(answer["Attributes"][attribute]))
            begin = time.monotonic()
            await sqs.call("ReceiveMessage", receive)
            calls.append(time.monotonic() - begin)
            await asyncio.sleep(SAMPLE_EVERY)

    task = asyncio.create_task(sample())
    try:
        yield depths, calls
    finally:
        task.cancel()
        connections.close()


async def durations(live: LocalLiveStack) -> Durations:
    """Return what the fleet's metrics say of invocations."""
    async with aiohttp.ClientSession() as session, session.get(f"{live.local.fleet.runtime_url}/metrics") as answer:
        families = text_string_to_metric_families(await answer.text())
    found: dict[str, dict[str, float]] = {}
    for sample in (sample for family in families for sample in family.samples):
        if sample.name.startswith("fleet_invocation_seconds_"):
            found.setdefault(sample.labels["function"], {})[sample.name.rsplit("_", 1)[1]] = sample.value
    return {function: (values["sum"], values["count"]) for function, values in found.items()}


def means(before: Durations, after: Durations) -> dict[str, float]:
    """Seconds of an invocation in between; of a function that was not asked again, since the start."""
    found = {}
    for function, (seconds, count) in after.items():
        earlier = before.get(function, (0.0, 0.0))
        seconds, count = (seconds - earlier[0], count - earlier[1]) if count > earlier[1] else (seconds, count)
        found[function] = seconds / count
    return found


def _time(file: File, name: str) -> datetime:
    found = getattr(file, name)
    assert isinstance(found, datetime)
    return found
