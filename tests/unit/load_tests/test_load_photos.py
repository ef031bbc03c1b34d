"""The photos of a load run, and its settings; nothing here imports Locust, which patches all sockets."""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from load_tests.photos import Photo, Photos, with_comment
from load_tests.settings import LoadSettings
from shoebox.config import ConfigError
from shoebox.samples import jpeg_of_size
from workers.imaging.sniff import sniff

SMALL = LoadSettings(photo_bytes=20_000, width=160, height=120, pictures=2)


def test_a_comment_makes_another_file_of_the_same_picture() -> None:
    """Other bytes, so another file for Shoebox; the same pixels, and still a JPEG by its first bytes."""
    jpeg = jpeg_of_size(1, 160, 120, 20_000)
    commented = with_comment(jpeg, b"\x00\xff\xd9 anything")

    assert hashlib.sha256(commented).digest() != hashlib.sha256(jpeg).digest()
    assert sniff(commented) == "image/jpeg"
    with Image.open(io.BytesIO(jpeg)) as before, Image.open(io.BytesIO(commented)) as after:
        assert after.tobytes() == before.tobytes()
    assert len(commented) == len(jpeg) + 2 + 2 + len(b"\x00\xff\xd9 anything")


@pytest.mark.parametrize("data", [b"", b"\xff", b"\x89PNG\r\n", b"\xff\xd9\xff\xd8"])
def test_only_a_jpeg_takes_a_comment(data: bytes) -> None:
    """Other files would be damaged by it."""
    with pytest.raises(ValueError, match="begins with FF D8"):
        with_comment(data, b"mark")


def test_no_photo_comes_twice() -> None:
    """Neither in one upload nor in two, nor from another process's photos; their pictures take turns."""
    ours, theirs = Photos.made(SMALL), Photos.made(SMALL)
    taken = [*ours.take(3), *ours.take(2), *theirs.take(3)]

    assert [photo.name for photo in taken[:5]] == [f"photo-{number}.jpg" for number in range(1, 6)]
    assert len({photo.registration["sha256"] for photo in taken}) == 8
    pictures = [photo.content[-100:] for photo in taken[:3]]
    assert pictures[0] == pictures[2] != pictures[1]


def test_photos_are_as_the_settings_want_them() -> None:
    """Size in pixels and about so many bytes."""
    (photo,) = Photos.made(SMALL).take(1)

    with Image.open(io.BytesIO(photo.content)) as image:
        assert image.size == (160, 120)
    assert len(photo.content) == pytest.approx(20_000, rel=0.1)


def test_a_photo_registers_what_it_is() -> None:
    """Name, size, type and checksum, as POST /v1/files wants them."""
    photo = Photo("a.jpg", b"\xff\xd8abc")

    assert photo.registration == {
        "name": "a.jpg",
        "size": 5,
        "content_type": "image/jpeg",
        "sha256": hashlib.sha256(b"\xff\xd8abc").hexdigest(),
    }


def test_settings_fit_a_stack_on_this_machine() -> None:
    """Without any variable a run finds the demo tenant's key of `shoebox up`."""
    settings = LoadSettings.from_environment({})

    assert (settings.tenant, settings.key, settings.s3_url) == ("demo", Path(".shoebox/keys/demo.pem"), None)
    assert (settings.photos, settings.photo_bytes, settings.patience_seconds) == (3, 400_000, 60.0)


def test_wrong_settings_are_told_together() -> None:
    """Each variable by its name."""
    wrong = {
        "SHOEBOX_LOAD_PHOTOS": "101",
        "SHOEBOX_LOAD_PHOTO_BYTES": "10",
        "SHOEBOX_LOAD_S3_URL": "localstack:4566",
        "SHOEBOX_LOAD_POLL_SECONDS": "0",
        "SHOEBOX_LOAD_WIDTH": "wide",
    }
    with pytest.raises(ConfigError) as caught:
        LoadSettings.from_environment(wrong)

    assert all(name in str(caught.value) for name in wrong)


def test_photos_and_settings_are_free_of_locust() -> None:
    """They can be used, and tested, where sockets must stay as they are."""
    code = "import sys, load_tests.photos, load_tests.settings; sys.exit('gevent' in sys.modules)"
    ended = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[3], timeout=60)

    assert ended.returncode == 0
