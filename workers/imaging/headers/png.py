"""PNG's header (PNG specification, third edition, 5 and 11)."""

from __future__ import annotations

import zlib

from workers.imaging.errors import PictureRejected
from workers.imaging.headers.cursor import Cursor
from workers.imaging.headers.header import Header
from workers.imaging.warning_codes import WarningCode

SIGNATURE_BYTES = 8
# Only these reach the decoder: no text that unpacks to gigabytes, no frames of an animation.
PIXEL_CHUNKS = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
MAX_ICC_BYTES = 4 * 1024 * 1024


def read_png(data: bytes) -> Header:
    """Walk the chunks to the last. Checksums are left to the decoding."""
    cursor = Cursor(data, SIGNATURE_BYTES)
    spans: list[tuple[int, int]] = []
    warnings: set[WarningCode] = set()
    found = {b"IHDR": b"", b"eXIf": b"", b"iCCP": b""}
    kind = b""
    while kind != b"IEND":
        start = cursor.position
        length, kind = int.from_bytes(cursor.take(4), "big"), cursor.take(4)
        payload = cursor.position
        cursor.skip(length + 4)  # and the checksum
        if kind in PIXEL_CHUNKS:
            spans.append((start, cursor.position))
        if kind in found:
            found[kind] = data[payload : payload + length]
    ihdr = found[b"IHDR"]
    if len(ihdr) != 13 or spans[0][0] != SIGNATURE_BYTES or ihdr[9] not in CHANNELS:
        raise PictureRejected("corrupt", "the first chunk is no valid IHDR")
    profile = _unpack_icc(found[b"iCCP"])
    if found[b"iCCP"] and not profile:
        warnings.add("icc_profile_broken")
    return Header(
        int.from_bytes(ihdr[:4], "big"),
        int.from_bytes(ihdr[4:8], "big"),
        channels=CHANNELS[ihdr[9]],
        exif=found[b"eXIf"],
        icc=profile,
        spans=tuple(spans),
        warnings=warnings,
    )


def _unpack_icc(payload: bytes) -> bytes:
    """The profile, or nothing if it is broken or unpacks to more than any profile has."""
    _, _, rest = payload.partition(b"\x00")
    inflate = zlib.decompressobj()
    try:
        profile = inflate.decompress(rest[1:], MAX_ICC_BYTES)
    except zlib.error:
        return b""
    return profile if inflate.eof else b""
