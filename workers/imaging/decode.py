"""Turn bytes into pixels, once, by the one decoder that the media type allows.

The decoders are called by name; Pillow's registry, with its forty formats, is never asked.
"""

from __future__ import annotations

import io
import struct
import zlib

from PIL import Image, ImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from workers.imaging.decode_jpeg import decode_jpeg
from workers.imaging.errors import PictureRejected, Reason
from workers.imaging.headers import Header
from workers.imaging.headers.avif import decode_avif
from workers.imaging.headers.heic import HEIF_ERRORS, heif_fault, primary_image

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# What Pillow's decoders raise on bad bytes; MemoryError is missing on purpose, as it may pass.
PILLOW_ERRORS = (
    ValueError, OSError, SyntaxError, EOFError, LookupError, TypeError, OverflowError, RuntimeError,
    struct.error, zlib.error, Image.DecompressionBombError,
)  # fmt: skip


def decode(data: bytes, media_type: str, header: Header, long_side: int) -> Image.Image:
    """The first frame's pixels, in whatever mode the file has, not yet turned upright.

    A JPEG comes as small as its codec can make it without falling below a preview of `long_side` pixels; other
    codecs only know full size. Raises `PictureRejected` (`truncated`, `corrupt`, `unsupported_type`).
    """
    match media_type:
        case "image/jpeg":
            return decode_jpeg(data, header, long_side)
        case "image/heic":
            image = _decode_heic(data, header)
        case "image/avif":
            image = decode_avif(data, header)
        case "image/png":
            image = _decode_pillow(PngImageFile, _only_pixels(data, header), header)
        case "image/webp":
            image = _decode_pillow(WebPImageFile, data, header)
        case "image/gif":
            image = _decode_pillow(GifImageFile, data, header)
        case _:
            message = f"no decoder for {media_type}"
            raise ValueError(message)
    header.check_size(image.size)
    return image


def _decode_pillow(opener: type[ImageFile.ImageFile], data: bytes, header: Header) -> Image.Image:
    try:
        image = opener(io.BytesIO(data))
        header.check_size(image.size)
        image.load()
    except PILLOW_ERRORS as error:
        reason: Reason = "truncated" if "truncated" in str(error) else "corrupt"
        raise PictureRejected(reason, str(error) or type(error).__name__) from error
    return image


def _only_pixels(data: bytes, header: Header) -> bytes:
    """The PNG without anything but pixels, its checksums compared: Pillow does not compare those of IDAT."""
    view = memoryview(data)
    for start, end in header.spans:
        if zlib.crc32(view[start + 4 : end - 4]) != int.from_bytes(view[end - 4 : end], "big"):
            kind = data[start + 4 : start + 8].decode("ascii", "replace")
            raise PictureRejected("corrupt", f"the checksum of {kind} at byte {start} is wrong")
    return b"".join([PNG_SIGNATURE, *(view[start:end] for start, end in header.spans)])


def _decode_heic(data: bytes, header: Header) -> Image.Image:
    image = primary_image(data)
    header.check_size(image.size)
    try:
        image.load()
        return Image.frombuffer(image.mode, image.size, image.data, "raw", image.mode, image.stride, 1)
    except HEIF_ERRORS as error:
        raise heif_fault(error) from error
