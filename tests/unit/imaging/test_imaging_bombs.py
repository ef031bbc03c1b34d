"""Small files that are made to cost much, in each format, given to a real render process with its bounds."""

import os
import struct
import zlib
from collections.abc import Iterator

import pytest
from picture_builders import chunk, jpeg_of_layout, save, scan_bomb
from PIL import Image

from shoebox.config import environment_without_aws
from shoebox_client.samples import scene
from workers.imaging import ImageLimits, PictureRejected, Prepared
from workers.render_process import Costs, RenderProcess

SIGNATURE = b"\x89PNG\r\n\x1a\n"
ANYTHING = Costs(peak_bytes=10**10, cpu_seconds=1e3)


@pytest.fixture(scope="module")
def process() -> Iterator[RenderProcess]:
    """One process for all: none of these may end it."""
    process = RenderProcess(ImageLimits(), environment_without_aws())
    yield process
    assert process.alive
    process.close()


def outcome(process: RenderProcess, data: bytes, media_type: str) -> str:
    """READY, or the reason of the rejection."""
    try:
        assert isinstance(process.prepare(data, media_type, ANYTHING, full=True), Prepared)
    except PictureRejected as rejected:
        return rejected.reason
    return "READY"


def png(*chunks: bytes, width: int = 1, height: int = 1, mode: int = 2, depth: int = 8, interlaced: int = 0) -> bytes:
    """Return a PNG of these chunks behind its header."""
    ihdr = struct.pack(">IIBBBBB", width, height, depth, mode, 0, 0, interlaced)
    return SIGNATURE + chunk(b"IHDR", ihdr) + b"".join(chunks) + chunk(b"IEND", b"")


def sized(jpeg: bytes, marker: bytes, width: int, height: int) -> bytes:
    """Return a JPEG whose frame claims another size."""
    at = jpeg.index(marker) + 5
    return jpeg[:at] + struct.pack(">HH", height, width) + jpeg[at + 4 :]


def arithmetic(jpeg: bytes) -> bytes:
    """Return a progressive JPEG that calls its scans arithmetic-coded."""
    return jpeg.replace(b"\xff\xc2", b"\xff\xca", 1)


def looping_exif() -> bytes:
    """EXIF whose directories point to themselves, with 65,535 entries."""
    entry = struct.pack("<HHII", 0x8769, 4, 1, 8)
    return b"Exif\0\0II*\0" + struct.pack("<IH", 8, 65_535) + entry * 2000


FLOOD = zlib.compress(bytes(200_000_000), 1)  # 870 KB
PIXEL = chunk(b"IDAT", zlib.compress(bytes(4)))
LARGE = Image.new("RGB", (2000, 1500), (90, 120, 150))


def stated(form: str, width: int, height: int) -> bytes:
    """Return a flat picture of 3 megapixels whose container states another size."""
    return save(LARGE, form).replace(struct.pack(">II", 2000, 1500), struct.pack(">II", width, height))


def box(kind: bytes, payload: bytes) -> bytes:
    """Return a box of HEIF or AVIF."""
    return (len(payload) + 8).to_bytes(4, "big") + kind + payload


def heif_of(brand: bytes, *tables: bytes) -> bytes:
    """Return a file of this brand with a picture that is made of `tables`."""
    head = box(b"hdlr", bytes(8) + b"pict" + bytes(13)) + box(b"pitm", bytes(4) + b"\0\1")
    return box(b"ftyp", brand + bytes(4) + brand + b"mif1miaf") + box(b"meta", bytes(4) + head + b"".join(tables))


ITEMS = 100_000
PLACES = box(
    b"iloc", b"\2" + bytes(5) + struct.pack(">I", ITEMS) + b"".join(struct.pack(">I6x", i) for i in range(ITEMS))
)
PROPERTIES = box(
    b"iprp", box(b"ipma", struct.pack(">4xI", ITEMS) + b"".join(struct.pack(">Hx", i % 65_536) for i in range(ITEMS)))
)
PARTS = box(b"iref", bytes(4) + box(b"dimg", struct.pack(">HH", 1, 65_535) + b"\0\1" * 65_535))
PACKET = chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(bytes(1_100_000), 9))
JPEG = save(scene(64, 48), "JPEG")
PROGRESSIVE = save(scene(640, 480), "JPEG", progressive=True)


