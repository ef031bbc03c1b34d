"""What every `FileStore` promises: races, expiry, generations, tombstones, lists."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from hashlib import sha256

import pytest

from emulator.embedded import ROOT_CREDENTIALS
from emulator.provision import RoleSource
from shoebox.aws.clients import Clients
from shoebox.aws.credentials import fixed_credentials
from shoebox.aws.dynamodb import DynamoDBClient
from shoebox.errors import Invalid
from shoebox.files.dynamodb import DynamoDBFileStore
from shoebox.files.memory import MemoryFileStore
from shoebox.files.model import File, FileKey, Generation, Owner, Picture, Registration, RenditionInfo, State
from shoebox.files.store import FileStore, Stages
from shoebox.files.ulid import new_ulid
from tests.contract.stores.conftest import NOW, Backend, Clock

STAGES = Stages(NOW, NOW)
PICTURE = Picture(40, 30, "hash", (RenditionInfo("2048", 40, 30, 999),), {"camera_make": "Shoebox"})


@pytest.fixture
def owner() -> Owner:
    """Someone whom no other test knows."""
    return Owner("demo", uuid.uuid4().hex)


@pytest.fixture
async def store(backend: Backend | None, clock: Clock) -> AsyncIterator[FileStore]:
    """Open a store, on AWS as the function `api` may use it."""
    if backend is None:
        yield MemoryFileStore(now=clock)
        return
    aws = backend.emulator.aws
    async with Clients(aws, ROOT_CREDENTIALS) as root:
        role = (await RoleSource(backend.resolved, root)("api")).keys
    async with DynamoDBClient.open(aws, fixed_credentials(role)) as client:
        yield DynamoDBFileStore(client, backend.resolved.name_of("table", "files"), now=clock)


async def register(store: FileStore, owner: Owner, registrations: Sequence[Registration]) -> list[File]:
    """Return the files that a registration gives."""
    return (await store.register(owner, registrations)).files


def photo(number: int, media_type: str = "image/jpeg") -> Registration:
    """Return a photo like no other number's."""
    return Registration(f"{number}.jpg", 100 + number, media_type, sha256(str(number).encode()).hexdigest())


async def test_registering_a_hundred_is_whole_and_ordered(store: FileStore, owner: Owner):
    """A batch of 100 comes back in its own order, all REGISTERED, and reads back equal."""
    photos = [photo(n) for n in range(100)]

    files = await register(store, owner, photos)

    assert [f.registration for f in files] == photos
    assert {f.state for f in files} == {State.REGISTERED}
    stored = await store.get_many([f.key for f in files])
    assert sorted(stored, key=lambda f: f.key.file_id) == sorted(files, key=lambda f: f.key.file_id)


async def test_the_same_photo_twice_in_one_batch_is_one_file(store: FileStore, owner: Owner):
    """DynamoDB refuses a transaction that writes an item twice, so the batch must not."""
    first, second = await register(store, owner, [photo(1), photo(1)])

    assert first == second


async def test_the_last_of_two_registrations_of_one_photo_counts(store: FileStore, owner: Owner):
    """Two copies under two names: one file, which is returned for both."""
    named = [Registration(name, 101, "image/jpeg", photo(1).sha256) for name in ("first.jpg", "second.jpg")]

    files = await register(store, owner, named)

    assert [f.registration.name for f in files] == ["second.jpg", "second.jpg"]
    assert await store.get(files[0].key) == files[0] == files[1]


async def test_ten_phones_register_the_same_photos_at_once(store: FileStore, owner: Owner):
    """Whoever is first, all get the same files, and each file exists once."""
    photos = [photo(n) for n in range(5)]

    results = await asyncio.gather(*(register(store, owner, photos) for _ in range(10)))

    assert len({tuple(f.key.file_id for f in result) for result in results}) == 1
    assert len((await store.page(owner, limit=50)).files) == 5


async def test_a_ready_photo_is_never_registered_anew(store: FileStore, owner: Owner):
    """Already stored: the file comes back READY, and its item is not touched."""
    [file] = await register(store, owner, [photo(1)])
    assert await store.mark_ready(file.generation, PICTURE, STAGES)

    [again] = await register(store, owner, [Registration("other name", 1, "image/png", photo(1).sha256)])

    assert (again.state, again.registration, again.picture) == (State.READY, photo(1), PICTURE)
    assert (again.register_until, again.uploaded_at) == (None, NOW)


