"""Decode a JPEG at the size that is wanted: its codec can leave out detail it would only throw away.

The codec gets the pieces that the header's reader found, and stops at its first warning. Many of its warnings are about
files whose every pixel is there: what each means is in `VERDICTS`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import simplejpeg
from PIL import Image

from workers.imaging.decode_jpeg_unusual import decode_unusual
from workers.imaging.errors import PictureRejected, Reason
from workers.imaging.headers import Header
from workers.imaging.headers.jpeg import EOI, Piece, coded_pieces

# A preview within 6 % of its nominal size needs no second resampling: 4032 and 8064 (phones) come to 2016.
CLOSE_ENOUGH = 15 / 16
EIGHTHS = range(1, 9)
QUICK_EIGHTHS = (1, 2, 4, 8)  # the inverse transforms that libjpeg-turbo has in SIMD

# What libjpeg-turbo 3.1's warnings (jerror.h, JWRN_*) mean. Those that are missing cannot come from a picture's pieces:
# JFIF_MAJOR, ADOBE_XFORM, BOGUS_ICC, NOT_SEQUENTIAL and JPEG_EOF; TOO_MUCH_DATA is about the caller.
VERDICTS: dict[str, Reason] = {
    "premature end of data segment": "truncated",  # HIT_MARKER: a scan or restart interval lacks data
    "found marker 0xd9 instead of RST": "truncated",  # MUST_RESYNC: the last restart intervals are missing
    "instead of RST": "corrupt",  # MUST_RESYNC: one in the middle is missing
    "extraneous bytes before marker": "corrupt",  # EXTRANEOUS_DATA, unless it is padding
    "bad Huffman code": "corrupt",  # HUFF_BAD_CODE
    "bad arithmetic code": "corrupt",  # ARITH_BAD_CODE
    "Inconsistent progression sequence": "corrupt",  # BOGUS_PROGRESSION: bits of coefficients were not sent
}
SURPLUS = re.compile(r"(\d+) extraneous bytes before marker 0x(..)")
# Cameras pad the last scan with a few bytes of anything, or with any number of equal ones.
MAX_SURPLUS = 99
# Where a picture ends its padding begins, of which the codec has so many bytes in its bit buffer, uncounted.
BIT_BUFFER_BYTES = 8
# simplejpeg only knows the six usual chroma layouts.
UNUSUAL_LAYOUT = "Could not determine subsampling"
FORMATS = {1: ("GRAY", "L", "L"), 3: ("RGBX", "RGB", "RGBX"), 4: ("CMYK", "CMYK", "CMYK;I")}


def decode_jpeg(header: Header, long_side: int) -> Image.Image:
    """Return the picture as L, RGB or CMYK, scaled by n/8 so that its long side is `long_side` or little more.

    Raises `PictureRejected`: `truncated` if data of the picture are missing, `corrupt` on any other damage that the
    codec notices.
    """
    eighths = choose_eighths(max(header.width, header.height), long_side)
    size = _scaled(header.width, eighths), _scaled(header.height, eighths)
    picture = b"".join(header.pieces)
    try:
        height, width, _, _ = simplejpeg.decode_jpeg_header(picture)
        header.check_size((width, height))
        return _turbo(picture, header, size)
    except KeyError:  # libjpeg-turbo knows a layout more (4:4:1) than simplejpeg has names for
        return decode_unusual(header, size)
    except ValueError as error:
        if UNUSUAL_LAYOUT in str(error):
            return decode_unusual(header, size)
        surplus = SURPLUS.search(str(error))
        if surplus is None:
            raise _fault(error) from error
        pieces = _without_padding(header.pieces, int(surplus[1]), int(surplus[2], 16))
        if pieces is None:
            raise _fault(error) from error
    header.warnings.add("extraneous_bytes")
    try:  # the first warning hides all others
        return _turbo(b"".join(pieces), header, size)
    except ValueError as error:
        raise _fault(error) from error


def choose_eighths(longest: int, long_side: int) -> int:
    """Return the n of the codec's n/8 for a picture of `longest` pixels along its long side.

    The smallest that lands within `CLOSE_ENOUGH` and `long_side`; failing that, the smallest quick one above.
    """
    for eighths in EIGHTHS:
        if long_side * CLOSE_ENOUGH <= _scaled(longest, eighths) <= long_side:
            return eighths
    return next((n for n in QUICK_EIGHTHS if _scaled(longest, n) >= long_side), 8)


def _scaled(side: int, eighths: int) -> int:
    return -(-side * eighths // 8)


def _turbo(picture: bytes, header: Header, size: tuple[int, int]) -> Image.Image:
    """Decode; raises ValueError with the codec's first warning."""
    colorspace, mode, raw = FORMATS[header.channels]
    pixels = simplejpeg.decode_jpeg(picture, colorspace, min_width=size[0], min_height=size[1])
    if pixels.shape[:2] != (size[1], size[0]):
        raise PictureRejected("corrupt", f"wanted {size}, decoded {pixels.shape[1::-1]}")
    # Adobe stores CMYK inverted, and nobody else writes any.
    return Image.frombuffer(mode, size, pixels, "raw", raw, 0, 1)


def _without_padding(pieces: Sequence[Piece], surplus: int, marker: int) -> list[Piece] | None:
    """`pieces` without the `surplus` bytes that the codec had left before `marker`; None if they are no padding.

    Raises `PictureRejected` (`truncated`) where the codec took most of a run of equal bytes for coded data: that is how
    half a download looks that was stored in a file of full length.
    """
    cut = list(pieces)
    for index in coded_pieces(pieces):
        coded, following = bytes(pieces[index]), pieces[index + 1][1]
        run = len(coded) - len(coded.rstrip(coded[-1:]))
        last = marker == EOI == following
        if last and run > surplus + BIT_BUFFER_BYTES:
            raise PictureRejected("truncated", f"the last {run} bytes of the picture are all the same")
        if following == marker and (run >= surplus or (last and surplus <= MAX_SURPLUS)):
            cut[index] = coded[: len(coded) - surplus]
    return None if cut == list(pieces) else cut


def _fault(error: ValueError) -> PictureRejected:
    text = str(error)
    if "Insufficient memory" in text:
        raise MemoryError(text) from error
    reasons: list[Reason] = [reason for words, reason in VERDICTS.items() if words in text]
    return PictureRejected(reasons[0] if reasons else "corrupt", text)
