"""Ingest on the stores in memory, with faults: whose bytes are taken, and what is delivered and published again."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from hashlib import sha256
from typing import Any

import pytest
from prometheus_client import REGISTRY

from load_tests.naive import handler as naive
from shoebox.errors import Unavailable
from shoebox.files.memory import (
    Fault,
    MemoryDeletionQueue,
    MemoryEventPublisher,
    MemoryFileStore,
    MemoryPictureStore,
)
from shoebox.files.model import File, FileKey, Generation, Owner, Registration, State
from shoebox.files.pictures import Original
from shoebox.files.ulid import new_ulid
from shoebox_client.renditions import RENDITIONS
from workers.batch import Message, TimeBudget
from workers.imaging import Metadata, PictureRejected, Prepared, Rendition
from workers.ingest import Ingest
from workers.runtime.context import Context

PHOTO = b"a photo"
NO_PHOTO = b"no photo"


class Clock:
    """The real time, but for what a test adds to it."""

    def __init__(self) -> None:
        self.later = timedelta()

    def __call__(self) -> datetime:
        """Return the time in UTC."""
        return datetime.now(UTC) + self.later


class Renderer:
    """Renders in no time: NO_PHOTO is rejected; `before` runs before an original is fetched."""

    def __init__(self) -> None:
        self.before: Callable[[], Awaitable[object]] | None = None
        self.warnings: tuple[str, ...] = ()

    async def prepare(self, promised: Registration, fetch: Callable[[], Awaitable[Original | None]]) -> Prepared | None:
        """Return renditions of a byte each; None if there is no original."""
        if self.before:
            await self.before()
        original = await fetch()
        if original is None:
            return None
        if original.data is None:
            raise PictureRejected("too_large", "It has too many bytes.")
        if original.data == NO_PHOTO:
            raise PictureRejected("corrupt", "It is no photo.")
        renditions = tuple(Rendition(name, 1, 1, b"r") for name in RENDITIONS)
        return Prepared(1, 1, 1.0, promised.media_type, renditions, "", Metadata(), {}, warnings=self.warnings)


@dataclass
class Bench:
    """Ingest with what stands around it, and a user."""

    clock: Clock = field(default_factory=Clock)
    pictures: MemoryPictureStore = field(default_factory=MemoryPictureStore)
    events: MemoryEventPublisher = field(default_factory=MemoryEventPublisher)
    deletions: MemoryDeletionQueue = field(default_factory=MemoryDeletionQueue)
    renderer: Renderer = field(default_factory=Renderer)
    owner: Owner = field(default_factory=lambda: Owner("demo", "anna"))

    def __post_init__(self) -> None:
        self.files = MemoryFileStore(now=self.clock)
        renderer: Any = self.renderer
        self.ingest = Ingest(self.files, self.pictures, self.events, self.deletions, renderer, max_bytes=1000)

    async def registered(self, data: bytes = PHOTO) -> File:
        """Register `data`."""
        promise = Registration("photo", len(data), "image/jpeg", sha256(data).hexdigest())
        [file] = (await self.files.register(self.owner, [promise])).files
        return file

    async def upload(self, data: bytes = PHOTO) -> File:
        """Register and upload `data`."""
        file = await self.registered(data)
        self.pictures.put(file.generation.original, data)
        return file

    async def deliver(self, *messages: Message) -> list[str]:
        """Run one batch; return the ids that go back."""
        return list((await self.ingest.run(messages, TimeBudget.of_remaining(60), at_once=4)).returned)

    async def process(self, data: bytes = PHOTO) -> File:
        """Upload, deliver once, and return what became of it; the message must be done."""
        file = await self.upload(data)
        assert await self.deliver(message(file.generation)) == []
        return self.files.files[file.key]

    async def delete(self, file: File) -> None:
        """Delete a file, its record too; its objects stay."""
        await self.files.start_deletion(file.key)
        for pending in await self.files.pending_deletions(file.generation):
            await self.files.remove(pending)

    def discarded(self) -> list[Generation]:
        """Return the generations whose deletion was ordered; each must have its tombstone."""
        ordered = [order.generation for order in self.deletions.orders]
        assert set(ordered) <= set(self.files.tombstones)
        return ordered

    def event_ids(self) -> list[str]:
        """Return the ids of the events that were published."""
        return [event.document()["event_id"] for event in self.events.events]


@pytest.fixture
def bench() -> Bench:
    """Return ingest on empty stores."""
    return Bench()


def message(
    *generations: Generation, receive_count: int = 1, body: str | None = None, ago: timedelta = timedelta()
) -> Message:
    """Return S3's message about originals, which were uploaded some time ago."""
    at = (datetime.now(UTC) - ago).isoformat()
    records = [{"eventTime": at, "s3": {"object": {"key": generation.original}}} for generation in generations]
    return Message(uuid.uuid4().hex, body or json.dumps({"Records": records}), receive_count, datetime.now(UTC))


