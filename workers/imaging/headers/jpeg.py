"""JPEG's segments (ITU-T T.81 annex B), from the first to the picture's own end, and what of them a codec needs.

The walk finds the markers that libjpeg finds (jdmarker.c, `next_marker`): whatever stands before one is skipped. The
codec gets the pieces that were found here and nothing else, so it can find no scan that was not counted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from workers.imaging.errors import PictureRejected
from workers.imaging.headers.cursor import Cursor
from workers.imaging.headers.header import Header
from workers.imaging.warning_codes import WarningCode

Piece = bytes | memoryview
SOI, SOS, EOI, DNL, COM = 0xD8, 0xDA, 0xD9, 0xDC, 0xFE
APP0, APP1, APP2, APP14 = 0xE0, 0xE1, 0xE2, 0xEE
NOTES = frozenset({*range(0xE0, 0xF0), COM, DNL})  # libjpeg takes colours from two of them, and nothing from the rest
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
# Behind coded data 0xFF is data before 0x00, a fill byte before another 0xFF, and a restart marker before 0xD0-0xD7.
# What is below 0xC0 ends nothing. One search by the regex engine takes 35 ms for 100 MB of coded data. Neither pattern
# repeats anything: one that takes a run of fill bytes as a whole goes over the run once for each of its bytes.
MARKER_BEHIND_CODED_DATA = re.compile(rb"\xff[\xc0-\xcf\xd8-\xfe]")
MARKER_BETWEEN_SEGMENTS = re.compile(rb"\xff[^\x00\xff]")
FIRST_MARKER = 0xC0  # what is below, libjpeg skips or refuses
COEFFICIENTS = 64
NEVER_SENT = 99
SCAN_START = b"\xff\xda"
ALL_AT_ONCE = b"\x00\x3f\x00"  # of a sequential scan's header: all coefficients, all bits (T.81, table B.3)
JFIF_MARKER = b"\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"
ADOBE_MARKER = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00"  # the colour transform's code follows
NO_TRANSFORM, YCBCR, YCCK = 0, 1, 2


def read_jpeg(data: bytes) -> Header:
    """Walk the segments to the picture's own end-of-image marker, and count the scans.

    Bytes after the end are fine: phones keep depth maps and films there. Raises `PictureRejected`: `corrupt`,
    `truncated`, `unsupported_type`, or `too_costly` for more than `MAX_SCANS` scans.
    """
    walk = _Walk(data)
    walk.run()
    frame = walk.frame
    if frame is None or not walk.scans:
        raise PictureRejected("corrupt", "the file ends before its first scan")
    if not frame.complete:
        raise PictureRejected("truncated", "the file ends before the picture's last scan")
    icc = _join_icc(walk.icc)
    if walk.icc and not icc:
        walk.warnings.add("icc_profile_broken")
    return Header(
        frame.width,
        frame.height,
        channels=frame.channels,
        exif=walk.exif,
        xmp=walk.xmp,
        icc=icc,
        # libjpeg holds all coefficients of a picture that it gets in several scans (jdinput.c, has_multiple_scans).
        buffered=frame.marker in PROGRESSIVE or walk.components_first < frame.channels,
        scans=walk.scans,
        arithmetic=frame.marker in ARITHMETIC,
        pieces=(b"\xff\xd8", walk.colours, *walk.pieces, b"\xff\xd9"),
        warnings=walk.warnings,
    )


def coded_pieces(pieces: Sequence[Piece]) -> Iterator[int]:
    """Return the indices of those of a header's pieces that are coded data; each stands behind its scan's header."""
    return (index for index in range(1, len(pieces)) if pieces[index - 1][:2] == SCAN_START)


class _Frame:
    """The frame's header, and how far its scans have sent each coefficient of each component."""

    __slots__ = ("bits_left", "channels", "height", "marker", "width")

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
        self.bits_left = {component: [NEVER_SENT] * COEFFICIENTS for component in payload[6::3]}

    @property
    def components(self) -> tuple[int, ...]:
        """The components' ids, in order."""
        return tuple(self.bits_left)

    @property
    def complete(self) -> bool:
        """Whether the scans have sent all bits of all coefficients; libjpeg shows blur or grey without a word."""
        return not any(any(bits) for bits in self.bits_left.values())

    def scan(self, components: bytes, first: int, last: int, bits_left: int) -> None:
        """Note a scan of the coefficients from `first` to `last`, down to the bit `bits_left`."""
        for component in components:
            if component in self.bits_left:
                self.bits_left[component][first : last + 1] = [bits_left] * (last + 1 - first)


