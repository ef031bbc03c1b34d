"""The table `files` on a real DynamoDB API: races, expiry, listing; with the API function's own role."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import pytest

from shoebox.aws.clients import Clients
from shoebox.aws.dynamodb import DynamoDBClient
from shoebox.errors import Invalid
from shoebox.files.items import picture_text, registered
from shoebox.files.model import File, FileKey, Generation, Owner, Picture, Registration, RenditionInfo, State
from shoebox.files.table import UNFINISHED_SECONDS, FilesTable, Stages
from shoebox.files.ulid import new_ulid
from shoebox.stack.model import load_stack
from tests.emulator.conftest import STACK_FILE, ClientsFor, EmulatorAt

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
STAGES = Stages(NOW, NOW)
PICTURE = Picture(40, 30, "hash", (RenditionInfo("2048", 40, 30, 999),), {"camera_make": "Shoebox"})


class Clock:
    """Time that passes when told."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        """The time."""
        return self.now


@pytest.fixture
def owner() -> Owner:
    """Someone whom no other test knows."""
    return Owner("demo", uuid.uuid4().hex)


@pytest.fixture
def clock() -> Clock:
    """The table's clock."""
    return Clock()


@pytest.fixture
async def table(emulator: EmulatorAt, clients_for: ClientsFor, clock: Clock) -> AsyncIterator[FilesTable]:
    """The table, as the function `api` may use it."""
    clients = await clients_for("api")
    async with DynamoDBClient.open(emulator.aws, clients.credentials) as client:
        yield FilesTable(client, "shoebox-files", now=clock)


async def register(table: FilesTable, owner: Owner, registrations: Sequence[Registration]) -> list[File]:
    """The files that a registration gives."""
    return (await table.register(owner, registrations)).files


def photo(number: int, media_type: str = "image/jpeg") -> Registration:
    """A photo like no other number's."""
    return Registration(f"{number}.jpg", 100 + number, media_type, sha256(str(number).encode()).hexdigest())


async def test_registering_a_hundred_is_whole_and_ordered(table: FilesTable, owner: Owner):
    """A batch of 100 comes back in its own order, all REGISTERED, and reads back equal."""
    photos = [photo(n) for n in range(100)]

    files = await register(table, owner, photos)

    assert [f.registration for f in files] == photos
    assert {f.state for f in files} == {State.REGISTERED}
    stored = await table.get_many([f.key for f in files])
    assert sorted(stored, key=lambda f: f.key.file_id) == sorted(files, key=lambda f: f.key.file_id)


async def test_the_same_photo_twice_in_one_batch_is_one_file(table: FilesTable, owner: Owner):
    """DynamoDB refuses a transaction that writes an item twice, so the batch must not."""
    first, second = await register(table, owner, [photo(1), photo(1)])

    assert first == second


async def test_ten_phones_register_the_same_photos_at_once(table: FilesTable, owner: Owner):
    """Whoever is first, all get the same files, and each file exists once."""
    photos = [photo(n) for n in range(5)]

    answers = await asyncio.gather(*(register(table, owner, photos) for _ in range(10)))

    assert len({tuple(f.key.file_id for f in answer) for answer in answers}) == 1
    assert len((await table.page(owner, limit=50)).files) == 5


async def test_a_ready_photo_is_never_registered_anew(table: FilesTable, owner: Owner):
    """Already stored: the file comes back READY, and its item is not touched."""
    [file] = await register(table, owner, [photo(1)])
    assert await table.mark_ready(file.generation, PICTURE, STAGES)

    [again] = await register(table, owner, [Registration("other name", 1, "image/png", photo(1).sha256)])

    assert (again.state, again.registration, again.picture) == (State.READY, photo(1), PICTURE)
    assert (again.register_until, again.uploaded_at) == (None, NOW)


async def test_a_rejected_photo_may_be_registered_anew(table: FilesTable, owner: Owner):
    """With another declared type, say: it is REGISTERED again and nothing is left of the rejection."""
    [file] = await register(table, owner, [photo(1, "image/png")])
    assert await table.mark_rejected(file.generation, "wrong_type", "It is a JPEG.", STAGES)

    [again] = await register(table, owner, [photo(1)])

    assert (again.state, again.reason, again.registration.media_type) == (State.REGISTERED, None, "image/jpeg")
    assert await table.get(file.key) == again


