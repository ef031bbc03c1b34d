import struct
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st
from picture_builders import TYPES, flat, opened, save, seen_corners
from PIL import Image

from shoebox_client.renditions import LARGEST, RENDITIONS
from shoebox_client.samples import corners, display_p3_profile, exif_block, scene
from workers.imaging import ImageLimits, inspect, prepare, render
from workers.imaging.resize import fit, shrink

LIMITS = ImageLimits()
STEPS = {"inspect", "decode", "resize", "flatten", "colour", "orient", "encode", "placeholder", "metadata"}


def sizes(width: int, height: int) -> dict[str, tuple[int, int]]:
    """Return what comes of a JPEG of that size: a rendition of each name."""
    prepared = prepare(save(flat((90, 120, 60), size=(width, height)), "JPEG"), "image/jpeg", LIMITS)
    assert [rendition.name for rendition in prepared.renditions] == list(RENDITIONS)
    return {rendition.name: (rendition.width, rendition.height) for rendition in prepared.renditions}


def test_sizes_by_their_long_side() -> None:
    """Each rendition has the photo's shape; the largest is what the codec gives where that is close."""
    wide, high = sizes(4032, 3024), sizes(2400, 3600)
    assert [wide[name] for name in ("2048", "1024", "320")] == [(2016, 1512), (1024, 768), (320, 240)]
    assert [high[name] for name in ("2048", "1024", "320")] == [(1365, 2048), (682, 1024), (213, 320)]


def test_the_table_goes_from_large_to_small() -> None:
    """Each rendition is made from the one before it, so none may be larger."""
    long_sides = list(RENDITIONS.values())
    assert long_sides == sorted(long_sides, reverse=True)
    assert long_sides[0] == LARGEST


def test_nothing_is_ever_enlarged() -> None:
    """A small picture comes under each name as it is, encoded once."""
    assert sizes(200, 100) == dict.fromkeys(RENDITIONS, (200, 100))
    prepared = prepare(save(scene(200, 100), "JPEG"), "image/jpeg", LIMITS)
    first, *others = (rendition.jpeg for rendition in prepared.renditions)
    assert all(jpeg is first for jpeg in others)


def test_a_thread_of_pixels_keeps_one_of_them() -> None:
    """A picture of extreme shape does not vanish."""
    assert sizes(5000, 1) == {name: (long_side, 1) for name, long_side in RENDITIONS.items()}


@given(st.integers(1, 30_000), st.integers(1, 30_000), st.sampled_from([2048, 1024, 320, 100]))
def test_fit_keeps_shape_and_never_enlarges(width: int, height: int, long_side: int) -> None:
    """The long side is met exactly, or the size is left alone; the short one is within half a pixel."""
    fitted = fit(width, height, long_side)
    assert max(fitted) == min(max(width, height), long_side)
    scale = max(fitted) / max(width, height)
    assert min(fitted) == pytest.approx(max(1, min(width, height) * scale), abs=0.51)


def test_a_picture_that_fits_is_not_copied() -> None:
    """Shrinking to a size that is met already is free."""
    image = scene(320, 240)
    assert shrink(image, 320) is image


@pytest.mark.parametrize("form", TYPES)
def test_each_format_becomes_the_same_scene(form: str) -> None:
    """Every rendition is a JPEG of the scene, upright, in its colours."""
    prepared = prepare(save(scene(640, 480), form), TYPES[form], LIMITS)
    assert (prepared.media_type, prepared.width, prepared.height) == (TYPES[form], 640, 480)
    assert prepared.megapixels == pytest.approx(0.3072)
    for rendition in prepared.renditions:
        assert seen_corners(opened(rendition.jpeg)) == {place: place for place in corners()}


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "HEIC"])
def test_nothing_but_the_picture_leaves(form: str) -> None:
    """The original says where it was taken; no rendition has a byte of that, nor any other note."""
    latitude = struct.pack(">IIIIII", 48, 1, 8, 1, 14, 1)
    data = save(scene(640, 480), form, exif=exif_block(gps=True), icc_profile=display_p3_profile())
    prepared = prepare(data, TYPES[form], LIMITS)
    assert latitude in data
    assert prepared.metadata.has_gps
    for rendition in prepared.renditions:
        assert latitude not in rendition.jpeg
        assert not any(note in rendition.jpeg for note in (b"Exif", b"GPS", b"ICC_PROFILE", b"Formula 1", b"xmp"))
        assert set(opened(rendition.jpeg).info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}


def test_of_an_animation_the_first_frame_is_shown() -> None:
    """A GIF or WebP that moves is one still picture."""
    frames = [flat((200, 30, 30), size=(80, 60)), flat((30, 30, 200), size=(80, 60))]
    for form in ("GIF", "WEBP"):
        data = save(frames[0], form, save_all=True, append_images=frames[1:], duration=100)
        prepared = prepare(data, TYPES[form], LIMITS)
        assert inspect(data, TYPES[form], LIMITS).header.frames == 2
        assert opened(prepared.renditions[0].jpeg).getpixel((40, 30)) == pytest.approx((200, 30, 30), abs=6)


def test_two_stages_do_the_same_as_one() -> None:
    """A caller who weighs pictures first gets the same result, and each step's time."""
    data = save(scene(640, 480), "JPEG")
    inspection = inspect(data, "image/jpeg", LIMITS)
    assert (inspection.width, inspection.height, inspection.megapixels) == (640, 480, 0.3072)
    prepared = render(inspection)
    assert prepared == prepare(data, "image/jpeg", LIMITS)
    assert set(prepared.timings) == STEPS
    assert all(milliseconds >= 0 for milliseconds in prepared.timings.values())


def test_threads_do_not_disturb_each_other() -> None:
    """Many pictures at once, of all formats and profiles, come out as they do one by one."""
    options = {"exif": exif_block(orientation=6), "icc_profile": display_p3_profile()}
    files = [
        (TYPES[form], save(scene(400 + n, 300), form, **options)) for form in TYPES for n in range(4) if form != "GIF"
    ]
    alone = [prepare(data, media_type, LIMITS) for media_type, data in files]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda file: prepare(file[1], file[0], LIMITS), files))
    assert together == alone


def test_a_large_png_is_shrunk_well() -> None:
    """The quick way down from 24 megapixels agrees with exact averaging."""
    image = scene(6000, 4000)
    small = shrink(image, 1024)
    exact = image.resize(small.size, Image.Resampling.BOX)
    difference = [
        abs(a - b) for a, b in zip(small.resize((9, 6)).tobytes(), exact.resize((9, 6)).tobytes(), strict=True)
    ]
    assert max(difference) <= 2
