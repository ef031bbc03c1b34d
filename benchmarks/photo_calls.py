"""What the AWS calls of photos cost, without the photos: CPU of the embedded emulator and of the caller, by call.

Every call of a photo's way is made as the functions make it, with their roles and their ports, one step after the
other for ten photos at a time; nothing is decoded. A table for each window of photos shows whether a call grows dearer
with what is stored: `./run bench photo_calls --photos 15000 --window 5000`.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from aiohttp import ClientSession
from yarl import URL

from emulator.embedded import ROOT_CREDENTIALS, Emulator
from emulator.provision import RoleSource, provision
from fleet.credentials import CredentialsCache
from fleet.queues.batches import SqsMessage
from fleet.queues.source_queue import SqsQueue
from shoebox.aws.clients import Clients
from shoebox.aws.dynamodb import DynamoDBClient
from shoebox.aws.signing import Presigner
from shoebox.aws.sqs import VisibilityClient, open_visibility
from shoebox.config import VISIBILITY_SECONDS
from shoebox.files.dynamodb import DynamoDBFileStore
from shoebox.files.events import EventPublisher, FileEvent
from shoebox.files.model import File, Generation, Owner, Picture, Registration, RenditionInfo, State, checksum_header
from shoebox.files.pictures import PictureStore
from shoebox.files.s3 import open_pictures
from shoebox.files.sns import SnsEventPublisher
from shoebox.files.store import FileStore, Stages
from shoebox.stack.deployment import Deployment, resolve
from shoebox.stack.model import load_stack
from shoebox_client.renditions import RENDITIONS

STACK_FILE = Path(__file__).parents[1] / "stack.yaml"
REGION = "us-east-1"
UPLOAD = 10
ORIGINAL = os.urandom(100_000)
POLLS = 3
PICTURE = Picture(1200, 900, "placeholder" * 4, tuple(RenditionInfo(n, 1200, 900, 99_999) for n in RENDITIONS), {})
BODIES = {name: os.urandom(12_000 if side <= 512 else 100_000) for name, side in RENDITIONS.items()}


@dataclass(frozen=True, slots=True)
class Ports:
    """What the API and ingest reach AWS with, each with its own role."""

    api_files: FileStore
    files: FileStore
    photos: PictureStore
    events: EventPublisher
    queue: SqsQueue
    queue_arn: str
    visibility: VisibilityClient
    http: ClientSession
    presigner: Presigner
    bucket: str


class Costs:
    """CPU seconds by call, of the emulator and of this process."""

    def __init__(self, emulator: int) -> None:
        self._emulator = _cpu_clock(emulator)
        self.spent: dict[str, list[float]] = {}

    async def of(self, name: str, work: Awaitable[object]) -> None:
        """Do the work, and book it under this name."""
        theirs, ours = time.clock_gettime(self._emulator), time.process_time()
        await work
        booked = self.spent.setdefault(name, [0.0, 0.0])
        booked[0] += time.clock_gettime(self._emulator) - theirs
        booked[1] += time.process_time() - ours


def _cpu_clock(pid: int) -> int:
    """Linux's CPU clock of another process, all its threads, those that ended among them (clock_getcpuclockid(3))."""
    return (~pid << 3) | 2