async def test_only_the_first_of_two_deliveries_finishes(table: FilesTable, owner: Owner):
    """READY and REJECTED are final: a late or contradicting delivery changes nothing."""
    [file] = await register(table, owner, [photo(1)])

    results = await asyncio.gather(*(table.mark_ready(file.generation, PICTURE, STAGES) for _ in range(5)))

    assert sorted(results) == [False] * 4 + [True]
    assert not await table.mark_rejected(file.generation, "corrupt", "", STAGES)
    found = await table.get(file.key)
    assert found is not None
    assert found.state is State.READY


async def test_an_expired_registration_counts_as_absent(table: FilesTable, owner: Owner, clock: Clock):
    """Nothing deletes an expired item by itself, so every read leaves it out, and registering starts anew."""
    [file] = await register(table, owner, [photo(1)])
    clock.now += timedelta(days=1)

    assert await table.get(file.key) is None
    assert await table.get_many([file.key]) == []
    assert (await table.page(owner, limit=10)).files == []
    [again] = await register(table, owner, [photo(1)])
    assert again.registered_at == clock.now


async def test_bytes_that_come_late_are_kept(table: FilesTable, owner: Owner, clock: Clock):
    """An upload that ends after its registration's time still becomes READY while the item is there."""
    [file] = await register(table, owner, [photo(1)])
    clock.now += timedelta(days=1)

    assert await table.mark_ready(file.generation, PICTURE, STAGES)
    assert await table.get(file.key) is not None


async def test_a_registration_is_renewed_in_good_time(table: FilesTable, owner: Owner, clock: Clock):
    """Registering again early writes nothing; in the second half of its life it is renewed."""
    [first] = await register(table, owner, [photo(1)])
    clock.now += timedelta(hours=11)
    assert await register(table, owner, [photo(1)]) == [first]
    clock.now += timedelta(hours=2)

    [renewed] = await register(table, owner, [photo(1)])

    assert renewed.register_until == int((clock.now + timedelta(days=1)).timestamp())


async def test_a_generation_lives_as_long_as_its_registration(table: FilesTable, owner: Owner, clock: Clock):
    """Renewing keeps it, for the URL that is out may be in use; after rejection and expiry there is a new one."""
    [first] = await register(table, owner, [photo(1)])
    clock.now += timedelta(hours=13)
    renewed = await table.register(owner, [photo(1)])
    assert (renewed.files[0].generation, renewed.superseded) == (first.generation, [])

    await table.mark_rejected(first.generation, "corrupt", "", STAGES)
    second = await table.register(owner, [photo(1)])
    clock.now += timedelta(days=2)
    third = await table.register(owner, [photo(1)])

    assert (second.superseded, third.superseded) == ([first.generation], [second.files[0].generation])
    assert first.generation.ulid < second.files[0].generation.ulid < third.files[0].generation.ulid


async def test_a_new_generation_is_the_newest_whatever_the_clock_says(table: FilesTable, owner: Owner, clock: Clock):
    """Two machines register one after the other, and the second one's clock is behind."""
    [first] = await register(table, owner, [photo(1)])
    await table.mark_rejected(first.generation, "corrupt", "", STAGES)
    clock.now -= timedelta(minutes=1)

    [second] = await register(table, owner, [photo(1)])

    assert second.generation.ulid > first.generation.ulid


async def test_what_a_new_registration_replaces_has_a_tombstone(table: FilesTable, owner: Owner, clock: Clock):
    """With the multipart upload that was open; it is in nobody's list, and not in the way of the file's own item."""
    [expired] = await register(table, owner, [photo(1)])
    await table.open_multipart(expired.generation, "upload-1")
    clock.now += timedelta(days=2)
    [anew] = await register(table, owner, [photo(1)])

    [tombstone] = await table.doomed(expired.generation)
    assert (tombstone.upload_id, tombstone.revisions) == ("upload-1", {"1"})
    assert await table.doomed(anew.generation) == []
    assert (await table.page(owner, limit=10)).files == [anew]
    await table.remove(tombstone)
    assert await table.doomed(expired.generation) == []
    assert await table.get(anew.key) == anew


