"""What a client may do with an upload's URL, and what S3 refuses: the link is bound to length, type and content."""

from __future__ import annotations

import base64
from datetime import timedelta
from hashlib import sha256
from typing import Any

import pytest
import pytest_asyncio

from shoebox.files.model import FileKey
from tests.api_bench import Bench

pytestmark = pytest.mark.asyncio(loop_scope="session")

DATA = b"exactly these bytes"


def digest(data: bytes) -> str:
    """Return the checksum as S3 wants it in a header."""
    return base64.b64encode(sha256(data).digest()).decode()


@pytest_asyncio.fixture(loop_scope="session")
async def link(bench: Bench) -> dict[str, Any]:
    """Return the upload link of a registered file."""
    upload: dict[str, Any] = (await bench.register(DATA))["upload"]
    return upload


async def stored(bench: Bench, data: bytes = DATA) -> bytes | None:
    """Return what S3 has of the bench's file."""
    return await bench.stored(bench.owner.file_id(sha256(data).hexdigest()))


async def test_the_promised_bytes_are_taken(bench: Bench, link: dict[str, Any]) -> None:
    """Also a second time, as after a lost response."""
    assert await bench.put(link, DATA) == 200
    assert await bench.put(link, DATA) == 200
    assert await stored(bench) == DATA


@pytest.mark.parametrize(
    ("data", "headers"),
    [
        (DATA + b"!", {}),
        (DATA[:-1], {}),
        (b"", {}),
        (DATA[::-1], {}),
        (DATA[::-1], {"x_amz_checksum_sha256": digest(DATA[::-1])}),
        (DATA + b"!", {"x_amz_checksum_sha256": digest(DATA + b"!")}),
        (DATA, {"x_amz_checksum_sha256": digest(b"other")}),
        (DATA, {"x_amz_checksum_sha256": None}),
        (DATA[::-1], {"x_amz_checksum_sha256": None}),
        (DATA, {"content_type": "text/html"}),
        (DATA, {"content_type": "image/png"}),
        (DATA, {"content_type": None}),
    ],
)
async def test_other_bytes_lengths_and_types_are_refused(
    bench: Bench, link: dict[str, Any], data: bytes, headers: dict[str, str | None]
) -> None:
    """Nothing but what was registered gets in, and nothing is stored of the attempt."""
    assert await bench.put(link, data, **headers) in {400, 403}
    assert await stored(bench) is None


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "POST"])
async def test_an_upload_link_allows_only_its_method(bench: Bench, link: dict[str, Any], method: str) -> None:
    """An upload link neither reads nor deletes."""
    assert await bench.put(link, DATA) == 200
    assert await bench.put({**link, "method": method}, b"") in {403, 405, 400}
    assert await stored(bench) == DATA


async def test_an_upload_link_opens_no_other_key(bench: Bench, link: dict[str, Any]) -> None:
    """The key is signed: another file's, another user's, another bucket's is refused."""
    file_id = bench.owner.file_id(sha256(DATA).hexdigest())
    for old, new in (
        (file_id, "f" + "2" * 32),
        (bench.owner.user, "mallory"),
        ("/demo/", "/other/"),
        ("/shoebox-personal/", "/shoebox-public/"),
    ):
        assert old in link["url"]
        assert await bench.put({**link, "url": link["url"].replace(old, new)}, DATA) == 403


async def test_a_lengthened_life_is_refused(bench: Bench, link: dict[str, Any]) -> None:
    """The time is signed too."""
    assert (
        await bench.put({**link, "url": link["url"].replace("X-Amz-Expires=3600", "X-Amz-Expires=9999")}, DATA) == 403
    )


async def test_an_upload_link_ends(bench: Bench) -> None:
    """After its hour it opens nothing."""
    await bench.register(DATA)
    file = await bench.services.files.get(FileKey(bench.owner, bench.owner.file_id(sha256(DATA).hexdigest())))
    assert file is not None
    link = (await bench.services.pictures.links(file.registered_at - timedelta(days=365))).upload(file)

    assert await bench.put({"method": link.method, "url": link.url, "headers": link.headers}, DATA) == 403
    assert await stored(bench) is None
