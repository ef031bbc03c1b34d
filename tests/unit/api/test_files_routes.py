"""/v1/files: registering, looking, listing and deleting, on the stores in memory."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from hashlib import sha256
from typing import Any

import pytest

from api.app import build_app
from api.files import routes
from api.openapi import describe
from shoebox.aws.errors import AwsRefused
from shoebox.errors import Unavailable
from shoebox.files.memory import DeletionOrder, Fault
from shoebox.files.model import FileKey, Owner
from tests.api_bench import PART, PICTURE, entry
from tests.unit.api.conftest import MemoryBench

FILE_KEYS = {
    *("file_id", "name", "size", "content_type", "sha256", "state", "reason", "detail", "registered_at", "uploaded_at"),
    *("received_at", "finished_at", "width", "height", "placeholder", "metadata", "renditions", "original_url"),
    "warnings",
}


async def test_a_registered_file_is_uploaded_by_its_link_alone(bench: MemoryBench) -> None:
    """The response has all that a PUT needs; no other credentials are sent."""
    file = await bench.register(b"some bytes", name="Föhn 🏖.jpg")

    assert set(file) == {*FILE_KEYS, "upload"}
    assert (file["state"], file["name"], file["renditions"]) == ("REGISTERED", "Föhn 🏖.jpg", [])
    assert file["registered_at"].endswith("Z")
    assert file["upload"]["method"] == "PUT"
    assert file["upload"]["headers"]["content-length"] == "10"
    assert await bench.put(file["upload"], b"some bytes") == 200
    assert await bench.stored(file["file_id"]) == b"some bytes"


async def test_what_is_stored_is_not_uploaded_again(bench: MemoryBench) -> None:
    """The same bytes, under whatever name, are the same file; once it is READY there is nothing to send."""
    first = await bench.register(b"same")
    again = await bench.register(b"same", name="copy.jpg")
    assert again["file_id"] == first["file_id"]
    assert again["upload"] is not None

    await bench.finish(first["file_id"], PICTURE)
    stored = await bench.register(b"same")
    assert (stored["state"], stored["upload"], stored["file_id"]) == ("READY", None, first["file_id"])


async def test_a_rejected_file_can_be_sent_again(bench: MemoryBench) -> None:
    """Registering anew opens a rejected file, and its reason is gone."""
    file = await bench.register(b"broken")
    await bench.finish(file["file_id"])
    shown = (await bench.client().get(f"/v1/files/{file['file_id']}")).json()
    assert (shown["state"], shown["reason"], shown["detail"]) == ("REJECTED", "corrupt", "It cannot be decoded.")

    anew = await bench.register(b"broken")
    assert (anew["state"], anew["reason"]) == ("REGISTERED", None)
    assert anew["upload"] is not None


async def test_ten_phones_at_once_get_one_file(bench: MemoryBench) -> None:
    """Simultaneous registrations of the same bytes all succeed, with one id."""
    files = await asyncio.gather(*(bench.register(b"race", name=f"{n}.jpg") for n in range(10)))

    assert len({file["file_id"] for file in files}) == 1
    assert all(file["upload"] for file in files)


async def test_one_bad_file_never_fails_its_neighbours(bench: MemoryBench) -> None:
    """Each entry is answered in its place: good ones registered, bad ones with their problem."""
    entries: list[Any] = [
        entry(b"1"),
        entry(b"2", size=0),
        entry(b"3"),
        7,
        entry(b"4", name="../x"),
        entry(b"5", extra=1),
        entry(b"6"),
        entry(b"1", name="twin.jpg"),
    ]
    response = await bench.client().post("/v1/files", json={"files": entries})

    assert response.status_code == 200
    codes = [file["problem"]["code"] if "problem" in file else file["state"] for file in response.json()["files"]]
    assert codes == [
        "REGISTERED",
        "size_zero",
        "REGISTERED",
        "validation",
        "name_invalid",
        "validation",
        "REGISTERED",
        "REGISTERED",
    ]
    files = response.json()["files"]
    assert files[0]["file_id"] == files[7]["file_id"]
    assert (files[3]["name"], files[4]["name"]) == (None, "../x")
    listed = (await bench.client().get("/v1/files")).json()["files"]
    assert {file["sha256"] for file in listed} == {sha256(data).hexdigest() for data in (b"1", b"3", b"6")}


async def test_a_hundred_files_are_registered_at_once_and_no_more(bench: MemoryBench) -> None:
    """The hundredth is welcome; the hundred and first refuses all, and nothing is registered."""
    entries = [entry(str(n).encode(), name=f"{n}.jpg") for n in range(101)]
    refused = await bench.client().post("/v1/files", json={"files": entries})
    assert (refused.status_code, refused.json()["code"]) == (422, "too_many_files")
    assert (await bench.client().get("/v1/files")).json()["files"] == []

    response = await bench.client().post("/v1/files", json={"files": entries[:100]})
    assert [file["name"] for file in response.json()["files"]] == [f"{n}.jpg" for n in range(100)]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"{}",
        b'{"files": []}',
        b'{"files": {}}',
        b'{"files": null}',
        b'{"files": [1], "more": 1}',
        b'{"files": [1], "\\ud800": 1}',
        b'{"files": [' + b"1" * 5000 + b"]}",
        b"[" * 100_000,
        b"\xff\xfe",
        b'{"files": "\xff"}',
    ],
)
async def test_a_body_of_another_form_is_refused(bench: MemoryBench, body: bytes) -> None:
    """What is no registration at all is one problem, `validation`, and never a fault."""
    response = await bench.client().post("/v1/files", content=body, headers={"content-type": "application/json"})

    assert (response.status_code, response.json()["code"]) == (422, "validation")
    assert response.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
async def test_a_body_that_is_not_called_json_is_refused(bench: MemoryBench, kind: str) -> None:
    """A form of a foreign page cannot pass for JSON."""
    body = json.dumps({"files": [entry()]})
    response = await bench.client().post("/v1/files", content=body, headers={"content-type": kind} if kind else {})

    assert (response.status_code, response.json()["code"]) == (422, "validation")


@pytest.mark.parametrize(
    ("value", "outcome"),
    [
        ("\\ud800", "name_invalid"),
        ("a\\u0000b", "name_invalid"),
        ("\\u202e", "name_invalid"),
        ("\\ud83d\\udc68\\u200d\\ud83d\\udc66", "REGISTERED"),
    ],
)
async def test_strange_characters_in_names_do_no_harm(bench: MemoryBench, value: str, outcome: str) -> None:
    """Half a surrogate pair, a NUL or a direction mark is a problem of that entry; a joined emoji is part of a name."""
    text = json.dumps({"files": [entry()]}).replace("beach.jpg", value)
    response = await bench.client().post("/v1/files", content=text, headers={"content-type": "application/json"})

    found = response.json()["files"][0]
    assert response.status_code == 200
    assert (found["problem"]["code"] if "problem" in found else found["state"]) == outcome


async def test_a_body_above_one_mebibyte_is_refused(bench: MemoryBench) -> None:
    """A byte more than 1 MiB is `body_too_large`, before anything is read of it."""
    head, tail = b'{"files": [', b"]}"
    for size, status in ((1024 * 1024, 422), (1024 * 1024 + 1, 413)):
        body = head + b" " * (size - len(head) - len(tail)) + tail
        response = await bench.client().post("/v1/files", content=body, headers={"content-type": "application/json"})
        assert response.status_code == status
    assert response.json()["code"] == "body_too_large"


async def test_a_ready_file_shows_what_was_found_out(bench: MemoryBench) -> None:
    """Size, placeholder, metadata, and URLs by which anyone holding them gets the bytes."""
    file = await bench.register(b"photo", name='wei"rd; né.jpg')
    assert await bench.put(file["upload"], b"photo") == 200
    generation = await bench.finish(file["file_id"], PICTURE)
    await bench.pictures.put_rendition(generation, "320", b"small")

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


async def test_a_put_sent_again_with_other_headers_changes_nothing_for_readers(bench: MemoryBench) -> None:
    """S3 stores unsigned headers, also of a PUT over a READY file; links for reading give headers of their own."""
    file = await bench.register(b"photo", name="page.html")
    await bench.finish(file["file_id"], PICTURE)
    evil = {"content_encoding": "gzip", "content_disposition": "inline; filename=page.html", "cache_control": "public"}
    assert await bench.put(file["upload"], b"photo", **evil) == 200
    original = await bench.original(file["file_id"])
    assert original is not None
    assert original.encoding == "gzip"  # so it came this far

    shown = (await bench.client().get(f"/v1/files/{file['file_id']}")).json()
    response = await bench.get(shown["original_url"])
    assert (response.status, response.body) == (200, b"photo")
    assert response.headers["content-type"] == "image/jpeg"
    assert response.headers["content-disposition"] == "attachment; filename*=UTF-8''page.html.jpg"
    assert response.headers["content-encoding"] == "identity"
    assert response.headers["cache-control"] == "private, max-age=3600, immutable"


async def test_files_are_listed_newest_first_in_pages(bench: MemoryBench) -> None:
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


async def test_a_list_can_be_narrowed_to_a_state(bench: MemoryBench) -> None:
    """The failed ones, with their reasons, are a filter away."""
    ids = [(await bench.register(data))["file_id"] for data in (b"a", b"b", b"c")]
    await bench.finish(ids[0], PICTURE)
    await bench.finish(ids[1])

    for state, file_id in zip(("READY", "REJECTED", "REGISTERED"), ids, strict=True):
        listed = (await bench.client().get("/v1/files", params={"state": state})).json()
        assert [file["file_id"] for file in listed["files"]] == [file_id]
        assert listed["next_cursor"] is None


async def test_certain_files_can_be_asked_for(bench: MemoryBench) -> None:
    """Those that exist come in the order of the question, each once; without URLs if so wished."""
    a, b = [(await bench.register(data))["file_id"] for data in (b"a", b"b")]
    await bench.finish(a, PICTURE)
    client, unknown = bench.client(), "f" + "2" * 32

    found = (await client.get("/v1/files", params={"id": [b, unknown, "nonsense", a, b]})).json()
    assert [file["file_id"] for file in found["files"]] == [b, a]
    assert found["next_cursor"] is None
    assert found["files"][1]["original_url"].startswith("http")

    bare = (await client.get("/v1/files", params={"id": a, "urls": "false"})).json()["files"][0]
    assert (bare["original_url"], [r["url"] for r in bare["renditions"]]) == (None, [None, None])
    listed = (await client.get("/v1/files", params={"urls": "false"})).json()["files"]
    assert {file["original_url"] for file in listed} == {None}
    assert (await client.get("/v1/files", params={"id": "x"})).json() == {"files": [], "next_cursor": None}


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=101",
        "limit=ten",
        "state=DELETING",
        "state=ready",
        "cursor=x",
        "cursor=%00",
        "cursor=%ED%A0%80",
        "cursor=MjAyNi0xMS0yM1QxMjowMDowMC4wMDBaI2ZvbyNi",
        "cursor=" + "A" * 201,
        "urls=perhaps",
        "colour=red",
        "id=x&limit=5",
        "id=x&cursor=",
        "&".join(f"id=f{n}" for n in range(101)),
    ],
)
async def test_a_wrong_question_is_refused(bench: MemoryBench, query: str) -> None:
    """Out of bounds, unknown or contradictory parameters are `validation`, and name no value that was sent."""
    response = await bench.client().get(f"/v1/files?{query}")

    assert (response.status_code, response.json()["code"]) == (422, "validation")


async def test_a_deleted_file_is_gone_at_once(bench: MemoryBench) -> None:
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
    assert bench.deletions.orders == [DeletionOrder(await bench.generation(file_id), after_ingest=False)]


async def test_deleting_again_orders_again(bench: MemoryBench) -> None:
    """While it is being deleted the response is the same, and the order is repeated, for later: one may be lost."""
    file_id = (await bench.register(b"old"))["file_id"]
    await bench.finish(file_id, PICTURE)

    responses = [await bench.client().delete(f"/v1/files/{file_id}") for _ in range(2)]

    assert [response.status_code for response in responses] == [202, 202]
    assert [order.after_ingest for order in bench.deletions.orders] == [False, True]


async def test_a_lost_response_hides_nobodys_own_deletion(bench: MemoryBench) -> None:
    """The table's response is lost for good: 503, and the client, who asks again, gets 202 and its order."""
    file_id = (await bench.register(b"old"))["file_id"]
    await bench.finish(file_id, PICTURE)
    bench.files.faults.add("start_deletion", Fault.LOST_RESPONSE)

    responses = [await bench.client().delete(f"/v1/files/{file_id}") for _ in range(2)]

    assert [response.status_code for response in responses] == [503, 202]
    assert len(bench.deletions.orders) == 1