async def test_a_hundred_rejected_photos_are_registered_anew(table: FilesTable, owner: Owner):
    """Each takes two writes, more than a transaction may have."""
    photos = [photo(n) for n in range(100)]
    rejected = await register(table, owner, photos)
    for file in rejected:
        await table.mark_rejected(file.generation, "corrupt", "", STAGES)

    result = await table.register(owner, photos)

    assert {file.state for file in result.files} == {State.REGISTERED}
    assert set(result.superseded) == {file.generation for file in rejected}
    for generation in result.superseded[::33]:
        assert len(await table.doomed(generation)) == 1


async def test_rivals_who_register_anew_agree(table: FilesTable, owner: Owner):
    """Of five at once one makes the generation, and all hand out its URLs."""
    [rejected] = await register(table, owner, [photo(1)])
    await table.mark_rejected(rejected.generation, "corrupt", "", STAGES)

    answers = await asyncio.gather(*(register(table, owner, [photo(1)]) for _ in range(5)))

    assert len({answer[0].generation for answer in answers}) == 1


async def test_only_its_own_generation_finishes_a_file(table: FilesTable, owner: Owner):
    """A worker that is late by a whole registration changes nothing, nor opens an upload."""
    [old] = await register(table, owner, [photo(1)])
    await table.mark_rejected(old.generation, "corrupt", "", STAGES)
    [anew] = await register(table, owner, [photo(1)])

    assert not await table.mark_ready(old.generation, PICTURE, STAGES)
    assert not await table.mark_rejected(old.generation, "corrupt", "", STAGES)
    assert not await table.open_multipart(old.generation, "upload-1")
    assert await table.get(anew.key) == anew


async def item_of(table: FilesTable, file: File) -> dict[str, Any]:
    """An item as it is stored."""
    key = {"pk": {"S": file.key.pk}}
    answer = await table._client.get_item(TableName="shoebox-files", Key=key, ConsistentRead=True)
    item: dict[str, Any] = answer["Item"]
    return item


async def test_registering_keeps_what_it_does_not_name(table: FilesTable, owner: Owner, root_clients: Clients):
    """An update, never a put: an attribute that another part of the system has put there survives."""
    [file] = await register(table, owner, [photo(1)])
    await table.mark_rejected(file.generation, "corrupt", "It is broken.", STAGES)
    await (await root_clients.open("dynamodb")).update_item(
        TableName="shoebox-files",
        Key={"pk": {"S": file.key.pk}},
        UpdateExpression="SET held_by = :holders",
        ExpressionAttributeValues={":holders": {"SS": ["b#1"]}},
    )

    [anew] = await register(table, owner, [photo(1)])

    item = await item_of(table, anew)
    assert item["held_by"] == {"SS": ["b#1"]}
    assert item.keys().isdisjoint({"reason", "detail", "finished_at", "finish", "revision"})


async def test_what_is_unfinished_is_due_some_day(table: FilesTable, owner: Owner, clock: Clock):
    """A registration may be used for a day, and its bytes may wait for 18; a deletion is due again after 15 minutes."""
    [file] = await register(table, owner, [photo(1)])
    item = await item_of(table, file)
    now = int(clock.now.timestamp())
    assert (item["register_until"]["N"], item["due"]["N"]) == (str(now + 86_400), str(now + 18 * 86_400))
    assert item["lane"] == {"S": "0"}

    await table.mark_ready(file.generation, PICTURE, STAGES)
    item = await item_of(table, file)
    assert item.keys().isdisjoint({"register_until", "due", "expires_at"})
    assert item["revision"] == {"S": "1"}

    await table.start_deletion(file.key)
    assert (await item_of(table, file))["due"]["N"] == str(now + 900)


def test_the_bytes_of_a_registration_may_wait_as_long_as_their_message():
    """Four days in the queue and fourteen as a dead letter: stack.yaml has the numbers."""
    queues = load_stack(STACK_FILE).queues
    assert (queues["uploads"].retention_days + queues["uploads-dead"].retention_days) * 86_400 == UNFINISHED_SECONDS


async def test_two_tombstones_of_one_generation_are_one_and_yet_told_apart(table: FilesTable, owner: Owner):
    """Bytes that come while clean-up is at work have their tombstone written again: it must not remove that."""
    generation = Generation(FileKey(owner, owner.file_id("0" * 64)), new_ulid(NOW))
    await table.bury(generation)
    [seen] = await table.doomed(generation)
    await table.bury(generation)

    await table.remove(seen)

    [left] = await table.doomed(generation)
    await table.remove(left)
    assert await table.doomed(generation) == []


