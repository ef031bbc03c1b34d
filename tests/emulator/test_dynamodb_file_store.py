"""How the table `files` keeps a file; what every store promises is in tests/contract/stores."""

import uuid
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import pytest

from shoebox.aws.clients import Clients
from shoebox.aws.dynamodb import DynamoDBClient
from shoebox.files.dynamodb import DynamoDBFileStore
from shoebox.files.model import File, Owner, Picture, Registration, RenditionInfo
from shoebox.files.store import Stages
from tests.emulator.conftest import ClientsFor, EmulatorAt

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
STAGES = Stages(NOW, NOW)
PICTURE = Picture(40, 30, "hash", (RenditionInfo("2048", 40, 30, 999),), {"camera_make": "Shoebox"})


class Clock:
    """Time that passes when told."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        """Return the time."""
        return self.now


@pytest.fixture
def owner() -> Owner:
    """Someone whom no other test knows."""
    return Owner("demo", uuid.uuid4().hex)


@pytest.fixture
def clock() -> Clock:
    """Return the table's clock."""
    return Clock()


@pytest.fixture
async def table(emulator: EmulatorAt, clients_for: ClientsFor, clock: Clock) -> AsyncIterator[DynamoDBFileStore]:
    """Return the table, as the function `api` may use it."""
    clients = await clients_for("api")
    async with DynamoDBClient.open(emulator.aws, clients.credentials) as client:
        yield DynamoDBFileStore(client, "shoebox-files", now=clock)


async def register(table: DynamoDBFileStore, owner: Owner, registrations: Sequence[Registration]) -> list[File]:
    """Return the files that a registration gives."""
    return (await table.register(owner, registrations)).files


def photo(number: int, media_type: str = "image/jpeg") -> Registration:
    """Return a photo like no other number's."""
    return Registration(f"{number}.jpg", 100 + number, media_type, sha256(str(number).encode()).hexdigest())


async def item_of(table: DynamoDBFileStore, file: File) -> dict[str, Any]:
    """Return an item as it is stored."""
    key = {"pk": {"S": file.key.pk}}
    answer = await table._client.get_item(TableName="shoebox-files", Key=key, ConsistentRead=True)
    item: dict[str, Any] = answer["Item"]
    return item


async def test_registering_keeps_what_it_does_not_name(table: DynamoDBFileStore, owner: Owner, root_clients: Clients):
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


async def test_what_is_unfinished_is_due_some_day(table: DynamoDBFileStore, owner: Owner, clock: Clock):
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