def done_twice() -> tuple[float, float]:
    """Return how many photos were prepared once more, and deliveries that had nothing to do, so far."""
    repeated, skipped = (REGISTRY.get_sample_value(f"shoebox_photos_{name}_total") for name in ("repeated", "skipped"))
    assert repeated is not None
    assert skipped is not None
    return repeated, skipped


async def test_a_photo_becomes_ready(bench: Bench) -> None:
    """Its renditions are stored before it says so, and its event is out."""
    file = await bench.process()

    assert (file.state, file.reason, file.register_until) == (State.READY, None, None)
    assert {file.rendition(name) for name in RENDITIONS} <= set(bench.pictures.objects)
    assert bench.event_ids() == [f"{file.key.file_id}:{file.generation.ulid}:file.ready"]


async def test_a_bad_file_is_rejected_with_its_reason(bench: Bench) -> None:
    """At the first delivery; nothing is rendered, and the original stays."""
    file = await bench.process(NO_PHOTO)

    assert (file.state, file.reason, file.detail) == (State.REJECTED, "corrupt", "It is no photo.")
    assert set(bench.pictures.objects) == {file.generation.original}
    assert [(event.event, event.reason) for event in bench.events.events] == [("file.rejected", "corrupt")]


async def test_too_many_bytes_are_not_even_read(bench: Bench) -> None:
    """A file larger than the limit is rejected by its size alone."""
    file = await bench.process(b"x" * 1001)

    assert (file.state, file.reason) == (State.REJECTED, "too_large")


async def test_a_bad_neighbour_harms_nobody(bench: Bench) -> None:
    """In one batch: a good one, a bad one, a malformed message. Only the malformed one goes back."""
    good, bad, malformed = await bench.upload(), await bench.upload(NO_PHOTO), message(body="hello")

    assert await bench.deliver(malformed, message(good.generation), message(bad.generation)) == [malformed.id]

    assert bench.files.files[good.key].state is State.READY
    assert bench.files.files[bad.key].state is State.REJECTED


async def test_a_duplicate_changes_nothing(bench: Bench) -> None:
    """S3 delivers at least once: the second message finds a READY file, and nobody hears of it again."""
    file = await bench.process()
    repeated, skipped = done_twice()

    assert await bench.deliver(message(file.generation), message(file.generation)) == []

    assert bench.files.files[file.key] == file
    assert done_twice() == (repeated, skipped + 2)
    assert len(bench.event_ids()) == 1


async def test_two_workers_with_the_same_photo(bench: Bench) -> None:
    """Deliveries that run at the same time: one is first, all messages are done, one event; each other is counted."""
    file = await bench.upload()
    before = sum(done_twice())

    returned = await asyncio.gather(*(bench.deliver(message(file.generation)) for _ in range(4)))

    assert returned == [[]] * 4
    assert bench.files.files[file.key].state is State.READY
    assert len(bench.event_ids()) == 1
    assert sum(done_twice()) == before + 3


