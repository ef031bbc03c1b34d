"""HEIC's header, read by libheif, which decodes nothing until the pixels are asked for."""

from __future__ import annotations

from typing import Any

import pillow_heif

from workers.imaging.errors import PictureRejected
from workers.imaging.headers.boxes import check_boxes, read_items
from workers.imaging.headers.header import Header
from workers.imaging.limits import ImageLimits
from workers.imaging.nclx import profile_of, warnings_of

# One photo is one thread: whoever runs several photos at once decides how many cores they take.
pillow_heif.options.DECODE_THREADS = 1
# libheif's own limits on boxes, items and memory stay; 1.19 and later know how many items new iPhones write.
pillow_heif.options.DISABLE_SECURITY_LIMITS = False
# Nothing but the picture itself is read.
pillow_heif.options.THUMBNAILS = False
pillow_heif.options.DEPTH_IMAGES = False
pillow_heif.options.AUX_IMAGES = False

HEIF_ERRORS = (ValueError, SyntaxError, EOFError, RuntimeError, OSError, IndexError)


def read_heic(data: bytes, limits: ImageLimits) -> Header:
    """Check that no box is cut and what is inside, then ask libheif. Width and height are those after its rotation."""
    check_boxes(data)
    items = read_items(data)
    items.check("HEIC", "hvc1", limits)
    image = primary_image(data)
    width, height = image.size
    info: dict[str, Any] = image.info
    icc = info.get("icc_profile") or b""
    return Header(
        width,
        height,
        channels=4 if image.has_alpha else 3,
        exif=info.get("exif") or b"",
        xmp=info.get("xmp") or b"",
        icc=icc or profile_of(*items.colour),
        warnings=set() if icc else warnings_of(*items.colour),
    )


def primary_image(data: bytes) -> pillow_heif.HeifImage:
    """Return the picture a viewer would show, not yet decoded."""
    try:
        heif = pillow_heif.open_heif(data, convert_hdr_to_8bit=True)
        return heif[heif.primary_index]
    except HEIF_ERRORS as error:
        raise heif_fault(error) from error


def heif_fault(error: BaseException) -> PictureRejected:
    """Return what libheif's words mean for the picture."""
    text = str(error) or "no picture inside"
    # Its limit on pixels is above ours, and that on the size a part may have is what the file itself announces.
    if "Image size" in text or "image size" in text:
        return PictureRejected("corrupt", text)
    if "Security limit" in text:
        return PictureRejected("too_costly", text)
    if "Memory allocation error" in text:
        raise MemoryError(text) from error
    if isinstance(error, EOFError) or "end of file" in text.lower() or "outside of file" in text.lower():
        return PictureRejected("truncated", text)
    if isinstance(error, SyntaxError):
        return PictureRejected("unsupported_type", text)
    return PictureRejected("corrupt", text)