async def test_a_rejected_photo_may_be_registered_anew(store: FileStore, owner: Owner):
    """With another declared type, say: it is REGISTERED again and nothing is left of the rejection."""
    [file] = await register(store, owner, [photo(1, "image/png")])
    assert await store.mark_rejected(file.generation, "wrong_type", "It is a JPEG.", STAGES)

    [again] = await register(store, owner, [photo(1)])

    assert (again.state, again.reason, again.registration.media_type) == (State.REGISTERED, None, "image/jpeg")
    assert await store.get(file.key) == again


async def test_only_the_first_of_two_deliveries_finishes(store: FileStore, owner: Owner):
    """READY and REJECTED are final: a late or contradicting delivery changes nothing."""
    [file] = await register(store, owner, [photo(1)])

    results = await asyncio.gather(*(store.mark_ready(file.generation, PICTURE, STAGES) for _ in range(5)))

    assert sorted(results) == [False] * 4 + [True]
    assert not await store.mark_rejected(file.generation, "corrupt", "", STAGES)
    found = await store.get(file.key)
    assert found is not None
    assert found.state is State.READY


async def test_an_expired_registration_counts_as_absent(store: FileStore, owner: Owner, clock: Clock):
    """Nothing deletes an expired item by itself, so every read leaves it out, and registering starts anew."""
    [file] = await register(store, owner, [photo(1)])
    clock.now += timedelta(days=1)

    assert await store.get(file.key) is None
    assert await store.get_many([file.key]) == []
    assert (await store.page(owner, limit=10)).files == []
    [again] = await register(store, owner, [photo(1)])
    assert again.registered_at == clock.now


async def test_bytes_that_come_late_are_kept(store: FileStore, owner: Owner, clock: Clock):
    """An upload that ends after its registration's time still becomes READY while the item is there."""
    [file] = await register(store, owner, [photo(1)])
    clock.now += timedelta(days=1)

    assert await store.mark_ready(file.generation, PICTURE, STAGES)
    assert await store.get(file.key) is not None


async def test_a_registration_is_renewed_in_good_time(store: FileStore, owner: Owner, clock: Clock):
    """Registering again early writes nothing; in the second half of its life it is renewed."""
    [first] = await register(store, owner, [photo(1)])
    clock.now += timedelta(hours=11)
    assert await register(store, owner, [photo(1)]) == [first]
    clock.now += timedelta(hours=2)

    [renewed] = await register(store, owner, [photo(1)])

    assert renewed.register_until == int((clock.now + timedelta(days=1)).timestamp())


async def test_a_generation_lives_as_long_as_its_registration(store: FileStore, owner: Owner, clock: Clock):
    """Renewing keeps it, for the URL that is out may be in use; after rejection and expiry there is a new one."""
    [first] = await register(store, owner, [photo(1)])
    clock.now += timedelta(hours=13)
    renewed = await store.register(owner, [photo(1)])
    assert (renewed.files[0].generation, renewed.superseded) == (first.generation, [])

    await store.mark_rejected(first.generation, "corrupt", "", STAGES)
    second = await store.register(owner, [photo(1)])
    clock.now += timedelta(days=2)
    third = await store.register(owner, [photo(1)])

    assert (second.superseded, third.superseded) == ([first.generation], [second.files[0].generation])
    assert first.generation.ulid < second.files[0].generation.ulid < third.files[0].generation.ulid


async def test_a_new_generation_is_the_newest_whatever_the_clock_says(store: FileStore, owner: Owner, clock: Clock):
    """Two machines register one after the other, and the second one's clock is behind."""
    [first] = await register(store, owner, [photo(1)])
    await store.mark_rejected(first.generation, "corrupt", "", STAGES)
    clock.now -= timedelta(minutes=1)

    [second] = await register(store, owner, [photo(1)])

    assert second.generation.ulid > first.generation.ulid


async def test_what_a_new_registration_replaces_has_a_tombstone(store: FileStore, owner: Owner, clock: Clock):
    """With the multipart upload that was open; it is in nobody's list, and not in the way of the file's own item."""
    [expired] = await register(store, owner, [photo(1)])
    await store.open_multipart(expired.generation, "upload-1")
    clock.now += timedelta(days=2)
    [anew] = await register(store, owner, [photo(1)])

    [tombstone] = await store.pending_deletions(expired.generation)
    assert (tombstone.upload_id, tombstone.revisions) == ("upload-1", {"1"})
    assert await store.pending_deletions(anew.generation) == []
    assert (await store.page(owner, limit=10)).files == [anew]
    await store.remove(tombstone)
    assert await store.pending_deletions(expired.generation) == []
    assert await store.get(anew.key) == anew


