import io
import time
from pathlib import Path

import pytest
from PIL import Image

from shoebox_client.samples import Sample, jpeg_of_size, write_samples
from workers.imaging import ImageLimits, PictureRejected, prepare

LIMITS = ImageLimits()


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> list[Sample]:
    """Return the whole set, written once."""
    return write_samples(tmp_path_factory.mktemp("samples") / "new" / "folder")


def test_each_sample_ends_as_it_promises(samples: list[Sample]) -> None:
    """The photos are accepted, the faulty ones rejected for the reason they were made for."""
    for sample in samples:
        try:
            prepare(sample.path.read_bytes(), sample.media_type, LIMITS)
            ending: tuple[str, str | None] = ("READY", None)
        except PictureRejected as rejection:
            ending = ("REJECTED", rejection.reason)
        assert ending == (sample.state, sample.reason), sample.path.name
    assert {sample.media_type for sample in samples} == {
        f"image/{n}" for n in ("jpeg", "png", "webp", "heic", "avif", "gif")
    }
    assert {sample.reason for sample in samples} == {None, "truncated", "wrong_type"}


def test_the_samples_have_all_traits(samples: list[Sample]) -> None:
    """Positions, a wide gamut, 12 and 24 megapixels: what a demonstration wants to show is there."""
    prepared = {
        sample.path.name: prepare(sample.path.read_bytes(), sample.media_type, LIMITS)
        for sample in samples
        if sample.state == "READY"
    }
    assert [prepared[f"orientation-{n}.jpg"].metadata.orientation for n in range(1, 9)] == list(range(1, 9))
    assert len({prepared[f"orientation-{n}.jpg"].placeholder for n in range(1, 9)}) <= 2
    assert prepared["gps.jpg"].metadata.has_gps
    assert prepared["wide-gamut.jpg"].metadata.icc_profile == "Shoebox P3"
    assert prepared["12-megapixels.jpg"].megapixels == pytest.approx(12.2, abs=0.1)
    assert prepared["24-megapixels.jpg"].megapixels == pytest.approx(24)


def test_the_small_set_is_the_same_every_time(tmp_path: Path) -> None:
    """Two runs write the same bytes, so that a second upload is a duplicate."""
    first, second = (write_samples(tmp_path / name, small=True) for name in ("a", "b"))
    assert [s.path.read_bytes() for s in first] == [s.path.read_bytes() for s in second]
    assert all(not s.path.name.startswith(("12", "24")) for s in first)


def test_a_load_tests_photos_differ_and_weigh_what_is_asked() -> None:
    """Each seed gives another real JPEG of the wanted size, the same one again for the same seed."""
    photos = [jpeg_of_size(seed, 1200, 900, 100_000) for seed in range(10)]
    assert len(set(photos)) == 10
    assert {len(photo) for photo in photos} == {100_000}
    assert jpeg_of_size(3, 1200, 900, 100_000) == photos[3]
    sizes = {Image.open(io.BytesIO(photo)).size for photo in photos}
    assert sizes == {(1200, 900)}
    hashes = {prepare(photo, "image/jpeg", LIMITS).placeholder for photo in photos}
    assert len(hashes) == 10


@pytest.mark.parametrize(
    ("width", "height", "target"), [(640, 480, 20_000), (2000, 1500, 500_000), (320, 240, 200_000)]
)
def test_other_sizes_can_be_had(width: int, height: int, target: int) -> None:
    """Within five per cent, by quality or by padding."""
    data = jpeg_of_size(1, width, height, target)
    assert len(data) == pytest.approx(target, rel=0.05)
    assert prepare(data, "image/jpeg", LIMITS).width == width


def test_a_load_tests_photo_is_made_in_milliseconds() -> None:
    """So that Locust measures Shoebox and not itself. Best of ten: the machine may be busy."""
    jpeg_of_size(0, 1200, 900, 100_000)
    best = 1.0
    for seed in range(1, 11):
        started = time.thread_time()
        jpeg_of_size(seed, 1200, 900, 100_000)
        best = min(best, time.thread_time() - started)
    assert best < 0.015
