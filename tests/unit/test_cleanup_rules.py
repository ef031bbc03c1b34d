"""Cleanup on the stores in memory, with faults: what is ordered goes, and nothing else."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shoebox.files.deletions import order_text
from shoebox.files.memory import Fault, MemoryFileStore, MemoryPictureStore
from shoebox.files.model import File, Generation, Owner, Registration, State
from shoebox.files.store import Stages
from shoebox_client.renditions import RENDITIONS
from workers.batch import BatchResult, Message, TimeBudget, run_batch
from workers.cleanup import Cleanup

OWNER = Owner("demo", "anna")
STAGES = Stages(datetime(2026, 11, 23, tzinfo=UTC), datetime(2026, 11, 23, tzinfo=UTC))
STORED = 1 + len(RENDITIONS)  # objects of a READY file


@dataclass
class Bench:
    """Cleanup and its stores."""

    later: timedelta = timedelta()
    pictures: MemoryPictureStore = field(default_factory=MemoryPictureStore)

    def __post_init__(self) -> None:
        self.files = MemoryFileStore(now=lambda: datetime.now(UTC) + self.later)
        self.cleanup = Cleanup(self.files, self.pictures)

    async def stored_file(self, number: int = 0) -> File:
        """Return a file with its original and its renditions."""
        promise = Registration("photo.jpg", 5, "image/jpeg", f"{number:064x}")
        [file] = (await self.files.register(OWNER, [promise])).files
        for key in objects_of(file.generation):
            self.pictures.put(key, b"bytes")
        return file

    def objects(self, file: File) -> int:
        """Return how many objects of a file are stored."""
        return len(objects_of(file.generation) & set(self.pictures.objects))

    async def deliver(self, *bodies: str) -> BatchResult:
        """Run one batch of orders."""
        messages = [Message(uuid.uuid4().hex, body, 1, datetime.now(UTC)) for body in bodies]
        budget = TimeBudget.of_remaining(30)
        return await run_batch(messages, self.cleanup.delete, at_once=5, budget=budget, function="cleanup")


def objects_of(generation: Generation) -> set[str]:
    """Return the keys that a generation has."""
    return {generation.original, *(generation.rendition("1", name) for name in RENDITIONS)}


@pytest.fixture
def bench() -> Bench:
    """Return cleanup on empty stores."""
    return Bench()


async def test_an_ordered_file_goes_whole(bench: Bench) -> None:
    """Original, renditions and record are gone; a neighbour stays as it was."""
    file, neighbour = await bench.stored_file(1), await bench.stored_file(2)
    await bench.files.start_deletion(file.key)

    assert (await bench.deliver(order_text(file.generation))).returned == ()

    assert set(bench.pictures.objects) == objects_of(neighbour.generation)
    assert bench.files.files == {neighbour.key: neighbour}


async def test_an_order_that_comes_twice_does_no_harm(bench: Bench) -> None:
    """The second delivery, or one at the same time, finds nothing to do."""
    file = await bench.stored_file()
    await bench.files.start_deletion(file.key)

    assert (await bench.deliver(order_text(file.generation), order_text(file.generation))).returned == ()
    assert (await bench.deliver(order_text(file.generation))).returned == ()


async def test_a_file_that_is_not_being_deleted_is_left_alone(bench: Bench) -> None:
    """A forged or stale order deletes nothing: the record decides."""
    file = await bench.stored_file()

    assert (await bench.deliver(order_text(file.generation))).returned == ()

    assert bench.objects(file) == STORED
    assert bench.files.files == {file.key: file}


@pytest.mark.parametrize("fault", [Fault.THROTTLED, Fault.LOST_RESPONSE])
@pytest.mark.parametrize("call", ["abort_multipart", "delete_all", "remove"])
async def test_an_order_that_failed_is_carried_out_when_it_comes_again(bench: Bench, call: str, fault: Fault) -> None:
    """As long as the record says DELETING, the next delivery finishes what this one began."""
    file = await bench.stored_file()
    upload_id = await bench.pictures.create_multipart(file.generation, "image/jpeg")
    await bench.files.open_multipart(file.generation, upload_id)
    await bench.files.start_deletion(file.key)
    (bench.files if call == "remove" else bench.pictures).faults.add(call, fault)
    assert len((await bench.deliver(order_text(file.generation))).returned) == 1

    assert (await bench.deliver(order_text(file.generation))).returned == ()

    assert (bench.pictures.objects, bench.files.files) == ({}, {})
    assert await bench.pictures.parts(file.generation, upload_id) is None


async def test_a_slow_order_does_not_touch_what_was_uploaded_anew(bench: Bench) -> None:
    """Two orders, and the file is uploaded again between them: the second one is of a generation that has gone."""
    old = await bench.stored_file()
    await bench.files.start_deletion(old.key)
    assert (await bench.deliver(order_text(old.generation))).returned == ()
    new = await bench.stored_file()
    assert new.generation != old.generation

    assert (await bench.deliver(order_text(old.generation))).returned == ()

    assert bench.objects(new) == STORED
    assert bench.files.files == {new.key: new}


async def test_an_order_in_the_middle_of_its_work_does_not_touch_what_was_uploaded_anew(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has read DELETING, and another one ends the deletion before it deletes the first object."""
    old, new = await bench.stored_file(), None
    await bench.files.start_deletion(old.key)
    delete_all = bench.pictures.delete_all

    async def slow(generation: Generation, revisions: Iterable[str]) -> None:
        nonlocal new
        monkeypatch.undo()
        await bench.deliver(order_text(old.generation))
        new = await bench.stored_file()
        await delete_all(generation, revisions)

    monkeypatch.setattr(bench.pictures, "delete_all", slow)
    assert (await bench.deliver(order_text(old.generation))).returned == ()

    assert new is not None
    assert bench.objects(new) == STORED
    assert bench.files.files == {new.key: new}


