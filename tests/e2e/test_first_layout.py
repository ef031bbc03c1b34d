"""A data folder from before object keys had a generation: everything in it goes on to work."""

from __future__ import annotations

import json
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from shoebox.files.model import File, FileKey, Generation, Owner, State
from shoebox_client.renditions import RENDITIONS
from standalone.stack import StandaloneSettings, StandaloneStack
from tests.e2e.live_stack import ROOT, TENANT, LocalLiveStack, fetch, until

FOLDERS = ROOT / "tests" / "fixtures" / "data-folders"
ANNA = Owner(TENANT, "anna")

pytestmark = pytest.mark.only_on("embedded", reason="the data folder is that of the embedded emulator")


@pytest_asyncio.fixture
async def live(emulator_url: str, tmp_path: Path) -> AsyncIterator[LocalLiveStack]:
    """Today's stack on a copy of the folder."""
    with tarfile.open(FOLDERS / "first-layout.tar.gz") as archive:
        archive.extractall(tmp_path / "data", filter="data")
    settings = StandaloneSettings(
        stack_file=ROOT / "stack.yaml",
        task_root=ROOT,
        data_dir=tmp_path / "data",
        emulator_port=0,
        gateway_port=0,
        control_port=0,
        runtime_port=0,
    )
    async with StandaloneStack.start(settings) as local:
        live = LocalLiveStack(local.fleet.gateway_url, local.resolved, local.clients, local=local)
        await live.publish_key()
        yield live


async def items(live: LocalLiveStack) -> dict[str, File]:
    """All files of the table, as they stand, by their names."""
    dynamodb = await live.client("dynamodb")
    found = (await dynamodb.scan(TableName=live.name("table", "files")))["Items"]
    keys = [FileKey(ANNA, item["file_id"]["S"]) for item in found]
    return {file.registration.name: file for file in (await (await live.files()).states(keys)).values()}


async def test_a_data_folder_of_the_first_layout_goes_on_to_work(live: LocalLiveStack) -> None:
    """Photos are listed, downloaded and deleted; uploads and orders of that time are taken."""
    dynamodb, table = await live.client("dynamodb"), live.name("table", "files")
    ttl = (await dynamodb.describe_time_to_live(TableName=table))["TimeToLiveDescription"]
    assert ttl["TimeToLiveStatus"] == "DISABLED"
    before = await items(live)
    assert {name: file.state for name, file in before.items()} == {
        "ready-1.jpg": State.READY,
        "ready-2.jpg": State.READY,
        "rejected.jpg": State.REJECTED,
        "waiting.jpg": State.REGISTERED,
        "deleting.jpg": State.DELETING,
    }
    assert {file.generation.ulid for file in before.values()} == {""}

    async with live.api() as api:
        listed = (await api.list_files(limit=10))["files"]
        assert {file["name"] for file in listed} == {"ready-1.jpg", "ready-2.jpg", "rejected.jpg"}
        shown = await api.file(before["ready-1.jpg"].key.file_id)
        for url in (shown["original_url"], shown["renditions"][2]["url"]):
            assert (await fetch(url)).startswith(b"\xff\xd8")

    await upload_by_an_old_url(live, before["waiting.jpg"])
    await delete(live, before["ready-1.jpg"])
    await order_as_then(live, before["deleting.jpg"])
    await upload_anew(live, before["rejected.jpg"])

    async def settled() -> bool:
        now = await items(live)
        anew = now["rejected.jpg"]
        return (
            now.keys() == {"ready-2.jpg", "waiting.jpg", "rejected.jpg"}
            and now["waiting.jpg"].state is State.READY
            and anew.generation.ulid > ""
            and not await live.objects(f"originals/{TENANT}/anna/{anew.key.file_id}")
        )

    await until(settled, 60)
    kept = {before["ready-2.jpg"].generation: SIDES, before["waiting.jpg"].generation: tuple(RENDITIONS)}
    expected = {g.original for g in kept} | {g.rendition("1", name) for g, names in kept.items() for name in names}
    assert set(await live.objects()) == expected
    async with live.api() as api:
        shown = await api.file(before["waiting.jpg"].key.file_id)
        assert (await fetch(shown["renditions"][2]["url"])).startswith(b"\xff\xd8")


SIDES = ("2048", "1024", "320")
"""What a READY file of then has, and keeps."""


async def upload_by_an_old_url(live: LocalLiveStack, file: File) -> None:
    """As with a URL that was handed out then; its registration ran out long ago."""
    s3 = await live.client("s3")
    body = (FOLDERS / "waiting.jpg").read_bytes()
    await s3.put_object(Bucket=live.name("bucket", "personal"), Key=file.generation.original, Body=body)


async def delete(live: LocalLiveStack, file: File) -> None:
    """As its owner does."""
    async with live.api() as api:
        await api.delete(file.key.file_id)


async def order_as_then(live: LocalLiveStack, file: File) -> None:
    """Put a deletion order into the queue."""
    sqs = await live.client("sqs")
    order = {"tenant": TENANT, "user": "anna", "file_id": file.key.file_id}
    await sqs.send_message(QueueUrl=live.resolved.queue_url("deletions"), MessageBody=json.dumps(order))


async def upload_anew(live: LocalLiveStack, file: File) -> None:
    """Register a rejected file again: its bytes then lie under a key of today."""
    promised = file.registration
    async with live.api() as api:
        entry = {"name": promised.name, "size": promised.size, "content_type": "image/jpeg", "sha256": promised.sha256}
        [registered] = await api.register([entry])
    generation = Generation.of_original(str(registered["upload"]["url"]).partition("personal/")[2].partition("?")[0])
    assert generation is not None
    assert generation.ulid
