"""PNG's header (PNG specification, third edition, 5 and 11)."""

from __future__ import annotations

import zlib

from workers.imaging.errors import PictureRejected
from workers.imaging.headers.cursor import Cursor
from workers.imaging.headers.header import Header
from workers.imaging.warning_codes import WarningCode
from workers.imaging.xmp import MAX_XMP_BYTES

SIGNATURE_BYTES = 8
# Only these reach the decoder: no text that unpacks to gigabytes, no frames of an animation.
PIXEL_CHUNKS = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
MAX_ICC_BYTES = 4 * 1024 * 1024
XMP_KEYWORD = b"XML:com.adobe.xmp\x00"


def read_png(data: bytes) -> Header:
    """Walk the chunks to the last. Checksums are left to the decoding."""
    cursor = Cursor(data, SIGNATURE_BYTES)
    spans: list[tuple[int, int]] = []
    warnings: set[WarningCode] = set()
    found = {b"IHDR": b"", b"eXIf": b"", b"iCCP": b""}
    kind, xmp = b"", b""
    while kind != b"IEND":
        start = cursor.position
        length, kind = int.from_bytes(cursor.take(4), "big"), cursor.take(4)
        payload = cursor.position
        cursor.skip(length + 4)  # and the checksum
        if kind in PIXEL_CHUNKS:
            spans.append((start, cursor.position))
        if kind in found:
            found[kind] = data[payload : payload + length]
        elif kind == b"iTXt" and not xmp and data.startswith(XMP_KEYWORD, payload) and length <= MAX_XMP_BYTES:
            xmp = _xmp(data[payload + len(XMP_KEYWORD) : payload + length])
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
        xmp=xmp,
        icc=profile,
        spans=tuple(spans),
        warnings=warnings,
    )


def _unpack_icc(payload: bytes) -> bytes:
    """The profile, or nothing if it is broken or unpacks to more than any profile has."""
    _, _, rest = payload.partition(b"\x00")
    return _inflate(rest[1:], MAX_ICC_BYTES)


def _xmp(payload: bytes) -> bytes:
    """The packet in an iTXt chunk behind its keyword, or nothing: compressed or not, language, translated keyword."""
    *_, text = payload[2:].split(b"\x00", 2)
    return _inflate(text, MAX_XMP_BYTES) if payload[:1] == b"\x01" else text


def _inflate(packed: bytes, max_bytes: int) -> bytes:
    """What `packed` unpacks to, or nothing if it is broken or more than `max_bytes`."""
    inflate = zlib.decompressobj()
    try:
        unpacked = inflate.decompress(packed, max_bytes)
    except zlib.error:
        return b""
    return unpacked if inflate.eof else b""
