"""/v1/files on the emulator: what real stores, links and queues must show; the rest is in tests/unit/api."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from shoebox.aws.clients import Clients
from shoebox.aws.dynamodb import DynamoDBClient
from shoebox.files.dynamodb import DynamoDBFileStore
from shoebox.files.model import FileKey
from shoebox.stack.deployment import ResolvedStack
from tests.api_bench import PICTURE, Bench, entry
from tests.emulator.conftest import EmulatorAt
from tests.faulty_aws import LossyConnections

pytestmark = pytest.mark.asyncio(loop_scope="session")

FILE_KEYS = {
    *("file_id", "name", "size", "content_type", "sha256", "state", "reason", "detail", "registered_at", "uploaded_at"),
    *("received_at", "finished_at", "width", "height", "placeholder", "metadata", "renditions", "original_url"),
    "warnings",
}


async def test_a_registered_file_is_uploaded_by_its_link_alone(bench: Bench) -> None:
    """The response has all that a PUT needs; no other credentials are sent."""
    file = await bench.register(b"some bytes", name="Föhn 🏖.jpg")

    assert set(file) == {*FILE_KEYS, "upload"}
    assert (file["state"], file["name"], file["renditions"]) == ("REGISTERED", "Föhn 🏖.jpg", [])
    assert file["registered_at"].endswith("Z")
    assert file["upload"]["method"] == "PUT"
    assert file["upload"]["headers"]["content-length"] == "10"
    assert await bench.put(file["upload"], b"some bytes") == 200
    assert await bench.stored(file["file_id"]) == b"some bytes"


async def test_ten_phones_at_once_get_one_file(bench: Bench) -> None:
    """Simultaneous registrations of the same bytes all succeed, with one id."""
    files = await asyncio.gather(*(bench.register(b"race", name=f"{n}.jpg") for n in range(10)))

    assert len({file["file_id"] for file in files}) == 1
    assert all(file["upload"] for file in files)


async def test_a_hundred_files_are_registered_at_once_and_no_more(bench: Bench) -> None:
    """The hundredth is welcome; the hundred and first refuses all, and nothing is registered."""
    entries = [entry(str(n).encode(), name=f"{n}.jpg") for n in range(101)]
    refused = await bench.client().post("/v1/files", json={"files": entries})
    assert (refused.status_code, refused.json()["code"]) == (422, "too_many_files")
    assert (await bench.client().get("/v1/files")).json()["files"] == []

    response = await bench.client().post("/v1/files", json={"files": entries[:100]})
    assert [file["name"] for file in response.json()["files"]] == [f"{n}.jpg" for n in range(100)]


async def test_a_ready_file_shows_what_was_found_out(bench: Bench, root: Clients) -> None:
    """Size, placeholder, metadata, and URLs by which anyone holding them gets the bytes."""
    file = await bench.register(b"photo", name='wei"rd; né.jpg')
    assert await bench.put(file["upload"], b"photo") == 200
    generation = await bench.finish(file["file_id"], PICTURE)
    s3, small = await root.open("s3"), generation.rendition("1", "320")
    await s3.put_object(Bucket="shoebox-personal", Key=small, Body=b"small", ContentType="image/jpeg")

    shown = (await bench.client().get(f"/v1/files/{file['file_id']}")).json()

    assert set(shown) == FILE_KEYS
    assert (shown["state"], shown["width"], shown["height"]) == ("READY", 4032, 3024)
    assert shown["metadata"] == {
        "captured_at": "2024-07-05T10:11:12",
        "captured_at_source": "EXIF:CreateDate",
        "camera_make": "Shoebox",
        "camera_model": None,
        "orientation": 1,
        "has_gps": False,
        "icc_profile": None,
    }
    assert shown["warnings"] == ["icc_profile_broken"]
    assert [(r["name"], r["width"], r["height"], r["size"]) for r in shown["renditions"]] == [
        ("2048", 2048, 1536, 401),
        ("320", 320, 240, 21),
    ]
    assert (await bench.get(shown["renditions"][1]["url"])).body == b"small"
    original = await bench.get(shown["original_url"])
    assert (original.status, original.body) == (200, b"photo")
    assert original.headers["content-disposition"] == "attachment; filename*=UTF-8''wei%22rd%3B%20n%C3%A9.jpg"


async def test_a_put_sent_again_with_other_headers_changes_nothing_for_readers(bench: Bench) -> None:
    """S3 stores unsigned headers, also of a PUT over a READY file; links for reading give headers of their own."""
    file = await bench.register(b"photo", name="page.html")
    await bench.finish(file["file_id"], PICTURE)
    evil = {"content_encoding": "gzip", "content_disposition": "inline; filename=page.html", "cache_control": "public"}
    assert await bench.put(file["upload"], b"photo", **evil) == 200
    original = await bench.original(file["file_id"])
    assert original is not None
    assert original.encoding == "gzip"  # so it came this far

    shown = (await bench.client().get(f"/v1/files/{file['file_id']}")).json()
    reply = await bench.get(shown["original_url"])
    assert (reply.status, reply.body) == (200, b"photo")
    assert reply.headers["content-type"] == "image/jpeg"
    assert reply.headers["content-disposition"] == "attachment; filename*=UTF-8''page.html.jpg"
    assert reply.headers["content-encoding"] == "identity"
    assert reply.headers["cache-control"] == "private, max-age=3600, immutable"


async def test_files_are_listed_newest_first_in_pages(bench: Bench) -> None:
    """Every page is full, the last one has no cursor, and together they hold each file once."""
    for n in range(7):
        await bench.register(str(n).encode(), name=f"{n}.jpg")
    client, names, cursor = bench.client(), [], None
    pages = 0
    while True:
        query: dict[str, Any] = {"limit": 3, **({"cursor": cursor} if cursor else {})}
        page = (await client.get("/v1/files", params=query)).json()
        names += [file["name"] for file in page["files"]]
        cursor, pages = page["next_cursor"], pages + 1
        if cursor is None:
            break

    assert names == [f"{n}.jpg" for n in reversed(range(7))]
    assert pages == 3


async def test_a_deleted_file_is_gone_at_once(bench: Bench, root: Clients, provisioned: ResolvedStack) -> None:
    """202, then nowhere to be seen, and the order to take its bytes away lies in the queue."""
    file_id = (await bench.register(b"old"))["file_id"]
    await bench.finish(file_id, PICTURE)
    client, address = bench.client(), f"/v1/files/{file_id}"

    response = await client.delete(address)
    assert (response.status_code, response.json()) == (202, {"file_id": file_id, "state": "DELETING"})
    assert (await client.get(address)).json()["code"] == "not_found"
    assert (await client.get("/v1/files")).json()["files"] == []
    assert (await client.get("/v1/files", params={"id": file_id})).json()["files"] == []
    assert (await client.post(f"{address}/multipart")).status_code == 404
    assert await orders(bench, root, provisioned, at_least=1) == 1


async def test_deleting_again_orders_again(bench: Bench, root: Clients, provisioned: ResolvedStack) -> None:
    """While it is being deleted the response is the same, and the order is repeated, for later: one may be lost."""
    file_id = (await bench.register(b"old"))["file_id"]
    await bench.finish(file_id, PICTURE)
    delayed_before = await delayed_orders(root, provisioned)

    responses = [await bench.client().delete(f"/v1/files/{file_id}") for _ in range(2)]

    assert [response.status_code for response in responses] == [202, 202]
    assert await orders(bench, root, provisioned, at_least=1) == 1
    assert await delayed_orders(root, provisioned) == delayed_before + 1


async def test_a_lost_answer_hides_nobodys_own_deletion(bench: Bench, emulator: EmulatorAt) -> None:
    """The table's response is lost and the client's retry finds the file DELETING: its owner gets 202 all the same."""
    file_id = (await bench.register(b"old"))["file_id"]
    await bench.finish(file_id, PICTURE)
    async with losing(bench, emulator) as faults:
        faults.lose["UpdateItem"] = 1
        response = await bench.client().delete(f"/v1/files/{file_id}")

    assert (faults.lost["UpdateItem"], response.status_code) == (1, 202)


async def test_what_a_new_registration_replaces_is_ordered_to_be_deleted(
    bench: Bench, root: Clients, provisioned: ResolvedStack
) -> None:
    """A rejected original lies under a key that nobody will name again; the new registration's URL has another."""
    file = await bench.register(b"broken")
    rejected = await bench.finish(file["file_id"])

    again = await bench.register(b"broken")

    assert rejected.original in file["upload"]["url"]
    assert (await bench.generation(file["file_id"])).original in again["upload"]["url"]
    assert rejected.original not in again["upload"]["url"]
    assert await orders(bench, root, provisioned, at_least=1) == 1


