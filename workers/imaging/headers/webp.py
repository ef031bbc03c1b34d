"""WebP's header (RFC 9649, WebP Image Format)."""

from __future__ import annotations

from collections.abc import Sequence

from workers.imaging.errors import PictureRejected
from workers.imaging.headers.cursor import Cursor
from workers.imaging.headers.header import Header
from workers.imaging.limits import ImageLimits
from workers.imaging.warning_codes import WarningCode

RIFF_HEADER = 12
CHUNK_HEADER = 8
ANIMATED = 0x02
# Of the features that VP8X tells of, those without which pixels would be others: animation and alpha.
PIXEL_FEATURES = 0x02 | 0x10
STILL = frozenset({b"VP8 ", b"VP8L"})
PIXEL_CHUNKS = frozenset({b"VP8X", b"ALPH", b"ANIM", b"ANMF"}) | STILL


def read_webp(data: bytes, limits: ImageLimits) -> Header:
    """Walk the RIFF chunks; stop as soon as the frames so far exceed `limits`.

    The decoder gets a file with the first frame alone. What stands behind that frame may be damaged or cut, and the
    container's own length may be wrong.
    """
    cursor = Cursor(data, RIFF_HEADER)
    kind, chunk = _chunk(cursor)
    width, height, animated = _dimensions(kind, bytes(chunk[CHUNK_HEADER : CHUNK_HEADER + 10]))
    limits.check_pixels(width, height)
    chunks = [_only_features_of_pixels(chunk) if kind == b"VP8X" else chunk]
    warnings: set[WarningCode] = set()
    frames, whole = 0, kind in STILL
    found = {b"EXIF": b"", b"XMP ": b"", b"ICCP": b""}
    end = CHUNK_HEADER + int.from_bytes(data[4:8], "little")
    while cursor.position < (end if whole and end < len(data) else len(data)):
        start = cursor.position
        try:
            kind, chunk = _chunk(cursor)
        except PictureRejected as cut:
            if not whole or cut.reason != "truncated":
                raise
            warnings.add("later_frame_damaged" if data[start : start + 4] == b"ANMF" else "metadata_damaged")
            break
        if kind in found:
            found[kind] = found[kind] or bytes(chunk[CHUNK_HEADER:])
        if kind == b"ANMF" and animated:
            frames += 1
            limits.check_pixels(width, height, frames)
        if kind in PIXEL_CHUNKS and not whole:
            chunks.append(chunk)
            whole = kind in STILL or (kind == b"ANMF" and animated)
    if not whole:
        raise PictureRejected("truncated", f"the file has {len(data)} bytes, announces {end}, and no whole picture")
    if not warnings and cursor.position != end:
        warnings.add("length_wrong")
    elif cursor.position < len(data) and not warnings:
        warnings.add("trailing_bytes")
    return Header(
        width,
        height,
        max(frames, 1),
        channels=4,
        exif=found[b"EXIF"],
        xmp=found[b"XMP "],
        icc=found[b"ICCP"],
        pieces=_file_of(chunks),
        warnings=warnings,
    )


def _chunk(cursor: Cursor) -> tuple[bytes, memoryview]:
    """Kind and the next chunk, with its header and without its padding, behind which the cursor then stands."""
    start = cursor.position
    kind, size = cursor.take(4), int.from_bytes(cursor.take(4), "little")
    cursor.skip(size)
    chunk = memoryview(cursor.data)[start : cursor.position]
    if size & 1 and cursor.position < cursor.end:
        cursor.skip(1)
    return kind, chunk


def _only_features_of_pixels(chunk: memoryview) -> bytes:
    """VP8X without the features that are not passed on."""
    return b"".join([chunk[:CHUNK_HEADER], bytes([chunk[CHUNK_HEADER] & PIXEL_FEATURES]), chunk[CHUNK_HEADER + 1 :]])


def _file_of(chunks: Sequence[bytes | memoryview]) -> tuple[bytes | memoryview, ...]:
    pieces = [piece for chunk in chunks for piece in (chunk, bytes(len(chunk) & 1))]
    size = 4 + sum(map(len, pieces))
    return b"RIFF" + size.to_bytes(4, "little") + b"WEBP", *pieces


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
