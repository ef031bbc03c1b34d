"""Any order of registering, uploading, deleting, ingest and clean-up: no photo is lost, no deleted byte comes back.

A hypothesis state machine over the real table and bucket of an emulator, with ingest and clean-up as they are, but for
the decoding. Messages and orders come late, twice, and in any order; uploads go to any URL that was ever given;
workers stand still between reading and writing; answers are lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from fleet.emulator import ROOT
from shoebox.aws import Clients
from shoebox.aws_json import Patience
from shoebox.config import AwsSettings
from shoebox.files import RENDITIONS, File, Generation, Owner, Registration, State
from shoebox.place import BoundStack
from shoebox.ports.deletions import order_text, read_order
from shoebox.ports.dynamodb_http import DynamoDBHttp
from shoebox.ports.events import FileEvent
from shoebox.ports.files_table import FilesTable
from shoebox.ports.pictures import Original, PhotoBytes, Pictures
from shoebox.ports.s3_http import S3Http, open_connections
from shoebox.presign import Presigner
from tests.faulty_aws import LossyConnections
from workers.batch import Message, TimeBudget, run_batch
from workers.cleanup import Cleanup
from workers.imaging import Metadata, PictureRejected, Prepared, Rendition
from workers.ingest import Ingest

GOOD, BAD = b"a photo", b"no photo"
PICKED = st.integers(0, 10**6)


class Gate:
    """Where a worker stands still, between what it has read and what it will write."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.open = asyncio.Event()


STANDING: ContextVar[Gate | None] = ContextVar("standing", default=None)


async def pass_gate() -> None:
    """Stand still, if this worker is to."""
    if gate := STANDING.get():
        gate.reached.set()
        await gate.open.wait()


class FakePool:
    """Renders in no time; what is not GOOD is rejected."""

    async def prepare(self, promised: Registration, fetch: Callable[[], Awaitable[Original | None]]) -> Prepared | None:
        """Three renditions of a byte; None if there is no original."""
        original = await fetch()
        await pass_gate()
        if original is None:
            return None
        if original.data != GOOD:
            raise PictureRejected("corrupt", "It is no photo.")
        renditions = tuple(Rendition(name, 1, 1, b"r") for name in RENDITIONS)
        metadata = Metadata(None, None, None, 1, False, None)
        return Prepared(1, 1, 1.0, promised.media_type, renditions, "", metadata, {})


class SlowPictures(Pictures):
    """Deletes when the gate opens."""

    async def delete_all(self, generation: Generation, revisions: Iterable[str]) -> None:
        """Delete all objects."""
        await pass_gate()
        await super().delete_all(generation, revisions)


class Told:
    """What was published, by id."""

    def __init__(self) -> None:
        self.ids: set[str] = set()

    async def publish(self, events: Iterable[FileEvent]) -> None:
        """Take events."""
        self.ids |= {str(event.document()["event_id"]) for event in events}


class Orders:
    """Deletion orders: they stay, for any of them may come again."""

    def __init__(self) -> None:
        self.bodies: list[str] = []
        self.waiting: set[str] = set()

    async def order(self, generation: Generation, *, after_ingest: bool = False) -> None:
        """Take an order; it may be carried out at once, whatever `after_ingest` wishes."""
        self.bodies.append(order_text(generation))
        self.waiting.add(order_text(generation))


@dataclass
class World:
    """What lasts as long as the test: clients of the emulator and a bucket of its own."""

    runner: asyncio.Runner
    dynamodb: DynamoDBHttp
    faults: LossyConnections
    store: S3Http
    s3: Any
    bucket: str