async def test_a_hundred_rejected_photos_are_registered_anew(store: FileStore, owner: Owner):
    """Each takes two writes, more than a transaction may have."""
    photos = [photo(n) for n in range(100)]
    rejected = await register(store, owner, photos)
    for file in rejected:
        await store.mark_rejected(file.generation, "corrupt", "", STAGES)

    result = await store.register(owner, photos)

    assert {file.state for file in result.files} == {State.REGISTERED}
    assert set(result.superseded) == {file.generation for file in rejected}
    for generation in result.superseded[::33]:
        assert len(await store.pending_deletions(generation)) == 1


async def test_rivals_who_register_anew_agree(store: FileStore, owner: Owner):
    """Of five at once one makes the generation, and all hand out its URLs."""
    [rejected] = await register(store, owner, [photo(1)])
    await store.mark_rejected(rejected.generation, "corrupt", "", STAGES)

    results = await asyncio.gather(*(register(store, owner, [photo(1)]) for _ in range(5)))

    assert len({result[0].generation for result in results}) == 1


async def test_only_its_own_generation_finishes_a_file(store: FileStore, owner: Owner):
    """A worker that is late by a whole registration changes nothing, nor opens an upload."""
    [old] = await register(store, owner, [photo(1)])
    await store.mark_rejected(old.generation, "corrupt", "", STAGES)
    [anew] = await register(store, owner, [photo(1)])

    assert not await store.mark_ready(old.generation, PICTURE, STAGES)
    assert not await store.mark_rejected(old.generation, "corrupt", "", STAGES)
    assert not await store.open_multipart(old.generation, "upload-1")
    assert await store.get(anew.key) == anew


async def test_two_tombstones_of_one_generation_are_one_and_yet_told_apart(store: FileStore, owner: Owner):
    """Bytes that come while clean-up is at work have their tombstone written again: it must not remove that."""
    generation = Generation(FileKey(owner, owner.file_id("0" * 64)), new_ulid(NOW))
    await store.write_tombstone(generation)
    [seen] = await store.pending_deletions(generation)
    await store.write_tombstone(generation)

    await store.remove(seen)

    [left] = await store.pending_deletions(generation)
    await store.remove(left)
    assert await store.pending_deletions(generation) == []


async def test_an_open_multipart_upload_survives_registering_again(store: FileStore, owner: Owner):
    """A client that starts over finds its upload, not a new registration that forgot it."""
    [file] = await register(store, owner, [photo(1)])
    assert await store.open_multipart(file.generation, "upload-1")
    assert not await store.open_multipart(file.generation, "upload-2")

    [again] = await register(store, owner, [photo(1)])

    assert again.upload_id == "upload-1"
    await store.close_multipart(file.key, "upload-2")
    assert await store.get(file.key) == again
    await store.close_multipart(file.key, "upload-1")
    closed = await store.get(file.key)
    assert closed is not None
    assert closed.upload_id is None


async def test_deletion_hides_at_once_and_removes_later(store: FileStore, owner: Owner):
    """DELETING is invisible to readers, cannot be finished by a worker, and its item goes only from that state."""
    [file] = await register(store, owner, [photo(1)])
    assert await store.pending_deletions(file.generation) == []

    before = await store.start_deletion(file.key)

    assert before == file
    assert await store.get(file.key) is None
    assert (await store.page(owner, limit=10)).files == []
    assert not await store.mark_ready(file.generation, PICTURE, STAGES)
    assert [f.state for f in await register(store, owner, [photo(1)])] == [State.DELETING]
    [pending] = await store.pending_deletions(file.generation)
    await store.remove(pending)
    assert await store.start_deletion(file.key) is None


async def test_deleting_twice_returns_the_file_as_it_stands(store: FileStore, owner: Owner):
    """The second caller learns that it is DELETING already; an unknown file is None."""
    [file] = await register(store, owner, [photo(1)])

    assert await store.start_deletion(file.key) == file
    again = await store.start_deletion(file.key)

    assert again is not None
    assert (again.state, again.generation) == (State.DELETING, file.generation)
    assert await store.start_deletion(FileKey(owner, owner.file_id("0" * 64))) is None


async def test_workers_see_what_owners_do_not(store: FileStore, owner: Owner, clock: Clock):
    """`states` returns files that are expired or being deleted, too, each once; unknown ones are left out."""
    [expired] = await register(store, owner, [photo(1)])
    clock.now += timedelta(days=2)
    [deleting] = await register(store, owner, [photo(2)])
    await store.start_deletion(deleting.key)
    unknown = FileKey(owner, owner.file_id("0" * 64))

    states = await store.states([expired.key, deleting.key, unknown, deleting.key])

    assert {key: file.state for key, file in states.items()} == {
        expired.key: State.REGISTERED,
        deleting.key: State.DELETING,
    }
    assert await store.get_many([expired.key, deleting.key, unknown]) == []


