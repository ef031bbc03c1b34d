"""Any order of registering, uploading, deleting, ingest and clean-up: no photo is lost, no deleted byte comes back.

A hypothesis state machine over the real table of an emulator (tests/unit/test_generations_in_memory.py has the store
in memory), with ingest and clean-up as they are, but for decoding.
Messages and orders come late, twice, and in any order; uploads go to any URL that was ever given;
workers stand still between reading and writing; answers are lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from emulator.embedded import ROOT_CREDENTIALS
from shoebox.aws.credentials import fixed_credentials
from shoebox.aws.dynamodb import DynamoDBClient
from shoebox.aws.retry import RetryPolicy
from shoebox.config import AwsSettings
from shoebox.errors import Unavailable
from shoebox.files.deletions import order_text, read_order
from shoebox.files.dynamodb import DynamoDBFileStore
from shoebox.files.events import FileEvent
from shoebox.files.model import File, FileKey, Generation, Owner, Registration, State
from shoebox.files.pictures import Original
from shoebox.files.store import FileStore
from shoebox.stack.deployment import ResolvedStack
from shoebox_client.renditions import RENDITIONS
from tests.faulty_aws import LossyConnections
from workers.batch import Message, TimeBudget, run_batch
from workers.cleanup import Cleanup
from workers.imaging import Metadata, PictureRejected, Prepared, Rendition
from workers.ingest import Ingest

DATA = b"a photo"
PROMISE = Registration("p.jpg", len(DATA), "image/jpeg", sha256(DATA).hexdigest())
PICKED = st.sampled_from([0, 0, 0, 1, 2, 5])  # what is newest meets most
LATER = "later"
INGEST = st.sampled_from(["", "lose", "before", LATER])
CLEAN_UP = st.sampled_from(["", "lose", "before", "after", LATER])
LOST_ORDERS = st.sampled_from(["", "", "lose"])
EXAMPLES, STEPS = 400, 10  # many short stories: a long one has time to heal what it broke


class Gate:
    """Where a worker stands still: at `place`, before it stores or deletes objects, or after it has deleted them."""

    def __init__(self, place: str) -> None:
        self.place = place
        self.reached = asyncio.Event()
        self.open = asyncio.Event()


STANDING: ContextVar[Gate | None] = ContextVar("standing", default=None)


async def pass_gate(place: str) -> None:
    """Stand still, if this worker is to do so here."""
    gate = STANDING.get()
    if gate and gate.place == place:
        gate.reached.set()
        await gate.open.wait()


class Bucket:
    """The personal bucket, as ingest and clean-up use it; in memory, for S3 has no condition that decides anything."""

    def __init__(self) -> None:
        self.keys: set[str] = set()

    async def fetch(self, generation: Generation, *, max_bytes: int) -> Original | None:
        """Return the original."""
        return Original(DATA, len(DATA), datetime.now(UTC)) if generation.original in self.keys else None

    async def put_rendition(self, generation: Generation, name: str, jpeg: bytes) -> None:
        """Store a rendition."""
        self.keys.add(generation.rendition("1", name))

    async def delete_all(self, generation: Generation, revisions: Iterable[str]) -> None:
        """Delete all objects."""
        await pass_gate("before")
        self.keys -= {generation.original, *(generation.rendition(r, n) for r in revisions for n in RENDITIONS)}
        await pass_gate("after")


class Pool:
    """Renders in no time, or rejects."""

    def __init__(self) -> None:
        self.rejects = False

    async def prepare(self, promised: Registration, fetch: Callable[[], Awaitable[Original | None]]) -> Prepared | None:
        """Return renditions of a byte each; None if there is no original."""
        rejects = self.rejects
        original = await fetch()
        await pass_gate("before")
        if original is None:
            return None
        if rejects:
            raise PictureRejected("corrupt", "It is no photo.")
        renditions = tuple(Rendition(name, 1, 1, b"r") for name in RENDITIONS)
        return Prepared(1, 1, 1.0, promised.media_type, renditions, "", Metadata(), {})


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
    """What lasts as long as the test: the emulator's DynamoDB, and an event loop."""

    runner: asyncio.Runner
    dynamodb: DynamoDBClient
    faults: LossyConnections


