"""What every `PictureStore` promises: links bound to what was promised, multipart uploads, deletion."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest

from shoebox.files.links import Link
from shoebox.files.model import File, FileKey, Owner, Registration
from shoebox.files.store import register_anew
from shoebox_client.renditions import RENDITIONS
from tests.contract.stores.conftest import Pictures

DATA = b"exactly these bytes"
PART = 5 * 1024 * 1024
LARGE = b"a" * PART + b"b" * PART + b"the rest"


def registered(data: bytes = DATA, name: str = "beach.jpg") -> File:
    """Return a file that waits for these bytes, of someone whom no other test knows."""
    owner = Owner("demo", uuid.uuid4().hex)
    promise = Registration(name, len(data), "image/jpeg", sha256(data).hexdigest())
    key = FileKey(owner, owner.file_id(promise.sha256))
    return register_anew(None, key, promise, datetime.now(UTC), lifetime=86_400)


async def put(pictures: Pictures, link: Link, data: bytes, **headers: str) -> int:
    """Send bytes by a link, with its headers but for those given; return the status."""
    sent = {name: value for name, value in link.headers.items() if name != "content-length"} | headers
    return (await pictures.send(link.method, link.url, data, sent)).status


async def upload_parts(pictures: Pictures, file: File, upload_id: str, *numbers: int) -> None:
    """Send parts of LARGE by their links."""
    links = await pictures.store.links(datetime.now(UTC))
    for number in numbers:
        data = LARGE[(number - 1) * PART : number * PART]
        link = links.part(file, upload_id, number, size=len(data), sha256=sha256(data).hexdigest())
        assert await put(pictures, link, data) == 200


async def test_an_upload_by_its_link_is_stored(pictures: Pictures) -> None:
    """It is fetched whole, unless it is larger than wanted; before, there is nothing."""
    file = registered()
    assert await pictures.store.fetch(file.generation, max_bytes=100) is None
    assert not await pictures.store.has_original(file.generation)
    link = (await pictures.store.links(datetime.now(UTC))).upload(file)

    assert [await put(pictures, link, DATA), await put(pictures, link, DATA)] == [200, 200]

    original = await pictures.store.fetch(file.generation, max_bytes=100)
    assert original is not None
    assert (original.data, original.size, original.encoding) == (DATA, len(DATA), "")
    assert abs(datetime.now(UTC) - original.stored_at) < timedelta(minutes=5)
    large = await pictures.store.fetch(file.generation, max_bytes=len(DATA) - 1)
    assert large is not None
    assert (large.data, large.size) == (None, len(DATA))
    assert await pictures.store.has_original(file.generation)


async def test_an_encoding_that_came_with_an_upload_is_told(pictures: Pictures) -> None:
    """It is no signed header, so that anyone may have set it."""
    file = registered()
    link = (await pictures.store.links(datetime.now(UTC))).upload(file)

    assert await put(pictures, link, DATA, **{"content-encoding": "gzip"}) == 200

    original = await pictures.store.fetch(file.generation, max_bytes=100)
    assert original is not None
    assert original.encoding == "gzip"


@pytest.mark.parametrize(
    ("data", "headers"),
    [
        (DATA + b"!", {}),
        (DATA[:-1], {}),
        (DATA[::-1], {}),
        (DATA, {"content-type": "text/html"}),
        (DATA, {"x-amz-checksum-sha256": "A" * 43 + "="}),
    ],
    ids=["longer", "shorter", "other bytes", "other type", "other checksum"],
)
async def test_other_bytes_lengths_and_types_are_refused(
    pictures: Pictures, data: bytes, headers: dict[str, str]
) -> None:
    """Nothing but what was registered gets in."""
    file = registered()
    link = (await pictures.store.links(datetime.now(UTC))).upload(file)

    assert await put(pictures, link, data, **headers) in {400, 403}
    assert not await pictures.store.has_original(file.generation)


@pytest.mark.parametrize("old_new", [("/demo/", "/other/"), ("/originals/", "/renditions/")])
async def test_a_link_opens_no_other_key(pictures: Pictures, old_new: tuple[str, str]) -> None:
    """The key is signed."""
    file = registered()
    link = (await pictures.store.links(datetime.now(UTC))).upload(file)

    assert await put(pictures, replace(link, url=link.url.replace(*old_new)), DATA) == 403


async def test_a_link_ends(pictures: Pictures) -> None:
    """After its time it opens nothing."""
    file = registered()
    link = (await pictures.store.links(datetime.now(UTC) - timedelta(hours=2))).upload(file)

    assert await put(pictures, link, DATA) == 403


async def test_a_rendition_is_shown_by_its_link(pictures: Pictures) -> None:
    """With the headers that the link fixes."""
    file = registered()
    await pictures.store.put_rendition(file.generation, "320", b"small")
    await pictures.store.put_rendition(file.generation, "320", b"small")

    url = (await pictures.store.links(datetime.now(UTC))).rendition(file, "320")
    response = await pictures.send("GET", url, b"", {})

    assert (response.status, response.body) == (200, b"small")
    assert (response.headers["content-type"], response.headers["content-disposition"]) == ("image/jpeg", "inline")


async def test_an_original_is_saved_under_its_name(pictures: Pictures) -> None:
    """Whatever headers came with its upload."""
    file = registered(name="né.html")
    links = await pictures.store.links(datetime.now(UTC))
    assert await put(pictures, links.upload(file), DATA, **{"content-disposition": "inline"}) == 200

    response = await pictures.send("GET", links.original(file), b"", {})

    assert (response.status, response.body) == (200, DATA)
    assert response.headers["content-disposition"] == "attachment; filename*=UTF-8''n%C3%A9.html.jpg"


async def test_a_large_file_goes_up_in_parts(pictures: Pictures) -> None:
    """In any order, with their checksums; joined once, the upload is gone and the original is there."""
    file, store = registered(LARGE), pictures.store
    upload_id = await store.create_multipart(file.generation, "image/jpeg")
    assert await store.parts(file.generation, upload_id) == []
    await upload_parts(pictures, file, upload_id, 3, 1, 2)

    parts = await store.parts(file.generation, upload_id)

    assert parts is not None
    assert [(part.number, part.size) for part in parts] == [(1, PART), (2, PART), (3, 8)]
    assert parts[2].sha256 == sha256(b"the rest").hexdigest()
    assert not await store.has_original(file.generation)
    assert await store.complete_multipart(file.generation, upload_id, parts)
    assert await store.parts(file.generation, upload_id) is None
    await store.complete_multipart(file.generation, upload_id, parts)  # as after a lost response: no error
    original = await store.fetch(file.generation, max_bytes=len(LARGE))
    assert original is not None
    assert original.data == LARGE


async def test_an_upload_that_was_given_up_takes_no_part(pictures: Pictures) -> None:
    """Giving it up twice does no harm."""
    file, store = registered(LARGE), pictures.store
    upload_id = await store.create_multipart(file.generation, "image/jpeg")
    await store.abort_multipart(file.generation, upload_id)
    await store.abort_multipart(file.generation, upload_id)

    links = await store.links(datetime.now(UTC))
    link = links.part(file, upload_id, 1, size=8, sha256=sha256(b"the rest").hexdigest())

    assert await put(pictures, link, b"the rest") == 404
    assert await store.parts(file.generation, upload_id) is None
    assert not await store.complete_multipart(file.generation, upload_id, [])


async def test_an_upload_belongs_to_its_file(pictures: Pictures) -> None:
    """Another generation's upload does not exist."""
    file, other = registered(LARGE), registered(LARGE)
    upload_id = await pictures.store.create_multipart(file.generation, "image/jpeg")

    assert await pictures.store.parts(other.generation, upload_id) is None
    await pictures.store.abort_multipart(other.generation, upload_id)
    assert await pictures.store.parts(file.generation, upload_id) == []


async def test_deleting_takes_everything_of_one_generation(pictures: Pictures) -> None:
    """The original and the renditions; a neighbour stays, and deleting again does no harm."""
    file, neighbour, store = registered(), registered(), pictures.store
    links = await store.links(datetime.now(UTC))
    for each in (file, neighbour):
        assert await put(pictures, links.upload(each), DATA) == 200
        for name in RENDITIONS:
            await store.put_rendition(each.generation, name, b"jpeg")

    await store.delete_all(file.generation, ["1"])
    await store.delete_all(file.generation, ["1"])

    assert not await store.has_original(file.generation)
    assert await store.has_original(neighbour.generation)
    for each, status in ((file, 404), (neighbour, 200)):
        assert (await pictures.send("GET", links.rendition(each, "320"), b"", {})).status == status