async def test_opening_an_upload_renews_its_registration(store: FileStore, owner: Owner, clock: Clock):
    """Noting the same upload again does no harm; a READY file takes none, and closing one of an unknown file passes."""
    [file] = await register(store, owner, [photo(1)])
    clock.now += timedelta(hours=1)

    assert await store.open_multipart(file.generation, "upload-1")
    assert await store.open_multipart(file.generation, "upload-1")

    opened = await store.get(file.key)
    assert opened is not None
    assert opened.register_until == int((clock.now + timedelta(days=1)).timestamp())
    assert await store.mark_ready(file.generation, PICTURE, STAGES)
    assert not await store.open_multipart(file.generation, "upload-2")
    await store.close_multipart(FileKey(owner, owner.file_id("0" * 64)), "upload-1")


async def test_pages_are_newest_first_and_complete(store: FileStore, owner: Owner, clock: Clock):
    """Over all shards, every file comes exactly once and in order, whatever the page's size."""
    for n in range(25):
        clock.now += timedelta(milliseconds=1)
        await register(store, owner, [photo(n)])
    for limit in (1, 7, 25, 100):
        names, cursor = [], None
        while True:
            page = await store.page(owner, limit=limit, cursor=cursor)
            assert len(page.files) <= limit
            names += [f.registration.name for f in page.files]
            cursor = page.next_cursor
            if cursor is None:
                break
        assert names == [f"{n}.jpg" for n in reversed(range(25))]


async def test_pages_of_one_state(store: FileStore, owner: Owner, clock: Clock):
    """The rejected ones are found between the others."""
    for n in range(12):
        clock.now += timedelta(milliseconds=1)
        [file] = await register(store, owner, [photo(n)])
        if n % 5 == 0:
            await store.mark_rejected(file.generation, "corrupt", "Broken.", STAGES)

    page = await store.page(owner, limit=2, state=State.REJECTED)
    rest = await store.page(owner, limit=2, state=State.REJECTED, cursor=page.next_cursor)

    assert [f.registration.name for f in page.files + rest.files] == ["10.jpg", "5.jpg", "0.jpg"]


async def test_owners_never_meet(store: FileStore, owner: Owner):
    """The same photo of another user, or of the same user name elsewhere, is another file."""
    [mine] = await register(store, owner, [photo(1)])
    for other in (Owner(owner.tenant, "someone"), Owner("other", owner.user)):
        assert await store.get(FileKey(other, mine.key.file_id)) is None
        assert (await store.page(other, limit=10)).files == []


@pytest.mark.parametrize("cursor", ["x", "AAAA", "é", "MjAyNi0xMS0yM1QxMjowMDowMC4wMDBaI2ZvbyM"])
async def test_a_made_up_cursor_is_refused(store: FileStore, owner: Owner, cursor: str):
    """A cursor is checked like any other input."""
    with pytest.raises(Invalid):
        await store.page(owner, limit=10, cursor=cursor)


async def test_a_detail_is_kept_up_to_500_characters(store: FileStore, owner: Owner):
    """Items are small, whatever a decoder has to say."""
    [file] = await register(store, owner, [photo(1)])
    await store.mark_rejected(file.generation, "corrupt", "x" * 501, STAGES)

    found = await store.get(file.key)
    assert found is not None
    assert found.detail == "x" * 500


async def test_what_supersedes_is_known_until_the_photo_is_finished(store: FileStore, owner: Owner, clock: Clock):
    """A tombstone keeps the chain, and the upload that was open; the finished file forgets it."""
    [first] = await register(store, owner, [photo(1)])
    await store.mark_rejected(first.generation, "corrupt", "", STAGES)
    [second] = await register(store, owner, [photo(1)])
    clock.now += timedelta(days=2)
    [third] = await register(store, owner, [photo(1)])
    [pending] = await store.pending_deletions(second.generation)
    assert (second.supersedes, pending.supersedes, third.supersedes) == (
        first.generation,
        first.generation,
        second.generation,
    )

    assert await store.mark_ready(third.generation, PICTURE, STAGES)
    assert (await store.states([third.key]))[third.key].supersedes is None


async def test_a_file_that_is_there_again_is_not_removed_by_an_old_order(store: FileStore, owner: Owner):
    """What was read as DELETING has gone and come back as another registration: nothing happens."""
    [file] = await register(store, owner, [photo(1)])
    await store.start_deletion(file.key)
    [pending] = await store.pending_deletions(file.generation)
    await store.remove(pending)
    [anew] = await register(store, owner, [photo(1)])

    await store.remove(pending)

    assert await store.get(anew.key) == anew
    await store.start_deletion(anew.key)
    await store.remove(pending)
    assert len(await store.pending_deletions(anew.generation)) == 1
