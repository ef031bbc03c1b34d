"""Cleanup on the emulator, with its own role; its rules, with faults, are in tests/unit/test_cleanup_rules.py."""

import json
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from shoebox.aws.clients import Clients
from shoebox.aws.dynamodb import DynamoDBClient
from shoebox.files.deletions import order_text
from shoebox.files.dynamodb import DynamoDBFileStore
from shoebox.files.model import File, Generation, Owner, Registration
from shoebox.files.s3 import open_pictures
from shoebox.files.store import Stages
from shoebox_client.renditions import RENDITIONS
from tests.emulator.conftest import ClientsFor, EmulatorAt
from workers.batch import BatchResult, Message, TimeBudget, run_batch
from workers.cleanup import Cleanup

BUCKET = "shoebox-personal"
STAGES = Stages(datetime(2026, 11, 23, tzinfo=UTC), datetime(2026, 11, 23, tzinfo=UTC))
STORED = 1 + len(RENDITIONS)  # objects of a READY file


@dataclass
class Bench:
    """Cleanup under its own role, and root's eyes to look with."""

    cleanup: Cleanup
    table: DynamoDBFileStore
    s3: Any
    root: Any
    owner: Owner

    async def stored_file(self, number: int = 0) -> File:
        """Return a file with its original and its renditions in S3."""
        promise = Registration("photo.jpg", 5, "image/jpeg", f"{number:064x}")
        [file] = (await self.table.register(self.owner, [promise])).files
        for key in (file.generation.original, *map(file.rendition, RENDITIONS)):
            await self.s3.put_object(Bucket=BUCKET, Key=key, Body=b"bytes")
        return file

    async def objects(self, file: File) -> int:
        """How many objects of a file lie in S3."""
        found = 0
        for prefix in (file.generation.original, file.rendition("x").removesuffix("/x.jpg")):
            found += (await self.s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix))["KeyCount"]
        return found

    async def deliver(self, *bodies: str) -> BatchResult:
        """Run one batch of orders."""
        messages = [Message(uuid.uuid4().hex, body, 1, datetime.now(UTC)) for body in bodies]
        budget = TimeBudget.of_remaining(30)
        return await run_batch(messages, self.cleanup.delete, at_once=5, budget=budget, function="cleanup")


@pytest.fixture
async def bench(emulator: EmulatorAt, clients_for: ClientsFor, root_clients: Clients) -> AsyncIterator[Bench]:
    """Return a bench with an owner that no other test knows."""
    clients = await clients_for("cleanup")
    s3, dynamodb = await root_clients.open("s3"), await root_clients.open("dynamodb")
    async with (
        DynamoDBClient.open(emulator.aws, clients.credentials) as client,
        open_pictures(emulator.aws, clients, BUCKET, s3_url=emulator.url) as pictures,
    ):
        table = DynamoDBFileStore(client, "shoebox-files")
        yield Bench(Cleanup(table, pictures), table, s3, dynamodb, Owner("demo", uuid.uuid4().hex))


async def test_an_ordered_file_goes_whole(bench: Bench):
    """Original, renditions and item are gone; a neighbour stays as it was."""
    file, neighbour = await bench.stored_file(1), await bench.stored_file(2)
    await bench.table.start_deletion(file.key)

    assert (await bench.deliver(order_text(file.generation))).returned == ()

    assert await bench.objects(file) == 0
    assert await bench.table.states([file.key]) == {}
    assert await bench.objects(neighbour) == STORED
    assert await bench.table.get(neighbour.key) == neighbour


async def test_the_parts_of_an_open_upload_go_too(bench: Bench):
    """Deleting a file in the middle of its multipart upload frees the parts."""
    file = await bench.stored_file()
    upload = await bench.s3.create_multipart_upload(Bucket=BUCKET, Key=file.generation.original)
    await bench.table.open_multipart(file.generation, upload["UploadId"])
    await bench.table.start_deletion(file.key)

    assert (await bench.deliver(order_text(file.generation))).returned == ()

    with pytest.raises(ClientError, match="NoSuchUpload"):
        await bench.s3.list_parts(Bucket=BUCKET, Key=file.generation.original, UploadId=upload["UploadId"])


async def test_a_tombstone_takes_its_own_generation_only(bench: Bench):
    """Bytes of an old registration lie beside those of the file: they go, with the tombstone, and the file stays."""
    old = await bench.stored_file()
    await bench.table.mark_rejected(old.generation, "corrupt", "", STAGES)
    new = await bench.stored_file()

    assert (await bench.deliver(order_text(old.generation))).returned == ()

    assert (await bench.objects(old), await bench.objects(new)) == (0, STORED)
    assert await bench.table.pending_deletions(old.generation) == []
    assert await bench.table.get(new.key) == new


async def test_a_file_of_the_first_key_layout_goes_by_an_order_of_that_time(bench: Bench):
    """Orders that lie in the queue when this version starts have no generation, and neither has their file."""
    [file] = (await bench.table.register(bench.owner, [Registration("old.jpg", 5, "image/jpeg", "1" * 64)])).files
    key = {"pk": {"S": file.key.pk}}
    await bench.root.update_item(TableName="shoebox-files", Key=key, UpdateExpression="REMOVE generation, lane")
    old = Generation(file.key, "")
    for name in (old.original, *(old.rendition("1", name) for name in RENDITIONS)):
        await bench.s3.put_object(Bucket=BUCKET, Key=name, Body=b"bytes")
    await bench.table.start_deletion(file.key)
    order = {"tenant": bench.owner.tenant, "user": bench.owner.user, "file_id": file.key.file_id}

    assert (await bench.deliver(json.dumps(order))).returned == ()

    assert await bench.table.states([file.key]) == {}
    left = await bench.s3.list_objects_v2(Bucket=BUCKET, Prefix=f"renditions/{bench.owner.tenant}/{bench.owner.user}/")
    assert left["KeyCount"] == 0