async def main() -> None:
    """Run the calls and print a table for each window."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, default=2000)
    parser.add_argument("--window", type=int, default=1000)
    arguments = parser.parse_args()
    async with AsyncExitStack() as opening:
        emulator = await opening.enter_async_context(Emulator())
        assert emulator.pid is not None
        ports = await open_ports(emulator, opening)
        await photos(ports, 0, lambda _, work: work)
        costs = Costs(emulator.pid)
        for number in range(1, arguments.photos // UPLOAD + 1):
            await photos(ports, number, costs.of)
            if number * UPLOAD % arguments.window == 0:
                print_table(costs.spent, number * UPLOAD, arguments.window)
                costs.spent = {}


async def open_ports(emulator: Emulator, opening: AsyncExitStack) -> Ports:
    """Create the stack, and take the roles of its functions."""
    url = emulator.url
    deployment = Deployment(endpoint_url=url, s3_url=url, s3_public_url=url, sqs_url=url, gateway_url=url)
    resolved = resolve(load_stack(STACK_FILE), deployment)
    root = await opening.enter_async_context(Clients(emulator.aws, ROOT_CREDENTIALS))
    await provision(resolved, root)
    roles = RoleSource(resolved, root)
    keys = {name: (await roles(name)).keys for name in ("api", "ingest")}
    clients = {name: await opening.enter_async_context(Clients(emulator.aws, keys[name])) for name in keys}
    tables = {
        name: await opening.enter_async_context(DynamoDBClient.open(emulator.aws, clients[name].credentials))
        for name in keys
    }
    table, bucket = resolved.name_of("table", "files"), resolved.name_of("bucket", "personal")
    session = await opening.enter_async_context(ClientSession())
    pictures = await opening.enter_async_context(open_pictures(emulator.aws, clients["ingest"], bucket, s3_url=url))
    queue = await opening.enter_async_context(SqsQueue.of_stack(resolved, "uploads", "ingest", CredentialsCache(roles)))
    visibility = await opening.enter_async_context(open_visibility(emulator.aws, clients["ingest"].credentials))
    return Ports(
        api_files=DynamoDBFileStore(tables["api"], table),
        files=DynamoDBFileStore(tables["ingest"], table),
        photos=pictures,
        events=SnsEventPublisher(clients["ingest"].when_needed("sns"), resolved.arn_of("topic", "file-events")),
        queue=queue,
        queue_arn=resolved.arn_of("queue", "uploads"),
        visibility=visibility,
        http=session,
        presigner=Presigner(keys["api"], region=REGION, endpoint_url=url),
        bucket=bucket,
    )


async def photos(ports: Ports, number: int, booked: Callable[[str, Awaitable[object]], Awaitable[object]]) -> None:
    """Ten photos of a user of his own, on all their way; `booked` awaits each step."""
    owner = Owner("demo", f"user-{number}")
    wanted = [_registration(number, n) for n in range(UPLOAD)]
    files: list[File] = []

    async def register() -> None:
        files.extend((await ports.api_files.register(owner, wanted)).files)

    await booked("register (BatchGetItem, TransactWriteItems)", register())
    keys = [file.key for file in files]
    generations = [file.generation for file in files]
    digest = checksum_header(sha256(ORIGINAL).hexdigest())
    await booked("PUT original", _each(generations, lambda each: _send(ports, each, digest)))
    messages: list[SqsMessage] = []
    await booked("ReceiveMessage", _receive(ports, messages))
    hidden = dict.fromkeys((message.receipt_handle for message in messages), VISIBILITY_SECONDS)
    await booked("ChangeMessageVisibilityBatch", ports.visibility.change(ports.queue_arn, hidden))
    await booked("states (BatchGetItem)", ports.files.states(keys))
    await booked("GET original", _each(generations, lambda each: ports.photos.fetch(each, max_bytes=10**6)))
    await booked("PUT renditions", _each(generations, lambda each: _develop(ports, each)))
    await booked(
        "mark_ready (UpdateItem)", _each(generations, lambda each: ports.files.mark_ready(each, PICTURE, _stages()))
    )
    events = [FileEvent(each, State.READY, datetime.now(UTC)) for each in generations]
    await booked("PublishBatch", ports.events.publish(events))
    await booked("DeleteMessageBatch", ports.queue.delete(messages))
    for _ in range(POLLS):
        await booked("polls (BatchGetItem)", ports.api_files.get_many(keys))


def _registration(number: int, n: int) -> Registration:
    return Registration(f"{n}.jpg", len(ORIGINAL), "image/jpeg", sha256(f"{number}/{n}".encode()).hexdigest())


async def _each(
    generations: Sequence[Generation], work: Callable[[Generation], Coroutine[object, object, object]]
) -> None:
    async with asyncio.TaskGroup() as group:
        for generation in generations:
            group.create_task(work(generation))


async def _send(ports: Ports, generation: Generation, digest: str) -> None:
    headers = {"content-type": "image/jpeg", "x-amz-checksum-sha256": digest}
    url = ports.presigner.url(
        "PUT", ports.bucket, generation.original, at=datetime.now(UTC), expires=60, headers=headers
    )
    async with ports.http.put(URL(url, encoded=True), data=ORIGINAL, headers=headers) as answer:
        answer.raise_for_status()


async def _receive(ports: Ports, messages: list[SqsMessage]) -> None:
    """All ten; S3 sends its events a moment after its answer."""
    while len(messages) < UPLOAD:
        messages += await ports.queue.receive(10, 5)


async def _develop(ports: Ports, generation: Generation) -> None:
    async with asyncio.TaskGroup() as puts:
        for name in RENDITIONS:
            puts.create_task(ports.photos.put_rendition(generation, name, BODIES[name]))


def _stages() -> Stages:
    now = datetime.now(UTC)
    return Stages(now, now)


def print_table(spent: Mapping[str, Sequence[float]], photos: int, window: int) -> None:
    """CPU milliseconds a photo, by call."""
    print(f"| to photo {photos:,}: CPU ms a photo | emulator | caller |\n|---|---|---|")
    for name, (theirs, ours) in spent.items():
        print(f"| {name} | {theirs / window * 1000:.2f} | {ours / window * 1000:.2f} |")
    theirs, ours = (sum(each) / window * 1000 for each in zip(*spent.values(), strict=True))
    print(f"| together | {theirs:.2f} | {ours:.2f} |\n", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