async def test_a_crash_before_the_event_is_made_good(bench: Bench) -> None:
    """A worker that died after READY but before publishing: the redelivered message publishes."""
    file = await bench.process()

    assert await bench.deliver(message(file.generation, receive_count=2)) == []

    first, again = bench.event_ids()
    assert first == again


@pytest.mark.parametrize("fault", [Fault.THROTTLED, Fault.LOST_RESPONSE])
async def test_events_that_may_not_be_published_are_published_again(bench: Bench, fault: Fault) -> None:
    """The whole batch fails, so that each of its messages comes again."""
    file = await bench.upload()
    bench.events.faults.add("publish", fault)
    with pytest.raises(Unavailable):
        await bench.deliver(message(file.generation))

    assert await bench.deliver(message(file.generation, receive_count=2)) == []

    assert len(set(bench.event_ids())) == 1


async def test_what_was_tolerated_is_told(bench: Bench) -> None:
    """A warning is on the file and in the event, also in that of a repeated delivery."""
    bench.renderer.warnings = ("icc_profile_broken",)
    file = await bench.process()
    assert await bench.deliver(message(file.generation, receive_count=2)) == []

    assert file.picture is not None
    assert file.picture.warnings == ("icc_profile_broken",)
    assert [event.document()["warnings"] for event in bench.events.events] == [("icc_profile_broken",)] * 2


@pytest.mark.parametrize("call", ["fetch", "put_rendition"])
async def test_a_throttled_bucket_fails_that_message_alone(bench: Bench, call: str) -> None:
    """A passing fault goes back; the next delivery finishes the photo, and its neighbours are done."""
    file, neighbour = await bench.upload(), await bench.upload(NO_PHOTO)
    bench.pictures.faults.add(call, Fault.THROTTLED)
    failing = message(file.generation)

    assert await bench.deliver(failing, message(neighbour.generation)) == [failing.id]
    assert bench.files.files[file.key].state is State.REGISTERED
    assert bench.files.files[neighbour.key].state is State.REJECTED

    assert await bench.deliver(message(file.generation, receive_count=2)) == []
    assert bench.files.files[file.key].state is State.READY


@pytest.mark.parametrize("fault", [Fault.THROTTLED, Fault.LOST_RESPONSE])
@pytest.mark.parametrize(("data", "call"), [(PHOTO, "mark_ready"), (NO_PHOTO, "mark_rejected")])
async def test_a_final_write_that_failed_costs_no_event(bench: Bench, data: bytes, call: str, fault: Fault) -> None:
    """Written or not, the message comes again, and then the event is published."""
    file = await bench.upload(data)
    bench.files.faults.add(call, fault)
    failing = message(file.generation)
    assert await bench.deliver(failing) == [failing.id]
    assert bench.event_ids() == []

    assert await bench.deliver(message(file.generation, receive_count=2)) == []

    assert len(bench.event_ids()) == 1
    assert bench.discarded() == []


async def test_an_original_that_is_gone_is_done(bench: Bench) -> None:
    """Nothing to do, nothing kept in the queue; the file waits on for its bytes."""
    gone = await bench.registered()

    assert await bench.deliver(message(gone.generation)) == []

    assert bench.files.files == {gone.key: gone}
    assert bench.event_ids() == []


# --- whose bytes they are --------------------------------------------------------------------------------------------


async def test_bytes_without_a_file_are_discarded(bench: Bench) -> None:
    """Their registration was deleted, and the old URL lived on: a tombstone, then an order, and the message is done."""
    unknown = Generation(FileKey(bench.owner, bench.owner.file_id("0" * 64)), new_ulid(datetime.now(UTC)))

    assert await bench.deliver(message(unknown)) == []

    assert bench.discarded() == [unknown]
    assert bench.files.files == {}
    assert bench.event_ids() == []


