"""Writes that were done and whose answers were lost: the client tries again, and everybody gets what they asked for.

One test for each line of the table in docs/reference/data-model.md, "Conditional writes".
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest

from shoebox.aws.dynamodb import DynamoDBClient
from shoebox.errors import Unavailable
from shoebox.files.dynamodb import DynamoDBFileStore
from shoebox.files.model import File, Owner, Picture, Registration, RenditionInfo, State
from shoebox.files.store import Stages
from tests.emulator.conftest import ClientsFor, EmulatorAt
from tests.faulty_aws import LossyConnections

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
STAGES = Stages(NOW, NOW)
PICTURE = Picture(40, 30, "hash", (RenditionInfo("2048", 40, 30, 999),))
PHOTO = Registration("a.jpg", 5, "image/jpeg", sha256(b"photo").hexdigest())


@dataclass
class Bench:
    """The table behind a client that loses answers, and the same table seen without."""

    lossy: DynamoDBFileStore
    table: DynamoDBFileStore
    lose: Counter[str]
    lost: Counter[str]
    owner: Owner

    async def registered(self) -> File:
        """Return a registered photo."""
        return (await self.table.register(self.owner, [PHOTO])).files[0]

    async def found(self, file: File) -> File:
        """Return the photo as it stands."""
        return (await self.table.states([file.key]))[file.key]


@pytest.fixture
async def bench(emulator: EmulatorAt, clients_for: ClientsFor) -> AsyncIterator[Bench]:
    """Each write of the lossy table may lose its first answer."""
    clients = await clients_for("api")
    connections = LossyConnections(emulator.url)
    client = DynamoDBClient(connections, clients.credentials, region=emulator.aws.region)
    async with DynamoDBClient.open(emulator.aws, clients.credentials) as whole:
        plain = DynamoDBFileStore(whole, "shoebox-files", now=lambda: NOW)
        lossy = DynamoDBFileStore(client, "shoebox-files", now=lambda: NOW)
        yield Bench(lossy, plain, connections.lose, connections.lost, Owner("demo", uuid.uuid4().hex))
    connections.close()


async def test_register(bench: Bench):
    """The transaction has a token, so that trying again is the same one: one file, and the generation that was told."""
    bench.lose["TransactWriteItems"] = 1

    [file] = (await bench.lossy.register(bench.owner, [PHOTO])).files

    assert bench.lost["TransactWriteItems"] == 1
    assert await bench.found(file) == file


async def test_register_anew(bench: Bench):
    """The rejected generation is told to be superseded, and its tombstone is there."""
    rejected = await bench.registered()
    await bench.table.mark_rejected(rejected.generation, "corrupt", "", STAGES)
    bench.lose["TransactWriteItems"] = 1

    result = await bench.lossy.register(bench.owner, [PHOTO])

    assert bench.lost["TransactWriteItems"] == 1
    assert result.superseded == [rejected.generation]
    assert await bench.found(rejected) == result.files[0]
    [pending] = await bench.table.pending_deletions(rejected.generation)
    assert pending.mark


async def test_register_anew_when_every_answer_is_lost(bench: Bench):
    """The request failed after its write: the client's next one is told of the superseded generation all the same."""
    rejected = await bench.registered()
    await bench.table.mark_rejected(rejected.generation, "corrupt", "", STAGES)
    bench.lose["TransactWriteItems"] = 4
    with pytest.raises(Unavailable):
        await bench.lossy.register(bench.owner, [PHOTO])

    results = [await bench.table.register(bench.owner, [PHOTO]) for _ in range(2)]

    assert bench.lost["TransactWriteItems"] == 4
    assert [result.superseded for result in results] == [[rejected.generation]] * 2
    assert await bench.found(rejected) == results[1].files[0]


async def test_mark_ready(bench: Bench):
    """It was this delivery that finished the photo, so it is this one that tells."""
    file = await bench.registered()
    bench.lose["UpdateItem"] = 1

    assert await bench.lossy.mark_ready(file.generation, PICTURE, STAGES)

    assert bench.lost["UpdateItem"] == 1
    assert (await bench.found(file)).state is State.READY
    assert not await bench.lossy.mark_ready(file.generation, PICTURE, STAGES)


async def test_mark_rejected(bench: Bench):
    """As for READY."""
    file = await bench.registered()
    bench.lose["UpdateItem"] = 1

    assert await bench.lossy.mark_rejected(file.generation, "corrupt", "It is broken.", STAGES)

    assert bench.lost["UpdateItem"] == 1
    assert (await bench.found(file)).state is State.REJECTED


async def test_start_deletion(bench: Bench):
    """The caller learns of the file that it deleted."""
    file = await bench.registered()
    bench.lose["UpdateItem"] = 1

    assert await bench.lossy.start_deletion(file.key) == file

    assert bench.lost["UpdateItem"] == 1
    assert (await bench.found(file)).state is State.DELETING


async def test_remove(bench: Bench):
    """An item that is gone is removed."""
    file = await bench.registered()
    await bench.table.start_deletion(file.key)
    [pending] = await bench.table.pending_deletions(file.generation)
    bench.lose["DeleteItem"] = 1

    await bench.lossy.remove(pending)

    assert bench.lost["DeleteItem"] == 1
    assert await bench.table.states([file.key]) == {}


async def test_open_multipart(bench: Bench):
    """The upload that was noted is this one; its caller must not give it up."""
    file = await bench.registered()
    bench.lose["UpdateItem"] = 1

    assert await bench.lossy.open_multipart(file.generation, "upload-1")

    assert bench.lost["UpdateItem"] == 1
    assert (await bench.found(file)).upload_id == "upload-1"


async def test_close_multipart(bench: Bench):
    """An upload that is forgotten is closed."""
    file = await bench.registered()
    await bench.table.open_multipart(file.generation, "upload-1")
    bench.lose["UpdateItem"] = 1

    await bench.lossy.close_multipart(file.key, "upload-1")

    assert bench.lost["UpdateItem"] == 1
    assert (await bench.found(file)).upload_id is None


async def test_write_tombstone(bench: Bench):
    """A tombstone has no condition: written twice it is the same."""
    file = await bench.registered()
    bench.lose["UpdateItem"] = 1

    await bench.lossy.write_tombstone(file.generation)

    assert bench.lost["UpdateItem"] == 1
    [pending] = await bench.table.pending_deletions(file.generation)
    assert pending.mark


async def test_a_registration_whose_last_answer_was_lost(bench: Bench):
    """The request failed, and the client asks again: it finds the registration that was made, and no other."""
    bench.lose["TransactWriteItems"] = 4
    with pytest.raises(Unavailable):
        await bench.lossy.register(bench.owner, [PHOTO])

    [file] = (await bench.lossy.register(bench.owner, [PHOTO])).files
    later = DynamoDBFileStore(bench.table._client, "shoebox-files", now=lambda: NOW + timedelta(hours=1))

    assert await bench.found(file) == file
    assert (await later.register(bench.owner, [PHOTO])).files == [file]
