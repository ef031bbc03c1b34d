import io
import struct
from dataclasses import replace

import numpy as np
import pytest
import simplejpeg
from hypothesis import given
from hypothesis import strategies as st
from picture_builders import baseline_in_scans, opened, save, scan_bomb, scans_of, seen_corners
from PIL import Image

from shoebox_client.samples import corners, scene
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
    image = decode_jpeg(read_jpeg(data), 2048)
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
    decoded = decode_jpeg(read_jpeg(data), 640).convert("RGB")
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
    """What libjpeg skips by the hundred was part of the picture, unless it is padding."""
    data = save(scene(320, 240), "JPEG")
    with pytest.raises(PictureRejected, match="extraneous"):
        prepare(data[:-2] + bytes(range(200)) * 10 + data[-2:], "image/jpeg", LIMITS)


@pytest.mark.parametrize("padding", [b"\0", b"\xff", b"\x20"])
def test_padding_of_any_length_does_no_harm(padding: bytes) -> None:
    """Equal bytes behind the last scan are no pixels, however many."""
    data = save(scene(320, 240), "JPEG")
    prepared = prepare(data[:-2] + padding * 5_000 + data[-2:], "image/jpeg", LIMITS)
    assert prepared.renditions == prepare(data, "image/jpeg", LIMITS).renditions
    assert prepared.warnings == (() if padding == b"\xff" else ("extraneous_bytes",))  # 0xFF fills, as T.81 has it


@pytest.mark.parametrize("percent", [10, 50, 90, 97])
def test_half_a_download_in_a_file_of_full_length_is_truncated(percent: int) -> None:
    """Zeros where the rest of the picture should be are taken for coded data by the codec, which leaves many."""
    data = save(scene(320, 240), "JPEG")
    size = len(data) * percent // 100
    with pytest.raises(PictureRejected) as caught:
        prepare(data[:size] + bytes(len(data) - size), "image/jpeg", LIMITS)
    assert caught.value.reason == "truncated"


def test_an_unusual_chroma_layout_is_decoded_too() -> None:
    """Three luminance blocks for one of each chroma: simplejpeg declines, Pillow decodes."""
    data = _flat_in_unusual_layout()
    prepared = prepare(data, "image/jpeg", LIMITS)
    grey = np.asarray(Image.open(io.BytesIO(prepared.renditions[0].jpeg)))
    assert grey.shape == (8, 24, 3)
    assert np.abs(grey.astype(int) - 128).max() <= 1


@pytest.mark.parametrize("marker", [0x02, 0xBF, 0xD8])
def test_no_picture_hides_behind_a_marker_without_length(marker: int) -> None:
    """libjpeg would read on where a walk that takes the next bytes as a length skips up to 64 KB."""
    hidden = save(scene(640, 480), "JPEG", quality=20)[2:]
    start = b"\xff\xd8\xff" + bytes([marker]) + struct.pack(">H", len(hidden) + 2)
    assert refused(start + hidden + save(scene(64, 48), "JPEG")[2:]) == "corrupt"


@pytest.mark.parametrize("junk", [b"\xff\x00", b"\xff\x01", b"\xff\xd3", b"\x00\xfe", b"\x04\x00"])
def test_the_reader_skips_what_libjpeg_skips(junk: bytes) -> None:
    """What is no marker, or one without a length, is passed over by both: they find the same picture."""
    data = save(scene(640, 480), "JPEG", quality=20)
    start = b"\xff\xd8" + junk + struct.pack(">H", len(data))
    header = read_jpeg(start + data[2:])
    assert (header.width, header.height, header.scans) == (640, 480, 1)
    assert simplejpeg.decode_jpeg_header(start + data[2:], strict=False)[:2] == (480, 640)


def test_a_second_frame_header_is_corrupt() -> None:
    """Whose size a codec would take is not for us to guess."""
    data = save(scene(64, 48), "JPEG")
    start = data.index(b"\xff\xc0")
    assert refused(data[:start] + data[start : start + 19] + data[start:]) == "corrupt"


@pytest.mark.parametrize("unusual", [False, True])
def test_a_picture_of_another_size_is_not_decoded(unusual: bool) -> None:
    """What the codec finds is compared with what was weighed, for each of the two decoders."""
    data = _flat_in_unusual_layout() if unusual else save(scene(64, 48), "JPEG")
    header = replace(read_jpeg(data), width=12, height=4)
    with pytest.raises(PictureRejected, match=r"its codec (24x8|64x48)") as caught:
        decode_jpeg(header, 2048)
    assert caught.value.reason == "corrupt"


@pytest.mark.parametrize(("offset", "value"), [(1, 0xC3), (4, 12), (9, 2)])
def test_jpegs_that_no_camera_writes_are_unsupported(offset: int, value: int) -> None:
    """Lossless, 12-bit and two-channel JPEGs are named as such, before any decoder tries."""
    data = bytearray(save(scene(64, 48), "JPEG"))
    data[data.index(b"\xff\xc0") + offset] = value
    with pytest.raises(PictureRejected) as caught:
        inspect(bytes(data), "image/jpeg", LIMITS)
    assert caught.value.reason == "unsupported_type"


