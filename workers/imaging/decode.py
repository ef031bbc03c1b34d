"""Turn bytes into pixels, once, by the one decoder that the media type allows.

The decoders are called by name; Pillow's registry, with its forty formats, is never asked.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import replace

from PIL import Image
from PIL.GifImagePlugin import GifImageFile
from PIL.WebPImagePlugin import WebPImageFile

from workers.imaging.decode_jpeg import decode_jpeg
from workers.imaging.decode_png import decode_png
from workers.imaging.errors import PictureRejected, Reason
from workers.imaging.headers import Header
from workers.imaging.headers.avif import decode_avif
from workers.imaging.headers.heic import HEIF_ERRORS, heif_fault, primary_image

# What Pillow's decoders raise on bad bytes; MemoryError is missing on purpose, as it may pass.
PILLOW_ERRORS = (
    ValueError, OSError, SyntaxError, EOFError, LookupError, TypeError, OverflowError, RuntimeError,
    struct.error, zlib.error, Image.DecompressionBombError,
)  # fmt: skip


def decode(data: bytes, media_type: str, header: Header, long_side: int) -> Image.Image:
    """Return the first frame's pixels, in whatever mode the file has, not yet turned upright.

    A JPEG comes as small as its codec can make it without falling below a preview of `long_side` pixels; other
    codecs only know full size. Raises `PictureRejected` (`truncated`, `corrupt`, `unsupported_type`).
    """
    if media_type == "image/jpeg":
        return decode_jpeg(header, long_side)
    if media_type == "image/heic":
        image = _decode_heic(data, header)
    elif media_type == "image/avif":
        image = decode_avif(data, header)
    else:
        decoder = DECODERS.get(media_type)
        if decoder is None:
            message = f"no decoder for {media_type}"
            raise ValueError(message)
        try:
            image = decoder(header)
        except PILLOW_ERRORS as error:
            reason: Reason = "truncated" if "truncated" in str(error) else "corrupt"
            raise PictureRejected(reason, str(error) or type(error).__name__) from error
    header.check_size(image.size)
    return image


def _decode_webp(header: Header) -> Image.Image:
    image = WebPImageFile(io.BytesIO(b"".join(header.pieces)))
    header.check_size(image.size)
    image.load()
    return image


def _decode_gif(header: Header) -> Image.Image:
    """Return the first frame where it stands; around it nothing is drawn, so the picture is transparent there."""
    frame = GifImageFile(io.BytesIO(b"".join(header.pieces)))
    assert header.first_frame is not None
    left, top, width, height = header.first_frame
    header.check_size((max(header.width, left + frame.width), max(header.height, top + frame.height)))
    replace(header, width=width, height=height).check_size(frame.size)
    frame.load()
    if header.first_frame == (0, 0, header.width, header.height):
        return frame
    image = Image.new("RGBA", (header.width, header.height))
    image.paste(frame.convert("RGBA"), (left, top))
    return image


def _decode_heic(data: bytes, header: Header) -> Image.Image:
    image = primary_image(data)
    header.check_size(image.size)
    try:
        image.load()
        return Image.frombuffer(image.mode, image.size, image.data, "raw", image.mode, image.stride, 1)
    except HEIF_ERRORS as error:
        raise heif_fault(error) from error


DECODERS: Mapping[str, Callable[[Header], Image.Image]] = {
    "image/png": decode_png,
    "image/webp": _decode_webp,
    "image/gif": _decode_gif,
}
