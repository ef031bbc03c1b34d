"""PNG's header (PNG specification, third edition, 5 and 11)."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import NoReturn

from workers.imaging.errors import PictureRejected
from workers.imaging.headers.cursor import Cursor
from workers.imaging.headers.header import Header
from workers.imaging.warning_codes import WarningCode
from workers.imaging.xmp import MAX_XMP_BYTES

EMPTY = 12  # bytes of a chunk without content
SIGNATURE = b"\x89PNG\r\n\x1a\n"
END = b"\x00\x00\x00\x00IEND\xae\x42\x60\x82"
# Only these reach the decoder: no text that unpacks to gigabytes, no frames of an animation.
PIXEL_CHUNKS = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT"})
CRITICAL = range(ord("A"), ord("Z") + 1)  # the first letter of a kind that no decoder may skip (5.4)
PALETTE = 3
LATER_FRAMES = frozenset({b"fcTL", b"fdAT"})
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
MAX_ICC_BYTES = 4 * 1024 * 1024
XMP_KEYWORD = b"XML:com.adobe.xmp\x00"


def read_png(data: bytes) -> Header:
    """Walk the chunks to the last. The checksums of those that pixels depend on are left to the decoding.

    What stands behind the pixels may be damaged or missing: whether they are all there is for the decoder to say.
    """
    cursor = Cursor(data, len(SIGNATURE))
    pieces: list[bytes | memoryview] = [SIGNATURE]
    warnings: set[WarningCode] = set()
    found = {b"eXIf": b"", b"iCCP": b""}
    xmp: bytes | None = None
    for kind, chunk in _chunks(cursor, pieces, warnings):
        if kind in PIXEL_CHUNKS:
            pieces.append(chunk)
        elif kind[0] in CRITICAL and len(chunk) > EMPTY:
            _refuse(kind, chunk)
        elif not checksum_is_right(chunk):
            warnings.add("later_frame_damaged" if kind in LATER_FRAMES else "metadata_damaged")
        elif kind in found:
            found[kind] = bytes(chunk[8:-4])
        elif kind == b"iTXt" and xmp is None and chunk[8 : 8 + len(XMP_KEYWORD)] == XMP_KEYWORD:
            xmp = _xmp(bytes(chunk[8 + len(XMP_KEYWORD) : -4])) if len(chunk) <= MAX_XMP_BYTES else b""
    ihdr = bytes(pieces[1]) if len(pieces) > 1 else b""
    if len(ihdr) != 25 or ihdr[4:8] != b"IHDR" or ihdr[17] not in CHANNELS:
        raise PictureRejected("corrupt", "the first chunk is no valid IHDR")
    if ihdr[17] == PALETTE and not any(piece[4:8] == b"PLTE" for piece in pieces):
        raise PictureRejected("corrupt", "the palette is missing")
    profile = _unpack_icc(found[b"iCCP"])
    if found[b"iCCP"] and not profile:
        warnings.add("icc_profile_broken")
    return Header(
        int.from_bytes(ihdr[8:12], "big"),
        int.from_bytes(ihdr[12:16], "big"),
        channels=CHANNELS[ihdr[17]],
        exif=found[b"eXIf"],
        xmp=xmp or b"",
        icc=profile,
        pieces=(*pieces, END),
        warnings=warnings,
    )


def _refuse(kind: bytes, chunk: memoryview) -> NoReturn:
    """Raise `PictureRejected` for a chunk that pixels depend on, in a way that is not known here."""
    if not checksum_is_right(chunk):
        raise PictureRejected("corrupt", f"a chunk {kind!r} is damaged, and pixels depend on it")
    if kind == b"CgBI":
        raise PictureRejected("unsupported_type", "it is a PNG of an iPhone app's resources (CgBI); save it as PNG")
    raise PictureRejected("unsupported_type", f"pixels depend on a chunk {kind!r}, which PNG does not have")


def checksum_is_right(chunk: bytes | memoryview) -> bool:
    """Compare the checksum at the end of a chunk."""
    return zlib.crc32(chunk[4:-4]) == int.from_bytes(chunk[-4:], "big")


def _chunks(
    cursor: Cursor, pieces: list[bytes | memoryview], warnings: set[WarningCode]
) -> Iterator[tuple[bytes, memoryview]]:
    """Each chunk before IEND; a file that is cut behind the first IDAT, in a chunk that is none, ends there."""
    view = memoryview(cursor.data)
    while True:
        start, kind = cursor.position, b""
        try:
            length, kind = int.from_bytes(cursor.take(4), "big"), cursor.take(4)
            cursor.skip(length + 4)  # and the checksum
        except PictureRejected as cut:
            if cut.reason != "truncated" or kind == b"IDAT" or pieces[-1][4:8] != b"IDAT":
                raise
            warnings.add("end_marker_missing")
            return
        chunk = view[start : cursor.position]
        if kind == b"IEND":
            if chunk != END:
                warnings.add("end_marker_missing")
            elif cursor.position < cursor.end:
                warnings.add("trailing_bytes")
            return
        yield kind, chunk


def _unpack_icc(payload: bytes) -> bytes:
    """Return the profile, or nothing if it is broken or unpacks to more than any profile has."""
    _, _, rest = payload.partition(b"\x00")
    return _inflate(rest[1:], MAX_ICC_BYTES)


def _xmp(payload: bytes) -> bytes:
    """Return the packet in an iTXt chunk, behind compression, language and translated keyword; or nothing."""
    *_, text = payload[2:].split(b"\x00", 2)
    return _inflate(text, MAX_XMP_BYTES) if payload[:1] == b"\x01" else text


def _inflate(packed: bytes, max_bytes: int) -> bytes:
    """Return what `packed` unpacks to, or nothing if it is broken or more than `max_bytes`."""
    inflate = zlib.decompressobj()
    try:
        unpacked = inflate.decompress(packed, max_bytes)
    except zlib.error:
        return b""
    return unpacked if inflate.eof else b""