def refused(data: bytes) -> str:
    """Why a JPEG is refused by its header, before any decoder sees it."""
    with pytest.raises(PictureRejected) as caught:
        inspect(data, "image/jpeg", LIMITS)
    return caught.value.reason


@pytest.mark.parametrize("hidden", [False, True])
def test_hundreds_of_scans_are_too_costly(hidden: bool) -> None:
    """Each scan goes over the whole picture; an end-of-image marker inside of a comment hides none."""
    assert refused(scan_bomb(160, 120, 600, hidden=hidden)) == "too_costly"


def test_baseline_scans_count_too() -> None:
    """A picture that is not progressive may come in many scans as well."""
    assert refused(baseline_in_scans(scene(64, 48), repeats=200)) == "too_costly"


@pytest.mark.parametrize(
    ("scans", "size", "reason"),
    [(30, (9_000, 9_000), "too_costly"), (30, (900, 900), None), (10, (9_000, 9_000), None)],
)
def test_scans_are_weighed_by_pixels(scans: int, size: tuple[int, int], reason: str | None) -> None:
    """A large picture may have fewer scans than a small one."""
    head, parts = scans_of(save(Image.new("L", (16, 16)), "JPEG", progressive=True))
    frame = head.index(b"\xff\xc2") + 5
    head = head[:frame] + struct.pack(">HH", size[1], size[0]) + head[frame + 4 :]
    data = head + b"".join(parts) + parts[-1] * (scans - len(parts)) + b"\xff\xd9"
    if reason:
        assert refused(data) == reason
    else:
        assert inspect(data, "image/jpeg", LIMITS).header.scans == scans


def test_scans_of_each_kind_of_jpeg_are_counted() -> None:
    """Baseline has one, or one for each component; progressive about ten. Several scans keep all coefficients."""
    image = scene(640, 480)
    headers = [
        read_jpeg(data)
        for data in (
            save(image, "JPEG"),
            save(image, "JPEG", restart_marker_blocks=1),
            baseline_in_scans(image),
            save(image, "JPEG", progressive=True),
        )
    ]
    assert [(header.scans, header.buffered) for header in headers] == [(1, False), (1, False), (3, True), (10, True)]


@pytest.mark.parametrize(("progressive", "marker"), [(False, 0xC9), (True, 0xCA)])
def test_arithmetic_coding_takes_longer(progressive: bool, marker: int) -> None:
    """Each bit is decoded by itself: such a picture gets more CPU time than one in Huffman's code."""
    data = bytearray(save(scene(640, 480), "JPEG", progressive=progressive))
    usual = inspect(bytes(data), "image/jpeg", LIMITS).cpu_seconds
    data[data.index(b"\xff\xc2" if progressive else b"\xff\xc0") + 1] = marker
    assert inspect(bytes(data), "image/jpeg", LIMITS).cpu_seconds > 2 * usual


def test_one_component_per_scan_is_decoded() -> None:
    """It is rare, and no reason to refuse a photo."""
    image = scene(640, 480)
    decoded = opened(prepare(baseline_in_scans(image), "image/jpeg", LIMITS).renditions[0].jpeg)
    assert np.abs(np.asarray(decoded).astype(int) - np.asarray(image)).mean() < 4


@pytest.mark.parametrize("tail", [b"", bytes(10), b"\xff\xd8\xff\xda" * 300, b"\xff\xd9"])
def test_nothing_behind_the_end_is_counted_or_decoded(tail: bytes) -> None:
    """The picture ends at its own end-of-image marker, which is the first one outside of a segment."""
    data = save(scene(320, 240), "JPEG", progressive=True, comment=b"\xff\xd9 is no end here \xff\xda")
    header = read_jpeg(data + tail)
    assert (header.scans, header.pieces) == (10, read_jpeg(data).pieces)


def test_an_end_in_a_comment_is_none() -> None:
    """The walk goes on to the end of the file, where the marker is missing."""
    data = save(scene(320, 240), "JPEG")
    prepared = prepare(data[:-2] + b"\xff\xfe\x00\x04\xff\xd9", "image/jpeg", LIMITS)
    assert prepared.warnings == ("end_marker_missing",)
    assert prepared.renditions == prepare(data, "image/jpeg", LIMITS).renditions


@given(st.binary(max_size=200), st.sampled_from([b"", b"\xff\xda", b"\xff\xd9", b"\xff\xfe\x00\x03"]))
def test_whatever_stands_between_scans_the_walk_ends(junk: bytes, marker: bytes) -> None:
    """Any bytes are walked to an end or refused with a reason."""
    data = save(Image.new("L", (16, 16)), "JPEG", progressive=True)
    try:
        outcome = str(read_jpeg(data[:-2] + junk + marker + data[-2:]).scans)
    except PictureRejected as rejected:
        outcome = rejected.reason
    assert outcome in {"truncated", "corrupt", "too_costly", *map(str, range(1, 101))}


def _flat_in_unusual_layout() -> bytes:
    """Return a mid-grey JPEG of 24x8 whose luminance is sampled 3x1, written by hand.

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