class OnePhoto(RuleBasedStateMachine):
    """One photo of one user, and everything that can happen to it."""

    world: World

    def __init__(self) -> None:
        super().__init__()
        self.run = self.world.runner.run
        self.later, self.behind, self.lost_orders = timedelta(), timedelta(), False
        owner = Owner("demo", uuid.uuid4().hex)
        self.owner, self.key = owner, FileKey(owner, owner.file_id(PROMISE.sha256))
        self.table = self.open_store()
        self.told, self.orders, self.bucket, self.pool = Told(), Orders(), Bucket(), Pool()
        parts: tuple[Any, ...] = (self.table, self.bucket, self.told, self.orders, self.pool)
        self.ingest = Ingest(*parts, max_bytes=100)
        bucket: Any = self.bucket
        self.cleanup = Cleanup(self.table, bucket)
        self.issued: list[Generation] = []
        self.messages: list[Generation] = []
        self.undone: list[Generation] = []
        self.standing: list[tuple[Gate, asyncio.Task[None]]] = []

    def open_store(self) -> FileStore:
        """Open the store that is put to the test."""
        return DynamoDBFileStore(self.world.dynamodb, "shoebox-files", now=self.now)

    # --- what clients do ---
    # What follows may come at once, and its worker may stand still: else the steps that make a race seldom meet.

    @rule(lose=st.booleans(), behind=st.sampled_from([0, 2]), orders=LOST_ORDERS)
    def register(self, lose: bool, behind: int, orders: str) -> None:
        """Register the photo, perhaps by a clock that is hours behind, and keep the URL, if there is one."""
        self.behind = timedelta(hours=behind)
        with self.losing("TransactWriteItems", lose):
            result = self.run(asked_again(lambda: self.table.register(self.owner, [PROMISE])))
        self.behind = timedelta()
        for generation in result.superseded:
            self.order(generation, orders)
        if result.files[0].state is State.DELETING:
            self.order(result.files[0].generation, orders)
        if result.files[0].state is State.REGISTERED:
            self.issued.append(result.files[0].generation)

    @precondition(lambda self: self.issued)
    @rule(back=PICKED, rejects=st.booleans(), then=INGEST)
    def put(self, back: int, rejects: bool, then: str) -> None:
        """Send the bytes by any URL that was ever given."""
        generation = picked(self.issued, back)
        self.bucket.keys.add(generation.original)
        self.messages.append(generation)
        self.undone.append(generation)
        self.take_message(0, again=False, rejects=rejects, then=then)

    @rule(rejects=st.booleans(), then=INGEST, orders=LOST_ORDERS)
    def upload(self, rejects: bool, then: str, orders: str) -> None:
        """Register the photo and send its bytes."""
        self.register(lose=False, behind=0, orders=orders)
        if self.issued:
            self.put(0, rejects, then)

    @rule(lose=st.booleans(), then=CLEAN_UP, orders=LOST_ORDERS)
    def delete(self, lose: bool, then: str, orders: str) -> None:
        """Delete the photo, as the API does."""
        with self.losing("UpdateItem", lose):
            before = self.run(asked_again(lambda: self.table.start_deletion(self.key)))
        if before and self.order(before.generation, orders):
            self.take_order(0, then)

    @rule()
    def wait(self) -> None:
        """Let a day pass: a registration runs out."""
        self.later += timedelta(hours=25)

    # --- what workers do ---

    @precondition(lambda self: self.messages)
    @rule(back=PICKED, again=st.booleans(), rejects=st.booleans(), then=INGEST)
    def take_message(self, back: int, again: bool, rejects: bool, then: str) -> None:
        """Ingest gets any message, also one that is done."""
        if then == LATER:
            return
        self.pool.rejects = rejects
        with self.losing("UpdateItem", then == "lose"):
            self.work(self.ingested(picked(self.messages, back), receive_count=1 + again), stand=then)

    @precondition(lambda self: self.orders.bodies)
    @rule(back=PICKED, then=CLEAN_UP)
    def take_order(self, back: int, then: str) -> None:
        """Clean-up gets any order, also one that is done."""
        if then == LATER:
            return
        with self.losing("DeleteItem", then == "lose"):
            self.work(self.cleaned(picked(self.orders.bodies, back)), stand=then)

    @precondition(lambda self: self.standing)
    @rule(back=PICKED)
    def go_on(self, back: int) -> None:
        """Let a worker that stood still go on."""
        gate, task = picked(self.standing, back)
        self.standing.remove((gate, task))
        gate.open.set()
        self.run(finished(task))

    # --- what must be so ---

    @invariant()
    def a_ready_photo_has_its_objects(self) -> None:
        """Check that no object of the generation of a READY file was deleted."""
        for file in self.files():
            if file.state is State.READY:
                assert objects_of(file) <= self.bucket.keys, f"{objects_of(file) - self.bucket.keys} of {file} are gone"

    def teardown(self) -> None:
        """When all is done that lies waiting, nothing is left that is nobody's, and no photo waits in vain."""
        for gate, task in self.standing:
            gate.open.set()
            self.run(finished(task))
        self.pool.rejects = False
        if self.lost_orders:  # the next registration orders again
            self.register(lose=False, behind=0, orders="")
        for _ in range(10):
            for generation in list(dict.fromkeys(self.undone)):
                self.run(self.ingested(generation, receive_count=3))
            for body in sorted(self.orders.waiting):
                self.run(self.cleaned(body))
            if not self.undone and not self.orders.waiting:
                break
        assert not self.undone, f"{self.undone} come again and again"
        files, keys = self.files(), self.bucket.keys
        owned = {key for file in files for key in objects_of(file)}
        assert keys <= owned, f"{keys - owned} belong to nobody"
        for file in files:
            assert file.state is not State.DELETING
            if file.state is State.REGISTERED:
                assert file.generation.original not in keys, f"{file} waits although its bytes are there"
            else:
                assert event_id(file) in self.told.ids, f"nobody was told of {file}"
        for generation in {read_order(body) for body in self.orders.bodies}:
            assert self.run(self.table.pending_deletions(generation)) == []

    # --- helpers ---

    def now(self) -> datetime:
        """Return the time of an API host."""
        return datetime.now(UTC) + self.later - self.behind

    def order(self, generation: Generation, orders: str) -> bool:
        """Order a deletion as the API does; whether the order arrived."""
        if orders == "lose":
            self.lost_orders = True
            return False
        self.run(self.orders.order(generation))
        return True

    @contextlib.contextmanager
    def losing(self, operation: str, lose: bool) -> Iterator[None]:
        """Lose the next response to an operation, if it is asked for."""
        self.world.faults.lose.clear()
        if lose:
            self.world.faults.lose[operation] = 1
        yield
        self.world.faults.lose.clear()

    def work(self, worker: Coroutine[Any, Any, None], *, stand: str) -> None:
        """Let a worker run to its end, or until it stands still."""

        async def start() -> None:
            gate = Gate(stand)
            STANDING.set(gate)
            task = asyncio.create_task(worker)
            STANDING.set(None)  # the runner has one context for all that it runs
            reached = asyncio.create_task(gate.reached.wait())
            await asyncio.wait([task, reached], return_when=asyncio.FIRST_COMPLETED)
            reached.cancel()
            if task.done():
                await task
            else:
                self.standing.append((gate, task))

        self.run(start())

    async def ingested(self, generation: Generation, *, receive_count: int) -> None:
        """Deliver an upload's message; it is done, or comes again."""
        record = {"eventTime": "2020-01-01T10:00:00.000Z", "s3": {"object": {"key": generation.original}}}
        messages = self.undone.count(generation)
        message = Message("m", json.dumps({"Records": [record]}), receive_count, datetime.now(UTC))
        result = await self.ingest.run([message], TimeBudget.of_remaining(600), at_once=1)
        if not result.returned:  # it stands for all messages of its generation that had been sent when it began
            for _ in range(min(messages, self.undone.count(generation))):
                self.undone.remove(generation)

    async def cleaned(self, body: str) -> None:
        """Deliver a deletion order; it is done, or comes again."""
        self.orders.waiting.discard(body)
        budget = TimeBudget.of_remaining(600)
        message = Message("o", body, 1, datetime.now(UTC))
        result = await run_batch([message], self.cleanup.delete, at_once=1, budget=budget, function="cleanup")
        if result.returned:
            self.orders.waiting.add(body)

    def files(self) -> list[File]:
        """Return the photo as it stands, if it is there."""
        return list(self.run(self.table.states([self.key])).values())


