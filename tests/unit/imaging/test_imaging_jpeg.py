import io
import struct

import numpy as np
import pytest
from picture_builders import save, seen_corners
from PIL import Image

from shoebox.samples import corners, scene
from workers.imaging import ImageLimits, PictureRejected, inspect, prepare
from workers.imaging.decode_jpeg import choose_eighths, decode_jpeg
from workers.imaging.headers.jpeg import read_jpeg

LIMITS = ImageLimits()


@pytest.mark.parametrize(
    ("longest", "eighths"),
    [
        (4032, 4),  # 12 megapixels: 2016
        (8064, 2),  # 48 megapixels: 2016
        (5184, 3),  # 20 megapixels: 1944
        (4000, 4),  # 2000
        (6000, 4),  # 24 megapixels: 3/8 is 2250, so the quick 4/8 and a resize
        (2048, 8),
        (2500, 8),
        (640, 8),
        (30_000, 1),
        (16_384, 1),
    ],
)
def test_the_codec_leaves_out_what_the_preview_does_not_need(longest: int, eighths: int) -> None:
    """The scale lands on a preview where it can, and never below one."""
    assert choose_eighths(longest, 2048) == eighths


@pytest.mark.parametrize(
    ("size", "decoded"), [((4032, 3024), (2016, 1512)), ((6000, 4000), (3000, 2000)), ((1001, 667), (1001, 667))]
)
def test_large_photos_are_decoded_small(size: tuple[int, int], decoded: tuple[int, int]) -> None:
    """The pixels that leave the codec are already few; nothing is resized for a 12-megapixel phone."""
    data = save(scene(*size), "JPEG")
    image = decode_jpeg(data, read_jpeg(data), 2048)
    assert image.size == decoded
    assert seen_corners(image) == {place: place for place in corners()}


@pytest.mark.parametrize(
    ("mode", "options"),
    [
        ("RGB", {"progressive": True}),
        ("RGB", {"restart_marker_blocks": 3}),
        ("RGB", {"subsampling": 0}),
        ("RGB", {"subsampling": 1, "optimize": True}),
        ("RGB", {"keep_rgb": True}),
        ("L", {}),
        ("L", {"progressive": True}),
        ("CMYK", {}),
        ("CMYK", {"progressive": True}),
    ],
)
def test_all_ways_cameras_and_shops_write_jpegs(mode: str, options: dict[str, object]) -> None:
    """Each decodes to the scene."""
    image = scene(2400, 1800)
    data = save(image.convert(mode), "JPEG", quality=90, **options)
    decoded = decode_jpeg(data, read_jpeg(data), 640).convert("RGB")
    wanted = image.convert(mode).convert("RGB").resize(decoded.size, Image.Resampling.BOX)
    assert np.abs(np.asarray(decoded).astype(int) - np.asarray(wanted)).mean() < 4


@pytest.mark.parametrize(
    "tail", [b"\x00", b"garbage" * 1000, b"\xff\xd8\xff\xe1" * 9, b"\x00\x00\x00\x18ftypmp42\xff\xd9\xff\xda"]
)
def test_what_phones_append_is_ignored(tail: bytes) -> None:
    """Films, depth maps and padding behind the picture change nothing."""
    data = save(scene(320, 240), "JPEG")
    assert prepare(data + tail, "image/jpeg", LIMITS).renditions == prepare(data, "image/jpeg", LIMITS).renditions


def test_a_cut_photo_with_a_film_behind_is_no_photo() -> None:
    """An end-of-image marker somewhere in the film is not the picture's."""
    data = save(scene(320, 240), "JPEG")
    film = b"\x00\x00\x00\x18ftypmp42" + bytes(1000) + b"\xff\xd9"
    with pytest.raises(PictureRejected) as caught:
        prepare(data[: len(data) // 2] + film, "image/jpeg", LIMITS)
    assert caught.value.reason in {"corrupt", "truncated"}


def test_a_few_padding_bytes_before_the_end_do_no_harm() -> None:
    """Cameras that pad the last scan make libjpeg warn about a complete picture."""
    data = save(scene(320, 240), "JPEG")
    padded = data[:-2] + bytes(60) + data[-2:]
    assert prepare(padded, "image/jpeg", LIMITS).placeholder == prepare(data, "image/jpeg", LIMITS).placeholder


def test_many_surplus_bytes_are_damage() -> None:
    """What libjpeg skips by the hundred was part of the picture."""
    data = save(scene(320, 240), "JPEG")
    with pytest.raises(PictureRejected, match="extraneous"):
        prepare(data[:-2] + bytes(2000) + data[-2:], "image/jpeg", LIMITS)


def test_an_unusual_chroma_layout_is_decoded_too() -> None:
    """Three luminance blocks for one of each chroma: simplejpeg declines, Pillow decodes."""
    data = _flat_in_unusual_layout()
    prepared = prepare(data, "image/jpeg", LIMITS)
    grey = np.asarray(Image.open(io.BytesIO(prepared.renditions[0].jpeg)))
    assert grey.shape == (8, 24, 3)
    assert np.abs(grey.astype(int) - 128).max() <= 1


@pytest.mark.parametrize(("offset", "value"), [(1, 0xC3), (4, 12), (9, 2)])
def test_jpegs_that_no_camera_writes_are_unsupported(offset: int, value: int) -> None:
    """Lossless, 12-bit and two-channel JPEGs are named as such, before any decoder tries."""
    data = bytearray(save(scene(64, 48), "JPEG"))
    data[data.index(b"\xff\xc0") + offset] = value
    with pytest.raises(PictureRejected) as caught:
        inspect(bytes(data), "image/jpeg", LIMITS)
    assert caught.value.reason == "unsupported_type"


def _flat_in_unusual_layout() -> bytes:
    """A mid-grey JPEG of 24x8 whose luminance is sampled 3x1, written by hand.

    Each block is the two shortest codes of the standard tables: no difference in DC, end of block.
    """
    tables = save(Image.new("RGB", (8, 8)), "JPEG")
    start, end = tables.index(b"\xff\xc0"), tables.index(b"\xff\xda")
    frame = struct.pack(">HBHHB", 17, 8, 8, 24, 3) + bytes([1, 0x31, 0, 2, 0x11, 1, 3, 0x11, 1])
    rest = tables[start + 2 + 17 : end]
    scan = tables[end : end + 2 + 12]
    bits = "001010" * 3 + "0000" * 2
    bits += "1" * (-len(bits) % 8)
    coded = int(bits, 2).to_bytes(len(bits) // 8, "big")
    return tables[:start] + b"\xff\xc0" + frame + rest + scan + coded + b"\xff\xd9"