async def test_a_tombstone_takes_its_own_generation_only(bench: Bench) -> None:
    """Bytes of an old registration lie beside those of the file: they go, with the tombstone, and the file stays."""
    old = await bench.stored_file()
    await bench.files.mark_rejected(old.generation, "corrupt", "", STAGES)
    new = await bench.stored_file()

    assert (await bench.deliver(order_text(old.generation))).returned == ()

    assert (bench.objects(old), bench.objects(new), bench.files.tombstones) == (0, STORED, {})
    assert bench.files.files == {new.key: new}


async def test_bytes_that_came_while_it_was_at_work_keep_their_tombstone(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tombstone is written again meanwhile: what was read is not what is there, and a next order deletes both."""
    file = await bench.stored_file()
    await bench.files.mark_rejected(file.generation, "corrupt", "", STAGES)
    await bench.stored_file()
    delete_all = bench.pictures.delete_all

    async def passed(generation: Generation, revisions: Iterable[str]) -> None:
        await delete_all(generation, revisions)
        bench.pictures.put(generation.original, b"late")
        await bench.files.write_tombstone(generation)

    monkeypatch.setattr(bench.pictures, "delete_all", passed)
    assert (await bench.deliver(order_text(file.generation))).returned == ()
    assert (bench.objects(file), set(bench.files.tombstones)) == (1, {file.generation})
    monkeypatch.undo()

    assert (await bench.deliver(order_text(file.generation))).returned == ()
    assert (bench.objects(file), bench.files.tombstones) == (0, {})


async def test_what_a_deleted_file_superseded_goes_with_it(bench: Bench) -> None:
    """No order of the generations before has arrived, and after the last record nothing would know them."""
    first = await bench.stored_file()
    await bench.files.mark_rejected(first.generation, "corrupt", "", STAGES)
    second = await bench.stored_file()
    bench.later = timedelta(days=2)
    [third] = (await bench.files.register(OWNER, [second.registration])).files
    assert (second.supersedes, third.supersedes) == (first.generation, second.generation)
    await bench.files.start_deletion(third.key)

    assert (await bench.deliver(order_text(third.generation))).returned == ()

    assert (bench.pictures.objects, bench.files.files, bench.files.tombstones) == ({}, {}, {})


async def test_a_file_of_the_first_key_layout_goes_by_an_order_of_that_time(bench: Bench) -> None:
    """Orders that lie in the queue when this version starts have no generation, and neither has their file."""
    newer = await bench.stored_file()
    old = Generation(newer.key, "")
    record = File(old, newer.registration, State.DELETING, newer.registered_at)
    bench.files.files[newer.key] = record
    bench.pictures.objects.clear()
    for key in objects_of(old):
        bench.pictures.put(key, b"bytes")
    order = {"tenant": OWNER.tenant, "user": OWNER.user, "file_id": newer.key.file_id}

    assert (await bench.deliver(json.dumps(order))).returned == ()

    assert (bench.pictures.objects, bench.files.files) == ({}, {})


@pytest.mark.parametrize(
    "body",
    [
        "",
        "[]",
        "{}",
        '{"tenant": "demo", "user": "../x", "file_id": "f"}',
        '{"tenant": 1, "user": 2, "file_id": 3}',
        f'{{"tenant": "demo", "user": "a", "file_id": "f{"2" * 32}", "generation": "x"}}',
        f'{{"tenant": "demo", "user": "a", "file_id": "f{"2" * 32}", "generation": "", "lane": "../0"}}',
    ],
)
async def test_what_is_no_order_goes_back(bench: Bench, body: str) -> None:
    """It ends in the dead-letter queue, where a person sees it; nothing is deleted."""
    result: Any = await bench.deliver(body)

    assert result.statistics.failed == 1
