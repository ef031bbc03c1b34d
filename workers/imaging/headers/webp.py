"""WebP's header (RFC 9649, WebP Image Format)."""

from __future__ import annotations

from collections.abc import Sequence

from workers.imaging.errors import PictureRejected
from workers.imaging.headers.cursor import Cursor, check_end
from workers.imaging.headers.header import Header
from workers.imaging.limits import ImageLimits
from workers.imaging.warning_codes import WarningCode

RIFF_HEADER = 12
CHUNK_HEADER = 8
ANIMATED = 0x02
# Of the features that VP8X tells of, those without which pixels would be others: animation and alpha.
ALPHA = 0x10
PIXEL_FEATURES = ANIMATED | ALPHA
STILL = frozenset({b"VP8 ", b"VP8L"})
PIXEL_CHUNKS = frozenset({b"VP8X", b"ALPH", b"ANIM", b"ANMF"}) | STILL


def read_webp(data: bytes, limits: ImageLimits) -> Header:
    """Walk the RIFF chunks; stop as soon as the frames so far exceed `limits`.

    The decoder gets a file with the first frame alone. What stands behind that frame may be damaged or cut, and the
    container's own length may be wrong.
    """
    end = CHUNK_HEADER + int.from_bytes(data[4:8], "little")
    walk = _Walk(data, limits)
    walk.run(end)
    if not walk.whole:
        raise PictureRejected("truncated", f"the file has {len(data)} bytes, announces {end}, and no whole picture")
    for chunk in walk.chunks:
        if chunk[:4] == b"VP8 ":
            check_end(bytes(chunk), CHUNK_HEADER, len(chunk))
    if not walk.warnings and walk.cursor.position != end:
        walk.warnings.add("length_wrong")
    elif not walk.warnings and walk.cursor.position < len(data):
        walk.warnings.add("trailing_bytes")
    return Header(
        walk.width,
        walk.height,
        max(walk.frames, 1),
        channels=4,
        exif=walk.found[b"EXIF"],
        xmp=walk.found[b"XMP "],
        icc=walk.found[b"ICCP"],
        pieces=_file_of(walk.chunks),
        warnings=walk.warnings,
    )


class _Walk:
    """A way through the chunks, and what was found; `whole` as soon as the first frame is."""

    def __init__(self, data: bytes, limits: ImageLimits) -> None:
        self.limits = limits
        self.cursor = Cursor(data, RIFF_HEADER)
        kind, chunk = _chunk(self.cursor)
        self.width, self.height, self.animated = _dimensions(kind, bytes(chunk[CHUNK_HEADER : CHUNK_HEADER + 10]))
        limits.check_pixels(self.width, self.height)
        self.chunks: list[bytes | memoryview] = [chunk]
        if kind == b"VP8X":
            self.chunks[0] = _with_features(chunk, chunk[CHUNK_HEADER] & PIXEL_FEATURES)
        self.warnings: set[WarningCode] = set()
        self.frames, self.whole = 0, kind in STILL
        self.found = {b"EXIF": b"", b"XMP ": b"", b"ICCP": b""}

    def run(self, end: int) -> None:
        """Go to the container's end, or to that of the file if the first frame is not whole before."""
        cursor = self.cursor
        while cursor.position < (end if self.whole and end < cursor.end else cursor.end):
            start = cursor.position
            try:
                kind, chunk = _chunk(cursor)
            except PictureRejected as cut:
                if not self.whole or cut.reason != "truncated":
                    raise
                later_frame = cursor.data[start : start + 4] == b"ANMF"
                self.warnings.add("later_frame_damaged" if later_frame else "metadata_damaged")
                return
            if kind in self.found:
                self.found[kind] = self.found[kind] or bytes(chunk[CHUNK_HEADER:])
            if kind == b"ANMF" and self.animated:
                self.frames += 1
                self.limits.check_pixels(self.width, self.height, self.frames)
            if kind in PIXEL_CHUNKS and not self.whole:
                self._take(kind, chunk)

    def _take(self, kind: bytes, chunk: memoryview) -> None:
        """Take a chunk of the first frame."""
        self.chunks.append(chunk)
        self.whole = kind in STILL or (kind == b"ANMF" and self.animated)
        if kind == b"ANMF" and _frame_size(chunk) != (self.width, self.height):
            # What a small frame leaves free of the canvas is transparent, whatever the file says.
            self.chunks[0] = _with_features(self.chunks[0], self.chunks[0][CHUNK_HEADER] | ALPHA)


def _chunk(cursor: Cursor) -> tuple[bytes, memoryview]:
    """Kind and the next chunk, with its header and without its padding, behind which the cursor then stands."""
    start = cursor.position
    kind, size = cursor.take(4), int.from_bytes(cursor.take(4), "little")
    cursor.skip(size)
    chunk = memoryview(cursor.data)[start : cursor.position]
    if size & 1 and cursor.position < cursor.end:
        cursor.skip(1)
    return kind, chunk


def _with_features(chunk: bytes | memoryview, features: int) -> bytes:
    """VP8X that tells of these features."""
    return b"".join([chunk[:CHUNK_HEADER], bytes([features]), chunk[CHUNK_HEADER + 1 :]])


def _frame_size(chunk: memoryview) -> tuple[int, int]:
    """Width and height of ANMF's frame."""
    body = bytes(chunk[CHUNK_HEADER : CHUNK_HEADER + 12])
    return int.from_bytes(body[6:9], "little") + 1, int.from_bytes(body[9:12], "little") + 1


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
