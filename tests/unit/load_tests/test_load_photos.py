"""The photos of a load run, and its settings; nothing here imports Locust, which patches all sockets."""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from load_tests.photos import MIXES, Kind, Mix, Photo, Photos, with_comment
from load_tests.settings import LoadSettings
from shoebox.config import ConfigError, Limits
from shoebox_client.samples import jpeg_of_size
from workers.imaging.sniff import sniff

SMALL = Mix("test", "two kinds", (Kind(160, 120, 20_000, 0.75), Kind(120, 160, 20_000, 0.25)), max_rate=1)


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
    """Neither in one visit nor in two, nor from another process's photos, though all show the same pictures."""
    ours, theirs = Photos.made(SMALL, seed=1), Photos.made(SMALL, seed=1)
    taken = [*ours.take(3, seed=1), *ours.take(3, seed=1), *theirs.take(3, seed=1)]

    assert [photo.name for photo in taken[:3]] == [f"photo-{number}.jpg" for number in range(1, 4)]
    assert len({photo.registration["sha256"] for photo in taken}) == 9
    pictures = [[photo.content[-100:] for photo in taken[start : start + 3]] for start in (0, 3, 6)]
    assert pictures[0] == pictures[1] == pictures[2]


def test_photos_are_of_the_kinds_and_shares_of_their_mix() -> None:
    """Size in pixels, about so many bytes, and as many of each kind as it says."""
    photos = Photos.made(SMALL, seed=1).take(2000, seed=3)
    sizes = [_size(photo) for photo in photos]

    assert set(sizes) == {(160, 120), (120, 160)}
    assert sizes.count((160, 120)) / len(sizes) == pytest.approx(0.75, abs=0.04)
    assert all(len(photo.content) == pytest.approx(20_000, rel=0.1) for photo in photos)
    assert sum(len(photo.content) for photo in photos) / len(photos) == pytest.approx(20_000, rel=0.1)


def test_another_seed_makes_other_pictures_and_another_order() -> None:
    """The same seeds, the same ones."""
    one, other = Photos.made(SMALL, seed=1), Photos.made(SMALL, seed=2)

    assert one.take(1, seed=1)[0].content[-100:] != other.take(1, seed=1)[0].content[-100:]
    orders = {tuple(_size(photo) for photo in one.take(20, seed=seed)) for seed in (1, 1, 2)}
    assert len(orders) == 2


@pytest.mark.parametrize("mix", MIXES.values(), ids=MIXES)
def test_the_mixes_that_there_are(mix: Mix) -> None:
    """Shares make a whole, no photo needs a multipart upload, and each says what it is."""
    assert sum(kind.share for kind in mix.kinds) == pytest.approx(1)
    assert max(kind.size for kind in mix.kinds) < Limits().multipart_from
    assert mix.about
    assert mix.max_rate > 0


def _size(photo: Photo) -> tuple[int, int]:
    with Image.open(io.BytesIO(photo.content)) as image:
        return image.size


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
    """Without any variable a run is a smoke test, with the demo tenant's key of `shoebox up`."""
    settings = LoadSettings.from_environment({})

    assert (settings.scenario, settings.seed, settings.scale) == ("smoke", 1, 0)
    assert (settings.tenant, settings.key, settings.s3_url) == ("demo", Path(".shoebox/keys/demo.pem"), None)


def test_thresholds_come_as_words() -> None:
    """As the environment has them; none at all is something else than the scenario's own."""
    several = LoadSettings.from_environment({"SHOEBOX_LOAD_THRESHOLDS": "lost==0 ready_p99<5"})

    assert several.thresholds == ["lost==0", "ready_p99<5"]
    assert LoadSettings.from_environment({"SHOEBOX_LOAD_THRESHOLDS": ""}).thresholds == []
    assert LoadSettings.from_environment({}).thresholds is None


def test_wrong_settings_are_told_together() -> None:
    """Each variable by its name."""
    wrong = {
        "SHOEBOX_LOAD_PHOTOS": "paintings",
        "SHOEBOX_LOAD_SECONDS": "0",
        "SHOEBOX_UPLOADS_PER_DAY": "-5",
        "SHOEBOX_LOAD_S3_URL": "localstack:4566",
        "SHOEBOX_LOAD_POLL_SECONDS": "0",
        "SHOEBOX_LOAD_SCALE": "small",
    }
    with pytest.raises(ConfigError) as caught:
        LoadSettings.from_environment(wrong)

    assert all(name in str(caught.value) for name in wrong)


def test_all_but_the_phones_are_free_of_locust() -> None:
    """They can be used, and tested, where sockets must stay as they are; `./run load` itself is one of them."""
    modules = "photos, settings, scenarios, arrivals, visit, summary, thresholds, live, report, run, command"
    imports = ", ".join(f"load_tests.{name}" for name in modules.split(", "))
    code = f"import sys, {imports}; sys.exit('locust' in sys.modules)"
    ended = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[3], timeout=60)

    assert ended.returncode == 0