class _Walk:
    """A way through the file, and what was found."""

    def __init__(self, data: bytes) -> None:
        self.view = memoryview(data)
        self.cursor = Cursor(data, 2)
        self.pieces: list[Piece] = []
        self.warnings: set[WarningCode] = set()
        self.frame: _Frame | None = None
        self.scans = 0
        self.components_first = 0
        self.exif, self.xmp = b"", b""
        self.icc: dict[int, bytes] = {}
        self.colours = b""
        self._jfif = False
        self._transform: int | None = None

    def run(self) -> None:
        """Go to the end-of-image marker, or to the end of the file behind the last scan."""
        while (start := self._next_marker()) is not None:
            marker = self.cursor.data[self.cursor.position - 1]
            if marker == EOI:
                return
            if marker == SOI and self.frame is not None and self.frame.complete:
                break  # the next picture, which phones keep behind the first
            if marker in STANDALONE:
                continue
            if marker < FIRST_MARKER or marker == SOI:  # has no length: a codec would read on where we skip
                raise PictureRejected("corrupt", f"0xff{marker:02x} at byte {start} is no segment")
            try:
                self._segment(marker)
            except PictureRejected as cut:
                if cut.reason != "truncated" or self.frame is None or not self.frame.complete:
                    raise
                break  # behind the last scan; whether that is whole is for the codec to say
        if not self.scans:
            raise PictureRejected("truncated", "the file ends before its first scan")
        self.warnings.add("end_marker_missing")

    def _next_marker(self) -> int | None:
        """Where the next marker begins, the cursor behind it; None at the end of the file."""
        data, position = self.cursor.data, self.cursor.position
        found = MARKER_BETWEEN_SEGMENTS.search(data, position)
        if found is None:
            return None
        if data[position : found.start()].strip(b"\xff"):  # any number of 0xFF is fill (T.81, B.1.1.2)
            self.warnings.add("extraneous_bytes")
        self.cursor.skip(found.end() - position)
        return found.start()

    def _segment(self, marker: int) -> None:
        payload = self.cursor.take(max(int.from_bytes(self.cursor.take(2), "big") - 2, 0))
        piece = self.view[self.cursor.position - len(payload) - 4 : self.cursor.position]
        if marker in NOTES:
            self._note(marker, payload)
        elif marker == SOS:
            self._scan(piece, payload)
        else:
            self.pieces.append(piece)
            if marker in FRAMES:
                if self.frame is not None:
                    raise PictureRejected("corrupt", "the picture has two frame headers")
                self.frame = _Frame(marker, payload)

    def _note(self, marker: int, payload: bytes) -> None:
        if marker == APP1 and payload.startswith(EXIF_TAG):
            self.exif = self.exif or payload
        elif marker == APP1 and payload.startswith(XMP_TAG):
            self.xmp = self.xmp or payload.removeprefix(XMP_TAG)
        elif marker == APP2 and payload.startswith(ICC_TAG):
            number = payload[12] if len(payload) > 14 else 0
            self.icc[number] = payload
        elif marker == APP0 and payload.startswith(b"JFIF\x00") and len(payload) >= 14:
            self._jfif = True
            if payload[5] != 1:
                self.warnings.add("jfif_revision_unknown")
        elif marker == APP14 and payload.startswith(b"Adobe") and len(payload) >= 12:
            self._transform = payload[11]

    def _scan(self, head: memoryview, payload: bytes) -> None:
        """Take a scan's header and the coded data behind it."""
        if self.frame is None:
            raise PictureRejected("corrupt", "the first scan comes before the frame's header")
        count = payload[0] if payload else 0
        if count == 0 or len(payload) != 2 * count + 4:
            raise PictureRejected("corrupt", f"a scan's header has {len(payload)} bytes for {count} components")
        if self.scans == 0:
            self.components_first = count
            self.colours = self._colour_marker(self.frame)
        self.scans += 1
        if self.scans > MAX_SCANS:
            raise PictureRejected("too_costly", f"the picture has more than {MAX_SCANS} scans")
        components = payload[1 : 2 * count : 2]
        if self.frame.marker in PROGRESSIVE:
            self.pieces.append(head)
            self.frame.scan(components, payload[-3], min(payload[-2], COEFFICIENTS - 1), payload[-1] & 15)
        else:
            if payload[-3:] != ALL_AT_ONCE:
                self.warnings.add("scan_header_wrong")
            self.pieces.append(bytes(head[:-3]) + ALL_AT_ONCE)
            self.frame.scan(components, 0, COEFFICIENTS - 1, 0)
        start = self.cursor.position
        end = self._end_of_coded_data()
        self.pieces.append(self.view[start:end])
        self.cursor.skip(end - start)

    def _end_of_coded_data(self) -> int:
        """Where the next marker begins that is not a part of coded data, or the file's end."""
        found = MARKER_BEHIND_CODED_DATA.search(self.cursor.data, self.cursor.position)
        return found.start() if found else len(self.cursor.data)

    def _colour_marker(self, frame: _Frame) -> bytes:
        """Return a marker for the colours that libjpeg would assume (jdapimin.c, default_decompress_parms)."""
        if frame.channels == 1:
            return b""
        known = (NO_TRANSFORM, YCBCR) if frame.channels == 3 else (NO_TRANSFORM, YCCK)
        if self._transform not in (None, *known):
            self.warnings.add("adobe_transform_unknown")
        if frame.channels == 4:
            return ADOBE_MARKER + bytes([YCCK if self._transform else NO_TRANSFORM])
        named_rgb = self._transform is None and frame.components == tuple(b"RGB")
        if not self._jfif and (named_rgb or self._transform == NO_TRANSFORM):
            return ADOBE_MARKER + bytes([NO_TRANSFORM])
        return JFIF_MARKER


def _join_icc(parts: dict[int, bytes]) -> bytes:
    """Return the profile from its numbered parts (ICC.1:2022 annex B.4), or nothing if one is missing."""
    count = parts[1][13] if 1 in parts else 0
    if not count or sorted(parts) != list(range(1, count + 1)):
        return b""
    return b"".join(parts[number][14:] for number in range(1, count + 1))
