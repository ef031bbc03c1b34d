"""Decode a JPEG at the size that is wanted: its codec can leave out detail it would only throw away."""

from __future__ import annotations

import io
import re
from typing import Any

import simplejpeg
from PIL import Image, JpegImagePlugin

from workers.imaging.errors import PictureRejected
from workers.imaging.headers import Header

# A preview within 6 % of its nominal size needs no second resampling: 4032 and 8064 (phones) come to 2016.
CLOSE_ENOUGH = 15 / 16
START = b"\xff\xd8"
EIGHTHS = range(1, 9)
QUICK_EIGHTHS = (1, 2, 4, 8)  # the inverse transforms that libjpeg-turbo has in SIMD

# libjpeg's warnings about files that are complete and look right. Cameras pad the last scan with a few bytes.
HARMLESS = re.compile(
    r"(Corrupt JPEG data: \d{1,2} extraneous bytes before marker 0xd9"
    r"|Invalid SOS parameters for sequential JPEG"
    r"|Unknown Adobe color transform code"
    r"|Warning: unknown JFIF revision number)"
)
# simplejpeg only knows the six usual chroma layouts.
UNUSUAL_LAYOUT = "Could not determine subsampling"
FORMATS = {1: ("GRAY", "L", "L"), 3: ("RGBX", "RGB", "RGBX"), 4: ("CMYK", "CMYK", "CMYK;I")}


def decode_jpeg(data: bytes, header: Header, long_side: int) -> Image.Image:
    """The picture as L, RGB or CMYK, scaled by n/8 so that its long side is `long_side` or little more.

    Raises `PictureRejected`: `truncated` if any byte of the picture is missing, `corrupt` on any other damage
    that the codec notices.
    """
    eighths = choose_eighths(max(header.width, header.height), long_side)
    size = _scaled(header.width, eighths), _scaled(header.height, eighths)
    colorspace, mode, raw = FORMATS[header.channels]
    picture = _picture_only(data, header)
    try:
        height, width, _, _ = simplejpeg.decode_jpeg_header(picture, strict=False)
        header.check_size((width, height))
        pixels = _turbo(picture, colorspace, size)
    except ValueError as error:
        if UNUSUAL_LAYOUT in str(error):
            return _decode_unusual(picture, header, size)
        raise _fault(error) from error
    except KeyError as error:  # how simplejpeg says that a damaged header has no layout that it knows
        raise PictureRejected("corrupt", "the codec finds no chroma layout") from error
    if pixels.shape[:2] != (size[1], size[0]):
        raise PictureRejected("corrupt", f"wanted {size}, decoded {pixels.shape[1::-1]}")
    # Adobe stores CMYK inverted, and nobody else writes any.
    return Image.frombuffer(mode, size, pixels, "raw", raw, 0, 1)


def choose_eighths(longest: int, long_side: int) -> int:
    """The n of the codec's n/8 for a picture of `longest` pixels along its long side.

    The smallest that lands within `CLOSE_ENOUGH` and `long_side`; failing that, the smallest quick one above.
    """
    for eighths in EIGHTHS:
        if long_side * CLOSE_ENOUGH <= _scaled(longest, eighths) <= long_side:
            return eighths
    return next((n for n in QUICK_EIGHTHS if _scaled(longest, n) >= long_side), 8)


def _scaled(side: int, eighths: int) -> int:
    return -(-side * eighths // 8)


def _picture_only(data: bytes, header: Header) -> bytes:
    """The segments that the pixels depend on: a codec that reads EXIF or a profile warns where they are malformed."""
    view = memoryview(data)
    return b"".join([START, *(view[start:end] for start, end in header.spans)])


def _turbo(data: bytes, colorspace: str, size: tuple[int, int]) -> Any:
    try:
        return simplejpeg.decode_jpeg(data, colorspace, min_width=size[0], min_height=size[1])
    except ValueError as error:
        if not HARMLESS.match(str(error)):
            raise
    return simplejpeg.decode_jpeg(data, colorspace, min_width=size[0], min_height=size[1], strict=False)


def _decode_unusual(picture: bytes, header: Header, size: tuple[int, int]) -> Image.Image:
    """By Pillow, which is slower."""
    try:
        image = JpegImagePlugin.JpegImageFile(io.BytesIO(picture))
        header.check_size(image.size)
        image.draft(image.mode, size)
        image.load()
    except (ValueError, OSError, SyntaxError) as error:
        raise PictureRejected("corrupt", str(error)) from error
    return image


def _fault(error: ValueError) -> PictureRejected:
    text = str(error)
    if "Insufficient memory" in text:
        raise MemoryError(text) from error
    return PictureRejected("truncated" if "Premature end" in text else "corrupt", text)