@pytest.mark.parametrize("call", ["write_tombstone", "order"])
async def test_bytes_that_could_not_be_discarded_come_again(bench: Bench, call: str) -> None:
    """A message is done only when the tombstone and the order are written."""
    unknown = Generation(FileKey(bench.owner, bench.owner.file_id("0" * 64)), new_ulid(datetime.now(UTC)))
    (bench.files if call == "write_tombstone" else bench.deletions).faults.add(call, Fault.THROTTLED)
    failing = message(unknown)
    assert await bench.deliver(failing) == [failing.id]

    assert await bench.deliver(message(unknown, receive_count=2)) == []

    assert bench.discarded() == [unknown]


async def test_bytes_of_a_file_that_is_being_deleted_are_discarded(bench: Bench) -> None:
    """Clean-up may have passed already: the tombstone stands for what came behind it."""
    deleting = await bench.upload()
    await bench.files.start_deletion(deleting.key)

    assert await bench.deliver(message(deleting.generation)) == []

    assert bench.discarded() == [deleting.generation]
    assert set(bench.pictures.objects) == {deleting.generation.original}


async def test_bytes_of_an_older_registration_are_discarded(bench: Bench) -> None:
    """The file was registered anew: it waits on for its own bytes, and is not touched."""
    rejected = await bench.process(NO_PHOTO)
    anew = await bench.registered(NO_PHOTO)
    assert anew.generation.ulid > rejected.generation.ulid

    assert await bench.deliver(message(rejected.generation, receive_count=2)) == []

    assert bench.discarded() == [rejected.generation]
    assert bench.files.files[anew.key] == anew


async def test_bytes_of_a_newer_registration_come_again(bench: Bench) -> None:
    """A table that knows less than S3 cannot judge them: nothing is deleted, and the message goes back."""
    file = await bench.upload()
    newer = Generation(file.key, new_ulid(datetime.now(UTC), after=file.generation.ulid))
    failing = message(newer)

    assert await bench.deliver(failing, message(file.generation)) == [failing.id]

    assert bench.discarded() == []
    assert bench.files.files[file.key].state is State.READY


async def test_bytes_of_a_registration_that_is_gone_are_discarded_although_it_was_newer(bench: Bench) -> None:
    """Deleted, and registered anew by an API host whose clock is behind: the old URL's bytes must not stay for ever."""
    first = await bench.upload()
    await bench.delete(first)
    bench.clock.later = timedelta(hours=-1)
    anew = await bench.registered()
    bench.clock.later = timedelta()
    assert anew.generation.ulid < first.generation.ulid
    minutes = timedelta(minutes=11)
    passing = [
        message(first.generation, receive_count=1, ago=minutes),
        message(first.generation, receive_count=2, ago=minutes),
        message(first.generation, receive_count=3),
    ]

    assert await bench.deliver(*passing) == [found.id for found in passing]
    assert bench.discarded() == []
    assert await bench.deliver(message(first.generation, receive_count=3, ago=minutes)) == []

    assert bench.discarded() == [first.generation]
    assert bench.files.files[first.key] == anew


@pytest.mark.parametrize("data", [PHOTO, NO_PHOTO])
async def test_what_a_photo_supersedes_is_ordered_to_be_deleted(bench: Bench, data: bytes) -> None:
    """The API's own order may be lost: ingest orders again before the file forgets, whatever becomes of the photo."""
    expired = await bench.registered(data)
    bench.clock.later = timedelta(days=2)
    file = await bench.upload(data)
    assert file.supersedes == expired.generation

    assert await bench.deliver(message(file.generation)) == []

    assert bench.files.files[file.key].supersedes is None
    assert bench.discarded() == [expired.generation]


async def test_an_order_that_fails_lets_no_photo_forget_what_it_supersedes(bench: Bench) -> None:
    """The message comes again, and then the deletion is ordered."""
    expired = await bench.registered()
    bench.clock.later = timedelta(days=2)
    file = await bench.upload()
    bench.deletions.faults.add("order", Fault.THROTTLED)
    failing = message(file.generation)
    assert await bench.deliver(failing) == [failing.id]
    assert bench.files.files[file.key] == file

    assert await bench.deliver(message(file.generation, receive_count=2)) == []
    assert bench.discarded() == [expired.generation]