class Photos(RuleBasedStateMachine):
    """One user with two photos, of which one is none."""

    world: World

    def __init__(self) -> None:
        super().__init__()
        world = self.world
        self.run = world.runner.run
        self.later = timedelta()
        self.owner = Owner("demo", uuid.uuid4().hex)
        self.table = FilesTable(world.dynamodb, "shoebox-files", now=lambda: datetime.now(UTC) + self.later)
        self.told, self.orders = Told(), Orders()
        self.ingest = Ingest(
            self.table,
            PhotoBytes(world.store),
            self.told,  # type: ignore[arg-type]
            self.orders,  # type: ignore[arg-type]
            FakePool(),  # type: ignore[arg-type]
            None,  # type: ignore[arg-type] # no message has a receipt to give back
            max_bytes=100,
        )
        self.cleanup = Cleanup(self.table, SlowPictures(world.s3, world.bucket))
        self.urls: list[tuple[Generation, bytes]] = []
        self.messages: list[Generation] = []
        self.undone: list[Generation] = []
        self.standing: list[tuple[Gate, asyncio.Task[None]]] = []

    # --- what clients do ---

    @rule(data=st.sampled_from([GOOD, BAD]), lose=st.booleans())
    def register(self, data: bytes, lose: bool) -> None:
        """Register a photo, and keep the URL, if there is one."""
        promise = Registration("p.jpg", len(data), "image/jpeg", sha256(data).hexdigest())
        with self.losing("TransactWriteItems", lose):
            result = self.run(self.table.register(self.owner, [promise]))
        for generation in result.superseded:
            self.run(self.orders.order(generation))
        [file] = result.files
        if file.state is State.REGISTERED:
            self.urls.append((file.generation, data))

    @precondition(lambda self: self.urls)
    @rule(pick=PICKED)
    def put(self, pick: int) -> None:
        """Send the bytes by any URL that was ever given."""
        generation, data = self.urls[pick % len(self.urls)]
        self.run(self.world.s3.put_object(Bucket=self.world.bucket, Key=generation.original, Body=data))
        self.messages.append(generation)
        self.undone.append(generation)

    @rule(data=st.sampled_from([GOOD, BAD]), lose=st.booleans())
    def delete(self, data: bytes, lose: bool) -> None:
        """Delete a photo, as the API does."""
        key = self.table_key(data)
        with self.losing("UpdateItem", lose):
            before = self.run(self.table.start_deletion(key))
        if before:
            self.run(self.orders.order(before.generation))

    @rule(hours=st.integers(1, 30))
    def wait(self, hours: int) -> None:
        """Time passes; registrations run out."""
        self.later += timedelta(hours=hours)

    # --- what workers do ---

    @precondition(lambda self: self.messages)
    @rule(pick=PICKED, lose=st.booleans(), stand=st.booleans())
    def take_message(self, pick: int, lose: bool, stand: bool) -> None:
        """Ingest gets any message, also one that is done."""
        generation = self.messages[pick % len(self.messages)]
        with self.losing("UpdateItem", lose and not stand):
            self.work(self.ingested(generation, receive_count=1 + pick % 2), stand=stand)

    @precondition(lambda self: self.orders.bodies)
    @rule(pick=PICKED, lose=st.booleans(), stand=st.booleans())
    def take_order(self, pick: int, lose: bool, stand: bool) -> None:
        """Clean-up gets any order, also one that is done."""
        body = self.orders.bodies[pick % len(self.orders.bodies)]
        with self.losing("DeleteItem", lose and not stand):
            self.work(self.cleaned(body), stand=stand)

    @precondition(lambda self: self.standing)
    @rule(pick=PICKED)
    def go_on(self, pick: int) -> None:
        """A worker that stood still goes on."""
        gate, task = self.standing.pop(pick % len(self.standing))
        gate.open.set()
        self.run(finished(task))

    # --- what must be so ---

    @invariant()
    def no_ready_photo_lacks_an_object(self) -> None:
        """An object of the generation of a READY file is never deleted."""
        files, keys = self.run(self.look())
        for file in files:
            if file.state is State.READY:
                assert objects_of(file) <= keys, f"{objects_of(file) - keys} of {file} are gone"

    def teardown(self) -> None:
        """When all is done that lies waiting, nothing is left that is nobody's, and no photo waits in vain."""
        for gate, task in self.standing:
            gate.open.set()
            self.run(finished(task))
        for _ in range(10):
            for generation in list(dict.fromkeys(self.undone)):
                self.run(self.ingested(generation, receive_count=2))
            for body in sorted(self.orders.waiting):
                self.run(self.cleaned(body))
            if not self.undone and not self.orders.waiting:
                break
        assert not self.undone
        files, keys = self.run(self.look())
        owned = {key for file in files for key in objects_of(file)}
        assert keys <= owned, f"{keys - owned} belong to nobody"
        for file in files:
            assert file.state is not State.DELETING
            if file.state is State.REGISTERED:
                assert file.generation.original not in keys, f"{file} waits although its bytes are there"
            else:
                assert event_id(file) in self.told.ids, f"nobody was told of {file}"
        for generation in {read_order(body) for body in self.orders.bodies}:
            assert self.run(self.table.doomed(generation)) == []

    # --- helpers ---

    def table_key(self, data: bytes) -> Any:
        """The key of one of the two files."""
        return Generation.of_original(
            f"originals/demo/{self.owner.user}/{self.owner.file_id(sha256(data).hexdigest())}"
        ).key  # type: ignore[union-attr]

    @contextlib.contextmanager
    def losing(self, operation: str, lose: bool) -> Any:
        """The next answer to an operation is lost, if it is asked for."""
        self.world.faults.lose.clear()
        if lose:
            self.world.faults.lose[operation] = 1
        yield
        self.world.faults.lose.clear()

    def work(self, worker: Coroutine[Any, Any, None], *, stand: bool) -> None:
        """Let a worker run to its end, or until it stands still."""
        if not stand:
            self.run(worker)
            return

        async def start() -> None:
            gate = Gate()
            STANDING.set(gate)
            task = asyncio.create_task(worker)
            STANDING.set(None)
            reached = asyncio.create_task(gate.reached.wait())
            await asyncio.wait([task, reached], return_when=asyncio.FIRST_COMPLETED)
            reached.cancel()
            if not task.done():
                self.standing.append((gate, task))
            else:
                await task

        self.run(start())

    async def ingested(self, generation: Generation, *, receive_count: int) -> None:
        """A delivery of an upload's message; it is done, or comes again."""
        record = {"eventTime": "2026-11-23T10:00:00.000Z", "s3": {"object": {"key": generation.original}}}
        waiting = self.undone.count(generation)
        message = Message("m", json.dumps({"Records": [record]}), receive_count, datetime.now(UTC))
        result = await self.ingest.run([message], TimeBudget.of_remaining(600), at_once=1)
        if not result.returned:
            for _ in range(min(waiting, self.undone.count(generation))):
                self.undone.remove(generation)

    async def cleaned(self, body: str) -> None:
        """A delivery of a deletion order; it is done, or comes again."""
        self.orders.waiting.discard(body)
        message = Message("o", body, 1, datetime.now(UTC))
        result = await run_batch(
            [message], self.cleanup.delete, at_once=1, budget=TimeBudget.of_remaining(600), function="cleanup"
        )
        if result.returned:
            self.orders.waiting.add(body)

    async def look(self) -> tuple[list[File], set[str]]:
        """The files as they stand, and the keys of all objects."""
        files = await self.table.states([self.table_key(GOOD), self.table_key(BAD)])
        keys: set[str] = set()
        for prefix in (f"originals/0/demo/{self.owner.user}/", f"renditions/demo/{self.owner.user}/"):
            found = await self.world.s3.list_objects_v2(Bucket=self.world.bucket, Prefix=prefix)
            keys |= {item["Key"] for item in found.get("Contents", [])}
        return list(files.values()), keys


