"""Damaged files: only `PictureRejected` may leave the pipeline, and a cut file is never READY."""

import random
import zlib
from dataclasses import replace

import pytest
from picture_builders import TYPES, chunk, save
from PIL import Image
from PIL.GifImagePlugin import GifImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile
from pillow_heif import HeifImage

from shoebox_client.renditions import RENDITIONS
from shoebox_client.samples import display_p3_profile, exif_block, scene
from workers.imaging import ImageLimits, PictureRejected, Prepared, inspect, prepare
from workers.imaging.decode import decode

LIMITS = ImageLimits(max_pixels=2_000_000)  # a flipped bit may claim more, and decoding that would only take time
SMALL = scene(160, 120)
NOTES = {"exif": exif_block(gps=True), "icc_profile": display_p3_profile()}
FILES = {
    "baseline": (TYPES["JPEG"], save(SMALL, "JPEG", **NOTES)),
    "progressive": (TYPES["JPEG"], save(SMALL, "JPEG", progressive=True)),
    "restarts": (TYPES["JPEG"], save(SMALL, "JPEG", restart_marker_blocks=4)),
    "cmyk": (TYPES["JPEG"], save(SMALL.convert("CMYK"), "JPEG")),
    "png": (TYPES["PNG"], save(SMALL, "PNG", **NOTES)),
    "palette": (TYPES["PNG"], save(SMALL.quantize(), "PNG", transparency=3)),
    "webp": (TYPES["WEBP"], save(SMALL, "WEBP", **NOTES)),
    "webp-lossless": (TYPES["WEBP"], save(SMALL, "WEBP", lossless=True)),
    "gif": (TYPES["GIF"], save(SMALL, "GIF", save_all=True, append_images=[SMALL.rotate(90)])),
    "heic": (TYPES["HEIC"], save(SMALL, "HEIC", exif=exif_block(gps=True))),
    "avif": (TYPES["AVIF"], save(SMALL, "AVIF", exif=exif_block(gps=True))),
}
# How many bytes at a file's end no pixel depends on: its end marker, metadata, a second frame.
NO_PIXELS_BEHIND = {
    **dict.fromkeys(("baseline", "progressive", "restarts", "cmyk"), 3),  # EOI, and perhaps the last bits' padding
    **dict.fromkeys(("png", "palette"), 12),
    "webp": 260,
    "webp-lossless": 1,
    "gif": 13_546,
    "heic": 0,
}
EACH_FILE = pytest.mark.parametrize("name", FILES)


def tried(data: bytes, media_type: str) -> Prepared | str:
    """Return what was prepared, or the reason; anything but a rejection fails the test by itself."""
    try:
        return prepare(data, media_type, LIMITS)
    except PictureRejected as rejection:
        return rejection.reason


def outcome(data: bytes, media_type: str) -> str:
    """READY or the reason."""
    ended = tried(data, media_type)
    if isinstance(ended, str):
        return ended
    assert [rendition.jpeg[:2] for rendition in ended.renditions] == [b"\xff\xd8"] * len(RENDITIONS)
    return "READY"


@EACH_FILE
def test_the_whole_file_is_ready(name: str) -> None:
    """The damage below is the only thing wrong with these files."""
    media_type, data = FILES[name]
    assert outcome(data, media_type) == "READY"


@EACH_FILE
def test_a_cut_file_is_truncated(name: str) -> None:
    """Cut anywhere behind the signature, a file is called truncated, unless every pixel of it is there."""
    media_type, data = FILES[name]
    whole = prepare(data, media_type, LIMITS).renditions
    chosen = random.Random(name).sample(range(600, len(data) - 64), 100)
    for offset in [*range(64, 600, 7), *chosen, *range(len(data) - 64, len(data))]:
        ended = tried(data[:offset], media_type)
        if isinstance(ended, Prepared):
            assert (ended.renditions, bool(ended.warnings)) == (whole, True), offset
            assert offset >= len(data) - NO_PIXELS_BEHIND[name], offset
        else:
            assert ended == "truncated", offset


