"""JPEG's segments (ITU-T T.81 annex B), from the first to the picture's own end."""

from __future__ import annotations

import re
from collections.abc import Iterator

from workers.imaging.errors import PictureRejected
from workers.imaging.headers.cursor import Cursor
from workers.imaging.headers.header import Header
from workers.imaging.warning_codes import WarningCode

SOI, SOS, EOI = 0xD8, 0xDA, 0xD9
APP1, APP2 = 0xE1, 0xE2
NOTES = frozenset({APP1, APP2})  # no pixel depends on them
FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
# Baseline, extended and progressive, by Huffman or arithmetic code. The others are lossless or hierarchical.
DECODABLE = frozenset({0xC0, 0xC1, 0xC2, 0xC9, 0xCA})
PROGRESSIVE = frozenset({0xC2, 0xCA})
ARITHMETIC = frozenset({0xC9, 0xCA})
STANDALONE = frozenset({0x01, *range(0xD0, 0xD8)})
EXIF_TAG = b"Exif\x00\x00"
XMP_TAG = b"http://ns.adobe.com/xap/1.0/\x00"  # what stands in extended XMP, behind another tag, is not read
ICC_TAG = b"ICC_PROFILE\x00"
# Each scan is a pass over the whole picture; encoders write about ten. How many a large picture may have is up to
# `ImageLimits.max_scan_pixels`.
MAX_SCANS = 100
# The next marker behind coded data: there 0xFF is data before 0x00, a fill byte before another 0xFF, and a restart
# marker before 0xD0-0xD7. One search by the regex engine takes 35 ms for 100 MB of coded data.
MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
FIRST_MARKER = 0xC0  # what is below, libjpeg skips or refuses


def read_jpeg(data: bytes) -> Header:
    """Walk the segments to the picture's own end-of-image marker, and count the scans.

    Bytes after the end are fine: phones keep depth maps and films there. Raises `PictureRejected`: `corrupt`,
    `truncated`, `unsupported_type`, or `too_costly` for more than `MAX_SCANS` scans.
    """
    exif, xmp, icc, frame = b"", b"", {}, None
    spans: list[tuple[int, int]] = []
    warnings: set[WarningCode] = set()
    cursor = Cursor(data, 2)
    for marker, start, payload in _segments(cursor):
        if marker not in NOTES:
            spans.append((start, cursor.position))
        if marker in FRAMES:
            if frame is not None:
                raise PictureRejected("corrupt", "the picture has two frame headers")
            frame = _Frame(marker, payload)
        elif marker == APP1 and payload.startswith(EXIF_TAG):
            exif = exif or payload
        elif marker == APP1 and payload.startswith(XMP_TAG):
            xmp = xmp or payload.removeprefix(XMP_TAG)
        elif marker == APP2 and payload.startswith(ICC_TAG) and len(payload) > 14:
            icc[payload[12]] = payload
    if frame is None:
        raise PictureRejected("corrupt", "the first scan comes before the frame's header")
    profile = _join_icc(icc)
    if icc and not profile:
        warnings.add("icc_profile_broken")
    first_scan = cursor.position
    scans, components = _walk_scans(cursor)
    # libjpeg holds all coefficients of a picture that it gets in several scans (jdinput.c, has_multiple_scans).
    buffered = frame.marker in PROGRESSIVE or components < frame.channels
    return Header(
        frame.width,
        frame.height,
        channels=frame.channels,
        exif=exif,
        xmp=xmp,
        icc=profile,
        buffered=buffered,
        scans=scans,
        arithmetic=frame.marker in ARITHMETIC,
        spans=(*spans, (first_scan, cursor.position)),
        warnings=warnings,
    )


class _Frame:
    __slots__ = ("channels", "height", "marker", "width")

    def __init__(self, marker: int, payload: bytes) -> None:
        if len(payload) < 6:
            raise PictureRejected("corrupt", "the frame's header is too short")
        self.marker = marker
        self.height = int.from_bytes(payload[1:3], "big")
        self.width = int.from_bytes(payload[3:5], "big")
        self.channels = payload[5]
        if marker not in DECODABLE or payload[0] != 8 or self.channels not in (1, 3, 4):
            kind = f"process {marker & 15}, {payload[0]} bits, {self.channels} channels"
            raise PictureRejected("unsupported_type", f"no photo's JPEG: {kind}")


def _segments(cursor: Cursor) -> Iterator[tuple[int, int, bytes]]:
    """Every segment before the first scan: marker, where it starts, payload. The cursor ends before the scan."""
    while True:
        start = cursor.position
        if cursor.byte() != 0xFF:
            raise PictureRejected("corrupt", f"no marker at byte {start}")
        marker = cursor.byte()
        while marker == 0xFF:  # fill bytes
            marker = cursor.byte()
        if marker in STANDALONE:
            continue
        if marker == EOI:
            raise PictureRejected("corrupt", "the file ends before its first scan")
        if marker < FIRST_MARKER or marker == SOI:  # has no length: a codec would read on where we skip
            raise PictureRejected("corrupt", f"0xff{marker:02x} at byte {start} is no segment")
        if marker == SOS:
            cursor.position = start
            return
        length = int.from_bytes(cursor.take(2), "big")
        if length < 2:
            raise PictureRejected("corrupt", f"a segment has a length of {length}")
        yield marker, start, cursor.take(length - 2)


def _walk_scans(cursor: Cursor) -> tuple[int, int]:
    """Go from the first scan to behind the end-of-image marker: number of scans, and components in the first.

    It finds the markers that libjpeg finds: whatever stands between a segment and the next marker is skipped.
    """
    scans, components = 0, 0
    while (marker := _next_marker(cursor)) != EOI:
        payload = cursor.take(max(int.from_bytes(cursor.take(2), "big") - 2, 0))
        if marker != SOS:
            continue
        scans += 1
        components = components or (payload[0] if payload else 0)
        if scans > MAX_SCANS:
            raise PictureRejected("too_costly", f"the picture has more than {MAX_SCANS} scans")
    return scans, components


def _next_marker(cursor: Cursor) -> int:
    while True:
        found = MARKER.search(cursor.data, cursor.position)
        if found is None:
            raise PictureRejected("truncated", "the file has no end-of-image marker")
        cursor.skip(found.end() - cursor.position)
        marker = cursor.data[found.end() - 1]
        if marker >= FIRST_MARKER:
            return marker


def _join_icc(parts: dict[int, bytes]) -> bytes:
    """The profile from its numbered parts (ICC.1:2022 annex B.4), or nothing if one is missing."""
    count = next(iter(parts.values()))[13] if parts else 0
    if sorted(parts) != list(range(1, count + 1)):
        return b""
    return b"".join(parts[number][14:] for number in range(1, count + 1))