T = TypeVar("T")


def picked(things: list[T], back: int) -> T:
    """One of them, counted from the last."""
    return things[-1 - back % len(things)]


async def asked_again(call: Callable[[], Awaitable[T]]) -> T:
    """Call as a client does: once more where the response is Unavailable."""
    try:
        return await call()
    except Unavailable:
        return await call()


def objects_of(file: File) -> set[str]:
    """Return the keys that a file's generation has."""
    return {file.generation.original, *(file.rendition(name) for name in RENDITIONS)}


def event_id(file: File) -> str:
    """Of the event that told of the file's final state."""
    return str(FileEvent(file.generation, file.state, datetime.now(UTC)).document()["event_id"])


async def finished(task: asyncio.Task[None]) -> None:
    """Wait for a worker's end."""
    await task


@contextlib.asynccontextmanager
async def opened(runner: asyncio.Runner, url: str) -> AsyncIterator[World]:
    """Open a client of the emulator's DynamoDB that may do anything."""
    aws = AwsSettings(endpoint_url=url)
    faults = LossyConnections(url)
    quick = RetryPolicy(attempts=4, first_pause=0.001)
    yield World(
        runner, DynamoDBClient(faults, fixed_credentials(ROOT_CREDENTIALS), region=aws.region, retry=quick), faults
    )
    faults.close()


def test_no_order_of_events_loses_or_keeps_a_byte(provisioned: ResolvedStack, emulator_url: str) -> None:
    """Hypothesis looks for an order that breaks a promise."""
    with asyncio.Runner() as runner:
        opening = opened(runner, emulator_url)

        class Here(OnePhoto):
            """The machine in this world."""

            world = runner.run(opening.__aenter__())

        machine = settings(
            max_examples=EXAMPLES, stateful_step_count=STEPS, deadline=None, suppress_health_check=list(HealthCheck)
        )
        try:
            run_state_machine_as_test(Here, settings=machine)
        finally:
            runner.run(opening.__aexit__(None, None, None))
