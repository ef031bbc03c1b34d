"""Pictures that one test needs, built in memory."""

import io
import random
import struct
import zlib
from typing import Any

import numpy as np
import pillow_avif  # noqa: F401 - it registers AVIF with Pillow
import pillow_heif
from PIL import Image

from shoebox_client.samples import corners, exif_block, scene, stored_sideways

TYPES = {
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "WEBP": "image/webp",
    "GIF": "image/gif",
    "HEIC": "image/heic",
    "AVIF": "image/avif",
}


def save(image: Image.Image, form: str, **options: Any) -> bytes:
    """`image` in the format `form`."""
    buffer = io.BytesIO()
    if form == "HEIC":
        heif = pillow_heif.from_pillow(image)
        heif.info.update(options)
        heif.save(buffer, quality=80)
    else:
        if form == "AVIF":
            options = {"quality": 80, "speed": 8, "max_threads": 1} | options
        image.save(buffer, form, **options)
    return buffer.getvalue()


def turned(form: str, orientation: int) -> bytes:
    """Return the scene, stored turned, with the orientation noted in the format's own way."""
    stored = stored_sideways(scene(320, 240), orientation)
    options: dict[str, Any] = {"lossless": True} if form == "WEBP" else {}
    return save(stored, form, exif=exif_block(orientation=orientation), **options)


def opened(jpeg: bytes) -> Image.Image:
    """Return a rendition, decoded by Pillow: not by what made it."""
    image = Image.open(io.BytesIO(jpeg), formats=["JPEG"])
    image.load()
    return image


def seen_corners(image: Image.Image) -> dict[str, str]:
    """For each corner of an upright scene, whose disc is really there."""
    pixels = np.asarray(image.convert("RGB")).astype(int)
    height, width = pixels.shape[:2]
    seen = {}
    for place in corners():
        x = round(width * (0.88 if "right" in place else 0.12))
        y = round(height * (0.85 if "bottom" in place else 0.15))
        distances = {name: np.abs(pixels[y, x] - colour).max() for name, colour in corners().items()}
        seen[place] = min(distances, key=lambda name: distances[name])
    return seen


def chunk(kind: bytes, payload: bytes) -> bytes:
    """Return a PNG chunk with a right checksum."""
    return struct.pack(">I", len(payload)) + kind + payload + struct.pack(">I", zlib.crc32(kind + payload))


def png_claiming(width: int, height: int) -> bytes:
    """Return a PNG of a hundred bytes whose header claims a size."""
    ihdr = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", ihdr) + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def gif_of(frames: int, width: int, height: int) -> bytes:
    """Return a GIF of `frames` empty frames, each 15 bytes, on a screen of the given size."""
    frame = b"\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x01\x44\x00\x00"
    return b"GIF89a" + struct.pack("<HHBBB", width, height, 0, 0, 0) + frame * frames + b"\x3b"


def flat(colour: tuple[int, ...], mode: str = "RGB", size: tuple[int, int] = (64, 64)) -> Image.Image:
    """One colour."""
    return Image.new(mode, size, colour)


