"""What a presigned link allows, and for how long."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from shoebox.aws.credentials import Credentials
from shoebox.aws.signing import Presigner
from shoebox.files.links import LinkLifetimes, Links, download_name
from shoebox.files.model import File, FileKey, Generation, Owner, Registration, State
from shoebox.files.s3 import _BucketSigner
from shoebox_client.picture_types import MEDIA_TYPES

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
SHA = "0123456789abcdef" * 4


def links(at: datetime) -> Links:
    """Return the links of S3 at a moment."""
    presigner = Presigner(Credentials("AKIA", "secret"), region="eu-central-1", endpoint_url="https://s3.example.test")
    return Links(_BucketSigner(presigner, "personal"), LinkLifetimes(), at=at)


def file(register_until: int | None = None) -> File:
    """Return a registered file of anna."""
    registration = Registration('né "x".jpg', 7, "image/png", SHA)
    owner = Owner("demo", "anna")
    key = FileKey(owner, owner.file_id(registration.sha256))
    generation = Generation(key, "01KB6ZJX3M0123456789ABCDEF")
    return File(generation, registration, State.REGISTERED, NOW, register_until=register_until)


def test_an_upload_is_bound_to_length_type_and_checksum() -> None:
    """All three headers are signed, and are told to the client as it must send them."""
    link = links(NOW).upload(file())
    query = parse_qs(urlsplit(link.url).query)

    assert query["X-Amz-SignedHeaders"] == ["content-length;content-type;host;x-amz-checksum-sha256"]
    assert link.headers == {
        "content-length": "7",
        "content-type": "image/png",
        "x-amz-checksum-sha256": "ASNFZ4mrze8BI0VniavN7wEjRWeJq83vASNFZ4mrze8=",
    }
    assert (link.method, link.expires_at) == ("PUT", NOW + timedelta(hours=1))


@pytest.mark.parametrize(("left", "expected"), [(7200, 3600), (3600, 3600), (100, 100), (1, 1), (-5, 1)])
def test_an_upload_link_never_outlives_its_registration(left: int, expected: int) -> None:
    """It lives an hour, or as long as the file still waits."""
    link = links(NOW).upload(file(register_until=int(NOW.timestamp()) + left))

    assert parse_qs(urlsplit(link.url).query)["X-Amz-Expires"] == [str(expected)]
    assert link.expires_at == NOW + timedelta(seconds=expected)


def test_a_picture_keeps_its_url_for_a_quarter_of_its_life() -> None:
    """Polling gives equal URLs, so browsers keep what they have; a URL has always three quarters of its life left."""
    urls = [links(NOW + timedelta(seconds=s)).rendition(file(), "320") for s in range(0, 3600, 60)]

    assert len(set(urls)) == 4
    assert urls == sorted(urls, key=urls.index)
    for second, url in zip(range(0, 3600, 60), urls, strict=True):
        query = parse_qs(urlsplit(url).query)
        signed_at = datetime.strptime(query["X-Amz-Date"][0], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        left = signed_at + timedelta(seconds=int(query["X-Amz-Expires"][0])) - (NOW + timedelta(seconds=second))
        assert timedelta(minutes=45) <= left <= timedelta(hours=1)


def test_an_original_is_saved_under_its_own_name() -> None:
    """The name is in the signature, in a form that no quote or newline can break out of, with its type's suffix."""
    query = parse_qs(urlsplit(links(NOW).original(file())).query)

    assert query["response-content-disposition"] == ["attachment; filename*=UTF-8''n%C3%A9%20%22x%22.jpg.png"]


@pytest.mark.parametrize(
    ("name", "media_type", "saved"),
    [
        ("beach.jpg", "image/jpeg", "beach.jpg"),
        ("BEACH.JPEG", "image/jpeg", "BEACH.JPEG"),
        ("page.html", "image/jpeg", "page.html.jpg"),
        ("setup.exe", "image/png", "setup.exe.png"),
        ("beach.jpg", "image/heic", "beach.jpg.heic"),
        ("beach.HEIF", "image/heic", "beach.HEIF"),
        ("beach", "image/webp", "beach.webp"),
        (".jpg", "image/gif", ".jpg.gif"),
        ("beach.jpg.", "image/jpeg", "beach.jpg..jpg"),
    ],
)
def test_a_picture_is_saved_as_a_picture(name: str, media_type: str, saved: str) -> None:
    """What Shoebox verified to be a JPEG is never saved as a program or a page."""
    assert download_name(name, media_type) == saved


def test_every_type_has_a_suffix() -> None:
    """Also those that come later."""
    assert all(download_name("beach", media_type) != "beach" for media_type in MEDIA_TYPES.values())


def test_reading_links_fix_the_headers_of_the_response() -> None:
    """Whatever unsigned headers came with a PUT, readers get these."""
    signed = links(NOW)
    expected = {
        signed.original(file()): ("image/png", "attachment; filename*=UTF-8''n%C3%A9%20%22x%22.jpg.png"),
        signed.rendition(file(), "320"): ("image/jpeg", "inline"),
    }
    for url, (media_type, disposition) in expected.items():
        query = parse_qs(urlsplit(url).query)
        assert {name: value for name, [value] in query.items() if name.startswith("response-")} == {
            "response-cache-control": "private, max-age=3600, immutable",
            "response-content-disposition": disposition,
            "response-content-encoding": "identity",
            "response-content-type": media_type,
        }
