"""WebP's header (RFC 9649, WebP Image Format)."""

from __future__ import annotations

from workers.imaging.errors import PictureRejected
from workers.imaging.headers.cursor import Cursor
from workers.imaging.headers.header import Header
from workers.imaging.limits import ImageLimits

RIFF_HEADER = 12
ANIMATED = 0x02


def read_webp(data: bytes, limits: ImageLimits) -> Header:
    """Walk the RIFF chunks; stop as soon as the frames so far exceed `limits`."""
    end = 8 + int.from_bytes(data[4:8], "little")
    if end > len(data):
        raise PictureRejected("truncated", f"the file has {len(data)} bytes and announces {end}")
    cursor = Cursor(data, RIFF_HEADER, end)
    kind, size, head = _chunk(cursor)
    width, height, animated = _dimensions(kind, head)
    limits.check_pixels(width, height)
    frames = 0
    found = {b"EXIF": b"", b"XMP ": b"", b"ICCP": b""}
    while cursor.position < end:
        kind, size, head = _chunk(cursor)
        if kind in found:
            found[kind] = data[cursor.position - size - (size & 1) :][:size]
        if kind == b"ANMF" and animated:
            frames += 1
            limits.check_pixels(width, height, frames)
    frames = max(frames, 1)
    return Header(width, height, frames, channels=4, exif=found[b"EXIF"], xmp=found[b"XMP "], icc=found[b"ICCP"])


def _chunk(cursor: Cursor) -> tuple[bytes, int, bytes]:
    """Kind, size and first ten bytes of the next chunk; the cursor stands behind its padding."""
    kind, size = cursor.take(4), int.from_bytes(cursor.take(4), "little")
    head = cursor.data[cursor.position : cursor.position + min(size, 10)]
    cursor.skip(size)
    if size & 1 and cursor.position < cursor.end:
        cursor.skip(1)
    return kind, size, head


def _dimensions(kind: bytes, head: bytes) -> tuple[int, int, bool]:
    if kind == b"VP8X" and len(head) == 10:
        width, height = (int.from_bytes(head[i : i + 3], "little") + 1 for i in (4, 7))
        return width, height, bool(head[0] & ANIMATED)
    if kind == b"VP8 " and head[3:6] == b"\x9d\x01\x2a" and len(head) == 10:
        width, height = (int.from_bytes(head[i : i + 2], "little") & 0x3FFF for i in (6, 8))
        return width, height, False
    if kind == b"VP8L" and head[:1] == b"\x2f" and len(head) >= 5:
        bits = int.from_bytes(head[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, False
    raise PictureRejected("corrupt", "the first chunk is no picture's header")