def middle(jpeg: bytes) -> tuple[int, int, int]:
    """Return the RGB colour in the middle of a rendition."""
    image = opened(jpeg).convert("RGB")
    red, green, blue = np.asarray(image)[image.height // 2, image.width // 2].tolist()
    return red, green, blue


def scans_of(data: bytes) -> tuple[bytes, list[bytes]]:
    """Return a JPEG cut before each start of scan: what stands before the first, and each scan with its tables."""
    parts = data.removesuffix(b"\xff\xd9").split(b"\xff\xda")
    return parts[0], [b"\xff\xda" + part for part in parts[1:]]


def scan_bomb(width: int, height: int, scans: int, *, hidden: bool = False) -> bytes:
    """Return a progressive JPEG whose last scan stands `scans` times more.

    `hidden`: behind a comment that holds an end-of-image marker.
    """
    head, parts = scans_of(save(Image.new("L", (width, height), 77), "JPEG", progressive=True))
    comment = b"\xff\xfe\x00\x06\xff\xd9\xff\xd9" if hidden else b""
    return head + b"".join(parts) + comment + parts[-1] * scans + b"\xff\xd9"


def baseline_in_scans(image: Image.Image, repeats: int = 1) -> bytes:
    """`image` as a baseline JPEG with one component per scan, the last of which stands `repeats` times.

    Each component is coded as a greyscale picture is, so three of those are taken apart and put together.
    """
    planes = [save(plane, "JPEG", quality=90, qtables="web_high") for plane in image.convert("YCbCr").split()]
    pieces = [plane[plane.index(b"\xff\xda") + 10 : -2] for plane in planes]
    frame = struct.pack(">HBHHB", 17, 8, image.height, image.width, 3)
    frame += b"".join(bytes([n, 0x11, 0]) for n in (1, 2, 3))
    start, end = planes[0].index(b"\xff\xc0"), planes[0].index(b"\xff\xda")
    head = planes[0][:start] + b"\xff\xc0" + frame + planes[0][start + 13 : end]
    scans = [
        b"\xff\xda" + struct.pack(">HBBB", 8, 1, n, 0) + b"\x00\x3f\x00" + piece for n, piece in enumerate(pieces, 1)
    ]
    return head + b"".join(scans[:2]) + scans[2] * repeats + b"\xff\xd9"


def webp_of(frame: Image.Image, canvas: tuple[int, int]) -> bytes:
    """Return an animated WebP with one frame in the upper left of a canvas with blue background (RFC 9649, 2.7.1.1)."""
    still = save(frame, "WEBP", lossless=True)[12:]
    sides = [(side - 1).to_bytes(3, "little") for side in (*canvas, *frame.size)]
    anmf = bytes(6) + sides[2] + sides[3] + bytes(3) + b"\0" + still
    body = b"WEBPVP8X" + struct.pack("<I", 10) + b"\x02\0\0\0" + sides[0] + sides[1]
    body += b"ANIM" + struct.pack("<I", 6) + b"\xff\0\0\xff\0\0" + b"ANMF" + struct.pack("<I", len(anmf)) + anmf
    return b"RIFF" + struct.pack("<I", len(body)) + body


Fields = dict[int, tuple[int, bytes]]
POSITION: Fields = {2: (5, struct.pack(">6I", 50, 1, 43, 1, 0, 1)), 4: (5, struct.pack(">6I", 7, 1, 6, 1, 0, 1))}


def tiff_block(main: Fields, photo: Fields | None = None, gps: Fields | None = None, pointer_type: int = 4) -> bytes:
    """Return an EXIF block as no library writes it: tag → type and raw value (big endian) of its three directories."""
    pointers = {tag: 0 for tag, fields in ((0x8769, photo), (0x8825, gps)) if fields is not None}
    value = ">H" if pointer_type in (3, 8) else ">I"

    def directory(at: int, fields: Fields) -> bytes:
        heap_at = at + 2 + 12 * len(fields) + 4
        table, heap = struct.pack(">H", len(fields)), b""
        for tag, (kind, raw) in sorted(fields.items()):
            count = len(raw) // {3: 2, 4: 4, 5: 8, 8: 2, 9: 4, 13: 4}.get(kind, 1)
            stored = raw.ljust(4, b"\0") if len(raw) <= 4 else struct.pack(">I", heap_at + len(heap))
            table += struct.pack(">HHI", tag, kind, count) + stored
            heap += raw + b"\0" * (len(raw) % 2) if len(raw) > 4 else b""
        return table + bytes(4) + heap

    def first() -> bytes:
        return directory(8, main | {tag: (pointer_type, struct.pack(value, at)) for tag, at in pointers.items()})

    rest = b""
    for tag, fields in ((0x8769, photo), (0x8825, gps)):
        if fields is not None:
            pointers[tag] = 8 + len(first()) + len(rest)
            rest += directory(pointers[tag], fields)
    return b"MM\0*\0\0\0\x08" + first() + rest


def xmp_packet(attributes: str = "", elements: str = "") -> bytes:
    """Return an XMP packet with these attributes and children of its description."""
    spaces = " ".join(
        f'xmlns:{prefix}="http://ns.adobe.com/{path}/1.0/"'
        for prefix, path in (("xmp", "xap"), ("exif", "exif"), ("photoshop", "photoshop"), ("tiff", "tiff"))
    )
    rdf = 'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"'
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n<x:xmpmeta xmlns:x="adobe:ns:meta/">'
        f'<rdf:RDF {rdf}><rdf:Description rdf:about="" {spaces} {attributes}>{elements}</rdf:Description></rdf:RDF>'
        '</x:xmpmeta>\n    <?xpacket end="w"?>'
    ).encode()