@pytest.mark.parametrize("fault", [Fault.THROTTLED, Fault.LOST_RESPONSE])
async def test_a_registration_that_failed_can_be_asked_for_again(bench: MemoryBench, fault: Fault) -> None:
    """Written or not, the next request is told the same file, and there is only one."""
    bench.files.faults.add("register", fault)
    body = {"files": [entry(b"photo")]}

    failed, again = [await bench.client().post("/v1/files", json=body) for _ in range(2)]

    assert (failed.status_code, failed.json()["code"], failed.headers["retry-after"]) == (503, "unavailable", "1")
    assert again.json()["files"][0]["state"] == "REGISTERED"
    assert len((await bench.client().get("/v1/files")).json()["files"]) == 1


async def test_a_poll_may_be_a_moment_old(bench: MemoryBench) -> None:
    """Lists and polls are eventually consistent; the file itself, and registering it, is not."""
    file_id = (await bench.register(b"photo"))["file_id"]
    bench.files.freeze()
    await bench.finish(file_id, PICTURE)

    polled = (await bench.client().get("/v1/files", params={"id": file_id})).json()["files"]
    listed = (await bench.client().get("/v1/files")).json()["files"]
    shown = (await bench.client().get(f"/v1/files/{file_id}")).json()

    assert [file["state"] for file in (*polled, *listed, shown)] == ["REGISTERED", "REGISTERED", "READY"]
    assert (await bench.register(b"photo"))["state"] == "READY"