async def test_a_stale_read_loses_no_photo(bench: Bench) -> None:
    """An eventually consistent read may not know a fresh photo; ingest asks for the truth."""
    bench.files.freeze()
    file = await bench.upload()
    assert await bench.files.get_many([file.key]) == []

    assert await bench.deliver(message(file.generation)) == []

    assert bench.files.files[file.key].state is State.READY
    assert bench.discarded() == []


async def test_a_photo_is_looked_for_twice_before_it_is_foreign(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The batch's own look is one moment, and may be an old one."""
    file = await bench.upload()
    looks = [dict[FileKey, File]()]
    again = bench.files.states

    async def states(keys: Iterable[FileKey]) -> dict[FileKey, File]:
        return looks.pop() if looks else await again(keys)

    monkeypatch.setattr(bench.files, "states", states)
    assert await bench.deliver(message(file.generation)) == []

    assert bench.files.files[file.key].state is State.READY
    assert (looks, bench.discarded()) == ([], [])


async def test_a_file_that_goes_while_it_is_prepared_leaves_nothing(bench: Bench) -> None:
    """Clean-up has passed when the renditions are stored: they get a tombstone of their own, and an order."""
    file = await bench.upload()
    bench.renderer.before = lambda: bench.delete(file)

    assert await bench.deliver(message(file.generation)) == []

    assert {file.rendition(name) for name in RENDITIONS} <= set(bench.pictures.objects)
    assert bench.discarded() == [file.generation]
    assert bench.event_ids() == []


async def test_a_backlog_longer_than_a_registration_loses_nothing(bench: Bench) -> None:
    """The bytes came in time, ingest two days later: the photo becomes READY, and is to be seen again."""
    file = await bench.upload()
    bench.clock.later = timedelta(days=2)
    assert await bench.files.get(file.key) is None

    assert await bench.deliver(message(file.generation)) == []

    found = await bench.files.get(file.key)
    assert found is not None
    assert found.state is State.READY


async def test_a_photo_that_was_deleted_and_uploaded_again_is_another_fact(bench: Bench) -> None:
    """Whoever drops events that they have seen must not drop the second one."""
    await bench.delete(await bench.process())
    await bench.process()

    ids = bench.event_ids()
    assert len(set(ids)) == len(ids) == 2


async def test_a_message_of_too_many_keys_goes_back_alone(bench: Bench) -> None:
    """S3 sends one record; a message of more than 100 becomes a dead letter, and its neighbours live."""
    good = await bench.upload()
    crowded = message(*[good.generation] * 101)

    assert await bench.deliver(crowded, message(good.generation)) == [crowded.id]

    assert bench.files.files[good.key].state is State.READY


async def test_an_event_before_its_registration_does_no_harm(bench: Bench) -> None:
    """Reordered: the registration made afterwards is prepared when its own upload's event comes."""
    key = FileKey(bench.owner, bench.owner.file_id(sha256(PHOTO).hexdigest()))
    assert await bench.deliver(message(Generation(key, new_ulid(datetime.now(UTC))))) == []

    assert (await bench.process()).state is State.READY


# --- as S3 invokes it, in the naive stack of the load tests ----------------------------------------------------------


async def test_a_passing_fault_fails_the_invocation(bench: Bench) -> None:
    """So that Lambda tries the event again; then the photo is done."""
    file = await bench.upload()
    event = json.loads(message(file.generation).body)
    bench.pictures.faults.add("fetch", Fault.THROTTLED)
    with pytest.raises(naive.NotDone):
        await naive.take(partial(bench.ingest.run, at_once=4), event, Context())

    await naive.take(partial(bench.ingest.run, at_once=4), event, Context())
    assert bench.files.files[file.key].state is State.READY