Sampling = tuple[tuple[int, int], ...]
# Lengths of a difference in bits → its code, and the code of a block's end, of the standard tables (T.81, annex K.3).
DC_CODES = ("00", "010", "011", "100", "101", "110", "1110", "11110", "111110")
END_OF_BLOCK = "1010"


def jpeg_of_layout(sampling: Sampling, width: int = 96, height: int = 64, interval: int = 0) -> bytes:
    """Return a JPEG whose components are sampled so, of blocks of random brightness; `interval`: with restart markers.

    Written by hand, as no library at hand writes all layouts.
    """
    tables = save(Image.new("L", (8, 8)), "JPEG")
    start, scan = tables.index(b"\xff\xc0"), tables.index(b"\xff\xda")
    across, down = (max(factors[axis] for factors in sampling) for axis in (0, 1))
    units = -(-width // (8 * across)) * -(-height // (8 * down))
    source = random.Random(repr(sampling))
    parts = [_units(sampling, source, min(interval or units, units - at)) for at in range(0, units, interval or units)]
    coded = b"".join(part + bytes([0xFF, 0xD0 + n % 8]) for n, part in enumerate(parts))[:-2]
    ids = range(1, len(sampling) + 1)
    frame = struct.pack(">HBHHB", 8 + 3 * len(sampling), 8, height, width, len(sampling))
    frame += b"".join(bytes([n, h << 4 | v, 0]) for n, (h, v) in zip(ids, sampling, strict=True))
    head = struct.pack(">HB", 6 + 2 * len(sampling), len(sampling)) + b"".join(bytes([n, 0]) for n in ids)
    restarts = b"\xff\xdd" + struct.pack(">HH", 4, interval)
    rest = tables[start + 13 : scan]
    return (
        tables[:start] + b"\xff\xc0" + frame + rest + restarts + b"\xff\xda" + head + b"\0\x3f\0" + coded + b"\xff\xd9"
    )


def _units(sampling: Sampling, source: random.Random, count: int) -> bytes:
    """So many coded units, each with the blocks of all components."""
    bits, before = "", [0] * len(sampling)
    for _ in range(count):
        for component, (across, down) in enumerate(sampling):
            for _ in range(across * down):
                value = source.randrange(-40, 40)
                difference, before[component] = value - before[component], value
                size = abs(difference).bit_length()
                low = difference if difference > 0 else difference + (1 << size) - 1
                bits += DC_CODES[size] + (format(low, f"0{size}b") if size else "") + END_OF_BLOCK
    bits += "1" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\0")


def jpeg_in_scans(sampling: Sampling, width: int = 96, height: int = 64, **options: Any) -> bytes:
    """Return the scene, its components sampled so, one component per scan; each is coded as a greyscale picture is."""
    across, down = (max(factors[axis] for factors in sampling) for axis in (0, 1))
    image = scene(width, height)
    planes = Image.merge("CMYK", [*image.convert("YCbCr").split(), image.rotate(180).convert("L")])
    frame = struct.pack(">HBHHB", 8 + 3 * len(sampling), 8, height, width, len(sampling))
    body = b""
    for number, (h, v) in enumerate(sampling):
        plane = planes.getchannel(number).resize((-(-width * h // across), -(-height * v // down)))
        head, scans = scans_of(save(plane, "JPEG", qtables="web_high", **options))
        frame += bytes([number + 1, h << 4 | v, 0])
        marker = head.index(b"\xff\xc2" if options.get("progressive") else b"\xff\xc0")
        body += head[marker + 13 :] + b"".join(part[:5] + bytes([number + 1]) + part[6:] for part in scans)
    return head[:marker] + head[marker : marker + 2] + frame + body + b"\xff\xd9"