async def test_what_a_new_registration_replaces_is_ordered_to_be_deleted(bench: MemoryBench) -> None:
    """A rejected original lies under a key that nobody will name again; the new registration's URL has another."""
    file = await bench.register(b"broken")
    rejected = await bench.finish(file["file_id"])

    again = await bench.register(b"broken")

    assert rejected.original in file["upload"]["url"]
    assert (await bench.generation(file["file_id"])).original in again["upload"]["url"]
    assert rejected.original not in again["upload"]["url"]
    assert bench.deletions.orders == [DeletionOrder(rejected, after_ingest=False)]


async def test_a_deletion_whose_order_was_lost_is_ordered_by_the_next_registration(bench: MemoryBench) -> None:
    """The API ended after its write: else the file would stay DELETING, and registering it a `conflict`, for ever."""
    file_id = (await bench.register(b"old"))["file_id"]
    generation = await bench.generation(file_id)
    await bench.services.files.start_deletion(generation.key)

    response = await bench.register(b"old")

    assert response["problem"]["code"] == "conflict"
    assert bench.deletions.orders == [DeletionOrder(generation, after_ingest=True)]


@pytest.mark.parametrize("fault", [Unavailable("busy"), AwsRefused("NonExistentQueue", "", 400)])
async def test_an_order_that_fails_fails_no_registration(bench: MemoryBench, fault: Exception) -> None:
    """The files are registered, whatever SQS says; asking again orders again what they have superseded."""
    broken = [entry(b"broken %d" % n) for n in range(12)]
    going = (await bench.register(b"going"))["file_id"]
    await bench.services.files.start_deletion(FileKey(bench.owner, going))
    asked = {"files": [*broken, entry(b"going")]}
    for file in (await bench.client().post("/v1/files", json={"files": broken})).json()["files"]:
        await bench.finish(file["file_id"])

    bench.deletions.faults.add("order", fault, times=13)
    first = await bench.client().post("/v1/files", json=asked)
    assert bench.deletions.orders == []
    again = await bench.client().post("/v1/files", json=asked)

    for response in (first, again):
        assert response.status_code == 200
        assert [file.get("state") for file in response.json()["files"]] == ["REGISTERED"] * 12 + [None]
    assert len(bench.deletions.orders) == 13