async def test_an_order_that_fails_fails_no_registration(
    bench: Bench, root: Clients, provisioned: ResolvedStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The files are registered, whatever SQS says; asking again orders again what they have superseded."""
    broken = [entry(b"broken %d" % n) for n in range(12)]
    going = (await bench.register(b"going"))["file_id"]
    await bench.services.files.start_deletion(FileKey(bench.owner, going))
    asked = {"files": [*broken, entry(b"going")]}
    for file in (await bench.client().post("/v1/files", json={"files": broken})).json()["files"]:
        await bench.finish(file["file_id"])

    with monkeypatch.context() as without:
        url = bench.services.deletions._queue_url
        without.setattr(bench.services.deletions, "_queue_url", f"{url}-missing")
        first = await bench.client().post("/v1/files", json=asked)
    again = await bench.client().post("/v1/files", json=asked)

    for response in (first, again):
        assert response.status_code == 200
        assert [file.get("state") for file in response.json()["files"]] == ["REGISTERED"] * 12 + [None]
    assert await orders(bench, root, provisioned, at_least=12) == 12


@asynccontextmanager
async def losing(bench: Bench, emulator: EmulatorAt) -> AsyncIterator[LossyConnections]:
    """Put the API's table behind connections that can lose responses."""
    files = bench.services.files
    assert isinstance(files, DynamoDBFileStore)
    connections, whole = LossyConnections(emulator.url), files._client
    files._client = DynamoDBClient(connections, whole._credentials, region=emulator.aws.region)
    yield connections
    files._client = whole
    connections.close()


async def delayed_orders(root: Clients, provisioned: ResolvedStack) -> int:
    """How many deletion orders wait for their time."""
    sqs, name = await root.open("sqs"), "ApproximateNumberOfMessagesDelayed"
    found = await sqs.get_queue_attributes(QueueUrl=provisioned.queue_url("deletions"), AttributeNames=[name])
    return int(found["Attributes"][name])


async def orders(bench: Bench, root: Clients, provisioned: ResolvedStack, *, at_least: int) -> int:
    """How many deletion orders of the bench's user lie in the queue; others' are put back."""
    sqs, url, mine = await root.open("sqs"), provisioned.queue_url("deletions"), 0
    async with asyncio.timeout(60):
        while mine < at_least:
            found = await sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1)
            for message in found.get("Messages", []):
                if json.loads(message["Body"])["user"] == bench.owner.user:
                    mine += 1
                    await sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return mine