def objects_of(file: File) -> set[str]:
    """The keys that a file's generation has."""
    return {file.generation.original, *(file.rendition(name) for name in RENDITIONS)}


def event_id(file: File) -> str:
    """Of the event that told of the file's final state."""
    return str(FileEvent(file.generation, file.state, datetime.now(UTC)).document()["event_id"])


async def finished(task: asyncio.Task[None]) -> None:
    """Wait for a worker's end."""
    await task


@contextlib.asynccontextmanager
async def opened(runner: asyncio.Runner, provisioned: BoundStack, url: str) -> AsyncIterator[World]:
    """Clients of the emulator, which may do anything, and a bucket that notifies nobody."""
    aws, bucket = AwsSettings(endpoint_url=url), f"machine-{uuid.uuid4().hex[:12]}"

    async def presigner() -> Presigner:
        return Presigner(ROOT, region=aws.region, endpoint_url=url)

    async with Clients(aws, ROOT) as clients, open_connections(url) as connections:
        s3 = await clients.open("s3")
        await s3.create_bucket(Bucket=bucket)
        faults = LossyConnections(url)
        quick = Patience(attempts=4, first_pause=0.001)
        dynamodb = DynamoDBHttp(faults, clients.credentials, region=aws.region, patience=quick)
        yield World(runner, dynamodb, faults, S3Http(connections, presigner, bucket), s3, bucket)
        faults.close()


def test_no_order_of_events_loses_or_keeps_a_byte(provisioned: BoundStack, emulator_url: str) -> None:
    """Hypothesis looks for an order that breaks a promise."""
    with asyncio.Runner() as runner:
        opening = opened(runner, provisioned, emulator_url)
        world = runner.run(opening.__aenter__())

        class Here(Photos):
            """The machine in this world."""

        Here.world = world
        try:
            run_state_machine_as_test(
                Here,
                settings=settings(
                    max_examples=40, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
                ),
            )
        finally:
            runner.run(opening.__aexit__(None, None, None))