async def test_a_queue_that_does_not_answer_holds_up_no_registration(
    bench: MemoryBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The orders have a few seconds of the request's time; here none."""
    file = await bench.register(b"broken")
    await bench.finish(file["file_id"])

    bench.deletions.faults.add("order", Fault.NO_RESPONSE)
    monkeypatch.setattr(routes, "ORDER_SECONDS", 0)

    assert (await bench.register(b"broken"))["state"] == "REGISTERED"


async def test_a_file_that_is_being_deleted_cannot_be_registered_yet(bench: MemoryBench) -> None:
    """Its entry says `conflict`; the neighbours are registered."""
    file_id = (await bench.register(b"going"))["file_id"]
    await bench.client().delete(f"/v1/files/{file_id}")
    response = await bench.client().post("/v1/files", json={"files": [entry(b"going"), entry(b"new")]})

    going, new = response.json()["files"]
    assert going["problem"]["code"] == "conflict"
    assert new["state"] == "REGISTERED"


async def test_an_expired_registration_is_absent(bench: MemoryBench) -> None:
    """A registration whose time ran out is nowhere, though DynamoDB still has it; registering it again opens it."""
    file_id = (await bench.register(b"late"))["file_id"]
    bench.clock.later += timedelta(days=2)
    authorizer = {"tenant": bench.owner.tenant, "user": bench.owner.user, "scope": "files:read files:write"}
    client = bench.client_with({**authorizer, "expires_at": str(int(bench.clock().timestamp()) + 600)})

    assert (await client.get(f"/v1/files/{file_id}")).status_code == 404
    assert (await client.get("/v1/files")).json()["files"] == []
    assert (await client.delete(f"/v1/files/{file_id}")).status_code == 404
    bench.clock.later = timedelta()
    assert (await bench.register(b"late", name="other.jpg")).get("problem", {}).get("code") == "conflict"


async def test_an_upload_link_ends_with_its_registration(bench: MemoryBench) -> None:
    """Nobody holds a URL for longer than the file waits."""
    file = await bench.register(b"slow")
    key = FileKey(bench.owner, file["file_id"])
    registered = await bench.services.files.get(key)
    assert registered is not None
    assert registered.register_until is not None
    bench.clock.later += timedelta(seconds=registered.register_until - bench.clock().timestamp() - 100)
    upload = (await bench.pictures.links(bench.clock())).upload(registered)

    assert 90 <= (upload.expires_at - bench.clock()).total_seconds() <= 101


ADDRESSES = [
    ("GET", "/v1/files/{id}"),
    ("DELETE", "/v1/files/{id}"),
    ("POST", "/v1/files/{id}/multipart"),
    ("GET", "/v1/files/{id}/multipart/{upload}"),
    ("DELETE", "/v1/files/{id}/multipart/{upload}"),
    ("POST", "/v1/files/{id}/multipart/{upload}/parts"),
    ("POST", "/v1/files/{id}/multipart/{upload}/complete"),
]


@pytest.mark.parametrize(("method", "address"), ADDRESSES)
async def test_what_is_not_yours_does_not_exist(bench: MemoryBench, method: str, address: str) -> None:
    """Another tenant's and another user's file, and one that never was, get the same response on every route."""
    file = await bench.register(b"secret")
    upload = (await bench.client().post(f"/v1/files/{file['file_id']}/multipart")).json()["upload_id"]
    body = {"parts": [{"part": 1, "sha256": "0" * 64}]} if address.endswith("/parts") else None
    strangers = [Owner("other", bench.owner.user), Owner("demo", "mallory"), Owner("demo", bench.owner.user[:-1])]
    seen = set()
    for stranger, file_id in [*((stranger, file["file_id"]) for stranger in strangers), (bench.owner, "f" + "2" * 32)]:
        where = address.format(id=file_id, upload=upload)
        response = await bench.client(stranger).request(method, where, json=body)
        problem = response.json()
        problem.pop("instance")
        seen.add((response.status_code, json.dumps(problem)))
    assert len(seen) == 1
    assert next(iter(seen))[0] == 404

    still = await bench.client().get(f"/v1/files/{file['file_id']}/multipart/{upload}")
    assert still.status_code == 200


async def test_the_same_picture_of_two_owners_is_two_files(bench: MemoryBench) -> None:
    """Nobody learns from an id, a list or a missing upload that someone else has the same bytes."""
    file = await bench.register(b"shared")
    await bench.finish(file["file_id"], PICTURE)
    for stranger in (Owner("other", bench.owner.user), Owner("demo", bench.owner.user + "x")):
        client = bench.client(stranger)
        theirs = (await client.post("/v1/files", json={"files": [entry(b"shared")]})).json()["files"][0]
        assert theirs["state"] == "REGISTERED"
        assert theirs["upload"] is not None
        assert theirs["file_id"] != file["file_id"]
        assert f"/originals/0/{stranger.tenant}/{stranger.user}/" in theirs["upload"]["url"]
        listed = (await client.get("/v1/files")).json()["files"]
        assert [f["file_id"] for f in listed] == [theirs["file_id"]]
        asked = (await client.get("/v1/files", params={"id": [file["file_id"], theirs["file_id"]]})).json()["files"]
        assert [f["file_id"] for f in asked] == [theirs["file_id"]]


async def test_a_cursor_leads_nobody_into_others_files(bench: MemoryBench) -> None:
    """A page's cursor is a place in time; with it another user sees only their own."""
    for n in range(3):
        await bench.register(str(n).encode())
    cursor = (await bench.client().get("/v1/files", params={"limit": 1})).json()["next_cursor"]
    stranger = bench.client(Owner("other", bench.owner.user))

    assert (await stranger.get("/v1/files", params={"cursor": cursor})).json() == {"files": [], "next_cursor": None}


@pytest.mark.parametrize(
    "file_id",
    [
        "x",
        "F" + "2" * 32,
        "f" + "2" * 31,
        "f" + "2" * 33,
        "f" + "1" * 32,
        "f" + "2" * 32 + "%0A",
        "%2E%2E",
        "f%2F" + "2" * 31,
        "f" + "2" * 31 + "%23",
        "%00",
        "%FF",
        "é",
    ],
)
@pytest.mark.parametrize(("method", "address"), ADDRESSES)
async def test_a_malformed_id_is_not_found(bench: MemoryBench, method: str, address: str, file_id: str) -> None:
    """What cannot be an id is answered like one that is not there."""
    body = {"parts": [{"part": 1, "sha256": "0" * 64}]} if address.endswith("/parts") else None
    response = await bench.client().request(method, address.format(id=file_id, upload="u"), json=body)

    assert (response.status_code, response.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize(("method", "address"), [("GET", "/v1/files"), ("POST", "/v1/files"), *ADDRESSES])
async def test_each_route_needs_its_scope(bench: MemoryBench, method: str, address: str) -> None:
    """Reading does not allow writing nor the other way round, even to one's own files; the response is 403."""
    file = await bench.register(b"mine")
    upload = (await bench.client().post(f"/v1/files/{file['file_id']}/multipart")).json()["upload_id"]
    where = address.format(id=file["file_id"], upload=upload)
    body = {"parts": [{"part": 1, "sha256": "0" * 64}]} if address.endswith("/parts") else {"files": [entry()]}
    for scope in ("", "files", "files:readx", "files:write" if method == "GET" else "files:read"):
        response = await bench.client(scope=scope).request(method, where, json=body if method == "POST" else None)
        assert (response.status_code, response.json()["code"]) == (403, "scope_missing")


FILE, STATUS = frozenset(FILE_KEYS), frozenset({"file_id", "state"})
OPENED, LINKS = frozenset({"upload_id", "part_bytes", "parts", "expires_at"}), frozenset({"parts"})
PROGRESS = frozenset({"upload_id", "part_bytes", "parts", "done"})
READ, WRITE, BOTH = "files:read", "files:write", "files:read files:write"
SHOWN: list[tuple[str, str, dict[str, frozenset[str] | None]]] = [
    ("POST", "/v1/files", {READ: None, WRITE: STATUS | {"upload"}, BOTH: FILE | {"upload"}}),
    ("GET", "/v1/files", {READ: FILE, WRITE: None, BOTH: FILE}),
    ("GET", "/v1/files?id={ready}", {READ: FILE, WRITE: None, BOTH: FILE}),
    ("GET", "/v1/files/{ready}", {READ: FILE, WRITE: None, BOTH: FILE}),
    ("POST", "/v1/files/{id}/multipart", {READ: None, WRITE: OPENED, BOTH: OPENED}),
    ("GET", "/v1/files/{id}/multipart/{upload}", {READ: PROGRESS, WRITE: None, BOTH: PROGRESS}),
    ("POST", "/v1/files/{id}/multipart/{upload}/parts", {READ: None, WRITE: LINKS, BOTH: LINKS}),
    ("POST", "/v1/files/{id}/multipart/{upload}/complete", {READ: None, WRITE: STATUS, BOTH: FILE}),
    ("DELETE", "/v1/files/{id}/multipart/{upload}", {READ: None, WRITE: frozenset(), BOTH: frozenset()}),
    ("DELETE", "/v1/files/{ready}", {READ: None, WRITE: STATUS, BOTH: STATUS}),
]


@pytest.mark.parametrize("scope", [READ, WRITE, BOTH])
@pytest.mark.parametrize(("method", "address", "shown"), SHOWN)
async def test_each_scope_shows_its_fields(
    bench: MemoryBench, method: str, address: str, shown: dict[str, frozenset[str] | None], scope: str
) -> None:
    """Metadata and links come with files:read only, on every route, also for bytes that are stored already."""
    data = b"p" * PART
    ready, waiting = (await bench.register(b"photo"))["file_id"], (await bench.register(data))["file_id"]
    await bench.finish(ready, PICTURE)
    upload = (await bench.client().post(f"/v1/files/{waiting}/multipart")).json()["upload_id"]
    sha = sha256(data).hexdigest()
    parts = f"/v1/files/{waiting}/multipart/{upload}/parts"
    link = (await bench.client().post(parts, json={"parts": [{"part": 1, "sha256": sha}]})).json()["parts"][0]
    assert await bench.put(link, data, content_type=None) == 200
    body: Any = {"files": [entry(b"photo"), entry(data)]} if address == "/v1/files" else None
    if address.endswith("/parts"):
        body = {"parts": [{"part": 1, "sha256": sha}]}

    where = address.format(id=waiting, ready=ready, upload=upload)
    response = await bench.client(scope=scope).request(method, where, json=body if method == "POST" else None)

    expected = shown[scope]
    if expected is None:
        assert (response.status_code, response.json()["code"]) == (403, "scope_missing")
        return
    assert response.status_code < 300
    if not expected:
        assert response.content == b""
        return
    documents = response.json().get("files", [response.json()])
    assert [set(document) for document in documents] == [expected] * len(documents)


async def test_the_tables_have_every_route() -> None:
    """A route that needs a token states which fields come with which scope; one with an id, that it is closed."""

    @asynccontextmanager
    async def nothing() -> AsyncIterator[Any]:
        yield None

    paths = describe(build_app(nothing))["paths"]
    routes = {(name.upper(), path) for path, found in paths.items() for name, one in found.items() if "security" in one}
    table = {
        (method, address.partition("?")[0].format(id="{file_id}", ready="{file_id}", upload="{upload_id}"))
        for method, address, _ in SHOWN
    }
    closed = {(method, address.format(id="{file_id}", upload="{upload_id}")) for method, address in ADDRESSES}
    assert table == routes
    assert closed == {(method, path) for method, path in routes if "{" in path}


@pytest.mark.parametrize(("method", "address"), [("GET", "/v1/files"), ("POST", "/v1/files"), *ADDRESSES])
async def test_each_route_needs_a_token_of_this_moment(bench: MemoryBench, method: str, address: str) -> None:
    """Without the authorizer's word it is 401, whatever the headers claim; a cached word ends with its token."""
    where = address.format(id="f" + "2" * 32, upload="u")
    body = {"parts": [{"part": 1, "sha256": "0" * 64}]} if address.endswith("/parts") else {"files": [entry()]}
    owner = {"tenant": bench.owner.tenant, "user": bench.owner.user, "scope": "files:read files:write"}
    ended = {**owner, "expires_at": str(int(bench.clock().timestamp()))}
    claims = {"authorization": "Bearer x", "x-tenant": "demo", "x-amzn-authorizer": json.dumps(owner)}
    for authorizer, code in ((None, "token_missing"), (owner, "token_missing"), (ended, "token_expired")):
        client = bench.client_with(authorizer)
        response = await client.request(method, where, json=body if method == "POST" else None, headers=claims)
        assert (response.status_code, response.json()["code"]) == (401, code)
        assert response.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(("accepts", "compressed"), [("gzip, br", True), ("identity", False)])
async def test_a_list_is_compressed_for_who_can_read_that(bench: MemoryBench, accepts: str, compressed: bool) -> None:
    """As Base64 through API Gateway, with less than a fifth of the bytes; caches keep the two apart."""
    for n in range(20):
        await bench.register(f"picture {n}".encode())
    async with bench.client() as api:
        response = await api.get("/v1/files", headers={"accept-encoding": accepts})
        short = await api.get("/v1/limits", headers={"accept-encoding": accepts})

    assert (response.headers.get("content-encoding") == "gzip") is compressed
    assert response.headers["vary"].lower() == "accept-encoding"
    assert len(response.json()["files"]) == 20
    assert (int(response.headers["content-length"]) < len(response.content) / 5) is compressed
    assert "content-encoding" not in short.headers