@EACH_FILE
def test_a_file_cut_in_its_first_bytes_is_rejected(name: str) -> None:
    """So little may not even tell the type, but it is never a picture."""
    media_type, data = FILES[name]
    seen = {outcome(data[:offset], media_type) for offset in range(64)}
    assert seen <= {"empty", "wrong_type", "truncated", "corrupt"}


@EACH_FILE
def test_flipped_bits_only_ever_reject(name: str) -> None:
    """Random damage ends in READY or in a rejection, and in time."""
    media_type, data = FILES[name]
    source = random.Random(f"flip {name}")
    seen = set()
    for number in range(250):
        damaged = bytearray(data)
        reach = len(data) if number % 2 else 600  # every other time the header alone
        for _ in range(source.choice((1, 2, 16))):
            damaged[source.randrange(reach)] ^= 1 << source.randrange(8)
        seen.add(outcome(bytes(damaged), media_type))
    assert seen & {"corrupt", "truncated"}


@pytest.mark.parametrize(
    ("media_type", "start"),
    [
        ("image/jpeg", b"\xff\xd8\xff"),
        ("image/jpeg", b"\xff\xd8\xff\xc0\x00\x11\x08\x00\x40\x00\x40\x03"),
        ("image/png", b"\x89PNG\r\n\x1a\n"),
        ("image/gif", b"GIF89a"),
        ("image/webp", b"RIFF\x00\x02\x00\x00WEBPVP8X"),
        ("image/heic", b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic"),
        ("image/avif", b"\x00\x00\x00\x18ftypavif\x00\x00\x00\x00mif1avif"),
    ],
)
def test_random_bytes_behind_a_signature_are_rejected(media_type: str, start: bytes) -> None:
    """A right beginning makes no picture."""
    source = random.Random(start)
    seen = {outcome(start + source.randbytes(source.randrange(2000)), media_type) for _ in range(200)}
    assert "READY" not in seen


@pytest.mark.parametrize("name", ["png", "palette"])
def test_every_flipped_bit_in_a_pngs_pixels_is_noticed(name: str) -> None:
    """PNG has checksums, and they are compared."""
    media_type, data = FILES[name]
    start = data.index(b"IDAT") + 4
    for offset in random.Random(name).sample(range(start, len(data) - 12), 50):
        damaged = bytearray(data)
        damaged[offset] ^= 0x10
        assert outcome(bytes(damaged), media_type) != "READY", offset


def test_a_png_that_unpacks_to_less_than_it_claims_is_truncated() -> None:
    """Right checksums around too few pixels do not help."""
    _, data = FILES["png"]
    ihdr = data[data.index(b"IHDR") + 4 :][:13]
    pixels = zlib.compress(bytes(161 * 3))
    built = data[:8] + chunk(b"IHDR", ihdr) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    assert outcome(built, "image/png") == "truncated"


def test_text_that_unpacks_to_gigabytes_is_never_unpacked() -> None:
    """Only a PNG's pixels reach the decoder; its compressed notes do not."""
    _, data = FILES["png"]
    bomb = b"iTXt", b"note\x00\x01\x00\x00\x00" + zlib.compress(bytes(50_000_000))
    end = data.index(b"IEND") - 4
    assert outcome(data[:end] + chunk(*bomb) + data[end:], "image/png") == "READY"


def test_scans_without_end_are_refused() -> None:
    """A progressive JPEG may not have the codec pass over the picture a thousand times."""
    _, data = FILES["progressive"]
    last = data.rindex(b"\xff\xda")
    with pytest.raises(PictureRejected, match="scans"):
        inspect(data[:last] + data[last:-2] * 100 + data[-2:], "image/jpeg", LIMITS)
    assert inspect(data, "image/jpeg", LIMITS).width == 160


@pytest.mark.parametrize("name", ["png", "palette", "webp", "webp-lossless", "gif", "heic", "avif"])
def test_a_codec_that_finds_another_size_does_not_decode(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Costs were weighed by the header's size, so that of the codec is compared before it begins."""
    media_type, data = FILES[name]
    header = inspect(data, media_type, LIMITS).header

    def load(*_: object) -> None:
        raise AssertionError("it decodes")

    for opened in (PngImageFile, WebPImageFile, GifImageFile, HeifImage):
        monkeypatch.setattr(opened, "load", load)
    with pytest.raises(PictureRejected, match="its codec 160x120"):
        decode(data, media_type, replace(header, width=80, height=60), 2048)


def pixels(data: bytes, media_type: str) -> bytes | str:
    """Return the decoded pixels, before orientation and colours; or the reason."""
    try:
        image = decode(data, media_type, inspect(data, media_type, LIMITS).header, 2048)
    except PictureRejected as rejection:
        return rejection.reason
    return image.convert("RGBA").tobytes()


def outside_of_pixels(name: str) -> list[int]:
    """Where the bytes of a file are that its decoder does not get."""
    media_type, data = FILES[name]
    outside = set(range(16, len(data)))
    for piece in inspect(data, media_type, LIMITS).header.pieces:
        if len(piece) >= 8 and (start := data.find(bytes(piece))) >= 0:
            outside -= set(range(start, start + len(piece)))
    return sorted(outside)


@pytest.mark.parametrize("name", ["baseline", "progressive", "png", "webp", "gif"])
def test_damage_outside_of_the_pixels_changes_none(name: str) -> None:
    """A bit of metadata, a marker or a later frame is flipped, lost or doubled: the same pixels, or a rejection."""
    media_type, data = FILES[name]
    whole, source = pixels(data, media_type), random.Random(f"outside {name}")
    seen = []
    for number, at in enumerate(source.choices(outside_of_pixels(name), k=120)):
        flipped = bytes([data[at] ^ 1 << source.randrange(8)])
        damaged = data[:at] + (flipped, b"", data[at : at + 1] * 2)[number % 3] + data[at + 1 :]
        seen.append(pixels(damaged, media_type))
    assert {ended for ended in seen if ended != whole} <= {"truncated", "corrupt", "unsupported_type"}
    assert seen.count(whole) > 20


@pytest.mark.parametrize("name", ["baseline", "restarts", "cmyk", "png", "palette", "webp", "gif"])
def test_a_hole_in_the_pixels_is_never_ready(name: str) -> None:
    """A tenth of the pixels' data is taken out somewhere, and the file goes on behind it.

    In a progressive JPEG the codec may decode other detail from what is left, and notice nothing.
    """
    media_type, data = FILES[name]
    longest = max(inspect(data, media_type, LIMITS).header.pieces, key=len)
    start, hole = data.index(bytes(longest)) + 16, len(longest) // 10
    source = random.Random(f"hole {name}")
    chosen = [start + source.randrange(len(longest) - hole - 32) for _ in range(20)]
    seen = {at: outcome(data[:at] + data[at + hole :], media_type) for at in chosen}
    assert {at for at, ended in seen.items() if ended == "READY"} == set()


@pytest.mark.parametrize("percent", [30, 50, 80])
@pytest.mark.parametrize("name", ["webp", "heic", "avif"])
def test_half_a_download_in_a_file_of_full_length_is_truncated(name: str, percent: int) -> None:
    """Zeros where the rest of the pixels should be are pixels for some decoders."""
    media_type, _ = FILES[name]
    data = save(scene(320, 240), name.upper())
    size = len(data) * percent // 100
    assert outcome(data, media_type) == "READY"
    assert outcome(data[:size] + bytes(len(data) - size), media_type) == "truncated"


@pytest.mark.parametrize("colour", ["black", "white", (90, 120, 150)], ids=str)
@pytest.mark.parametrize("name", ["webp", "heic", "avif"])
def test_a_flat_picture_is_no_half_download(name: str, colour: str | tuple[int, int, int]) -> None:
    """Its data are few, and mostly zeros if any are."""
    assert outcome(save(Image.new("RGB", (1600, 1200), colour), name.upper()), FILES[name][0]) == "READY"