@pytest.mark.parametrize(
    ("data", "media_type", "ending"),
    [
        pytest.param(png(chunk(b"iCCP", b"p\0\0" + FLOOD), PIXEL), "image/png", "READY", id="png-profile"),
        pytest.param(png(chunk(b"zTXt", b"t\0\0" + FLOOD), PIXEL), "image/png", "READY", id="png-ztxt"),
        pytest.param(png(chunk(b"iTXt", b"t\0\1\0\0\0" + FLOOD), PIXEL), "image/png", "READY", id="png-itxt"),
        pytest.param(png(PACKET * 9_000, PIXEL), "image/png", "READY", id="png-packets"),
        pytest.param(png(chunk(b"IDAT", FLOOD)), "image/png", "READY", id="png-more-data-than-pixels"),
        pytest.param(png(PIXEL, width=10_000, height=10_000), "image/png", "truncated", id="png-without-data"),
        pytest.param(png(chunk(b"IDAT", b"") * 1_000_000), "image/png", "corrupt", id="png-a-million-chunks"),
        pytest.param(
            sized(PROGRESSIVE, b"\xff\xc2", 10_000, 10_000), "image/jpeg", "truncated", id="jpeg-without-data"
        ),
        pytest.param(scan_bomb(160, 120, 600, hidden=True), "image/jpeg", "too_costly", id="jpeg-scans"),
        pytest.param(
            arithmetic(scan_bomb(160, 120, 600, hidden=True)), "image/jpeg", "too_costly", id="jpeg-arithmetic-scans"
        ),
        pytest.param(
            sized(arithmetic(PROGRESSIVE), b"\xff\xca", 10_000, 10_000), "image/jpeg", "corrupt", id="jpeg-arithmetic"
        ),
        pytest.param(
            JPEG[:2] + b"\xff" * 200_000 + b"\0" + JPEG[2:], "image/jpeg", "READY", id="jpeg-fill-bytes-of-no-marker"
        ),
        pytest.param(
            JPEG[:-2] + b"\xff\x01" * 20_000_000 + JPEG[-2:], "image/jpeg", "READY", id="jpeg-markers-that-end-nothing"
        ),
        pytest.param(
            jpeg_of_layout(((3, 1), (1, 1), (1, 1)))[:-2] + b"\xff\xd0" * 3_000_000 + JPEG[-2:],
            "image/jpeg",
            "too_costly",
            id="jpeg-restarts-in-an-unusual-layout",
        ),
        pytest.param(heif_of(b"avif", PLACES), "image/avif", "too_costly", id="avif-places"),
        pytest.param(heif_of(b"avif", PROPERTIES), "image/avif", "too_costly", id="avif-properties"),
        pytest.param(heif_of(b"heic", PARTS), "image/heic", "too_costly", id="heic-parts"),
        pytest.param(
            b"GIF89a"
            + struct.pack("<HHBxx", 10_000, 10_000, 0x80)
            + bytes(6)
            + b"\x2c"
            + struct.pack("<HHHHB", 0, 0, 1, 1, 0)
            + b"\2\2\x44\1\0\x3b",
            "image/gif",
            "too_costly",
            id="gif-one-pixel-of-a-large-screen",
        ),
        pytest.param(save(scene(64, 48), "JPEG", exif=looping_exif()), "image/jpeg", "READY", id="exif-loop"),
        pytest.param(
            save(scene(64, 48), "JPEG", icc_profile=os.urandom(8_000_000)), "image/jpeg", "READY", id="jpeg-profile"
        ),
        pytest.param(stated("HEIC", 64, 64), "image/heic", "corrupt", id="heic-larger-than-stated"),
        pytest.param(stated("HEIC", 9200, 9200), "image/heic", "corrupt", id="heic-smaller-than-stated"),
        pytest.param(stated("AVIF", 64, 64), "image/avif", "READY", id="avif-larger-than-stated"),
        pytest.param(stated("AVIF", 4000, 3000), "image/avif", "READY", id="avif-smaller-than-stated"),
        pytest.param(
            b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0, 0, 0) + b"\x21\xfe" + b"\x01a" * 600_000 + b"\0\x3b",
            "image/gif",
            "corrupt",
            id="gif-sub-blocks",
        ),
        pytest.param(
            b"GIF89a"
            + struct.pack("<HHBBB", 10_000, 10_000, 0x80, 0, 0)
            + bytes(6)
            + b"\x2c"
            + struct.pack("<HHHHB", 0, 0, 10_000, 10_000, 0)
            + b"\x02"
            + (b"\xff" + b"\x44\x24" * 127 + b"\x44") * 40_000
            + b"\0\x3b",
            "image/gif",
            "corrupt",
            id="gif-nothing-but-clear-codes",
        ),
    ],
)
def test_none_costs_its_process_more_than_a_photo(
    process: RenderProcess, data: bytes, media_type: str, ending: str
) -> None:
    """Each ends as it should within the bounds, and the process goes on to the next."""
    assert outcome(process, data, media_type) == ending