async def test_an_open_multipart_upload_survives_registering_again(table: FilesTable, owner: Owner):
    """A client that starts over finds its upload, not a new registration that forgot it."""
    [file] = await register(table, owner, [photo(1)])
    assert await table.open_multipart(file.generation, "upload-1")
    assert not await table.open_multipart(file.generation, "upload-2")

    [again] = await register(table, owner, [photo(1)])

    assert again.upload_id == "upload-1"
    await table.close_multipart(file.key, "upload-2")
    assert await table.get(file.key) == again
    await table.close_multipart(file.key, "upload-1")
    closed = await table.get(file.key)
    assert closed is not None
    assert closed.upload_id is None


async def test_deletion_hides_at_once_and_removes_later(table: FilesTable, owner: Owner):
    """DELETING is invisible to readers, cannot be finished by a worker, and its item goes only from that state."""
    [file] = await register(table, owner, [photo(1)])
    assert await table.doomed(file.generation) == []

    before = await table.start_deletion(file.key)

    assert before == file
    assert await table.get(file.key) is None
    assert (await table.page(owner, limit=10)).files == []
    assert not await table.mark_ready(file.generation, PICTURE, STAGES)
    assert [f.state for f in await register(table, owner, [photo(1)])] == [State.DELETING]
    [doomed] = await table.doomed(file.generation)
    await table.remove(doomed)
    assert await table.start_deletion(file.key) is None


async def test_pages_are_newest_first_and_complete(table: FilesTable, owner: Owner, clock: Clock):
    """Over all shards, every file comes exactly once and in order, whatever the page's size."""
    for n in range(25):
        clock.now += timedelta(milliseconds=1)
        await register(table, owner, [photo(n)])
    for limit in (1, 7, 25, 100):
        names, cursor = [], None
        while True:
            page = await table.page(owner, limit=limit, cursor=cursor)
            assert len(page.files) <= limit
            names += [f.registration.name for f in page.files]
            cursor = page.next_cursor
            if cursor is None:
                break
        assert names == [f"{n}.jpg" for n in reversed(range(25))]


async def test_pages_of_one_state(table: FilesTable, owner: Owner, clock: Clock):
    """The rejected ones are found between the others."""
    for n in range(12):
        clock.now += timedelta(milliseconds=1)
        [file] = await register(table, owner, [photo(n)])
        if n % 5 == 0:
            await table.mark_rejected(file.generation, "corrupt", "Broken.", STAGES)

    page = await table.page(owner, limit=2, state=State.REJECTED)
    rest = await table.page(owner, limit=2, state=State.REJECTED, cursor=page.next_cursor)

    assert [f.registration.name for f in page.files + rest.files] == ["10.jpg", "5.jpg", "0.jpg"]


async def test_owners_never_meet(table: FilesTable, owner: Owner):
    """The same photo of another user, or of the same user name elsewhere, is another file."""
    [mine] = await register(table, owner, [photo(1)])
    for other in (Owner(owner.tenant, "someone"), Owner("other", owner.user)):
        assert await table.get(FileKey(other, mine.key.file_id)) is None
        assert (await table.page(other, limit=10)).files == []


@pytest.mark.parametrize("cursor", ["x", "AAAA", "é", "MjAyNi0xMS0yM1QxMjowMDowMC4wMDBaI2ZvbyM"])
async def test_a_made_up_cursor_is_refused(table: FilesTable, owner: Owner, cursor: str):
    """A cursor is checked like any other input."""
    with pytest.raises(Invalid):
        await table.page(owner, limit=10, cursor=cursor)


def test_the_largest_item_is_far_below_400_kb():
    """The longest name, detail, upload id and metadata together stay within DynamoDB's item size."""
    owner = Owner("t" * 32, "u" * 64)
    generation = Generation(FileKey(owner, owner.file_id("0" * 64)), new_ulid(NOW))
    item = registered(generation, Registration("n" * 255, 2**40, "image/jpeg", "0" * 64), NOW)
    metadata = {"camera_make": "m" * 64, "camera_model": "m" * 64, "icc_profile": "p" * 1000}
    picture = Picture(30_000, 30_000, "h" * 100, (RenditionInfo("2048", 2048, 2048, 2**30),) * 3, metadata)
    size = sum(len(name) + len(str(value)) for name, value in item.items()) + len(picture_text(picture)) + 3000

    assert size < 8_000
