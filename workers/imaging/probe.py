"""Learn what a picture is from its header, and refuse it there if it is too much."""

from __future__ import annotations

from workers.imaging.headers import Header
from workers.imaging.headers.avif import read_avif
from workers.imaging.headers.gif import read_gif
from workers.imaging.headers.heic import read_heic
from workers.imaging.headers.jpeg import read_jpeg
from workers.imaging.headers.png import read_png
from workers.imaging.headers.webp import read_webp
from workers.imaging.limits import ImageLimits


def probe(data: bytes, media_type: str, limits: ImageLimits) -> Header:
    """Return the header of `data`, within `limits`, without decoding a pixel.

    Raises `PictureRejected`: `truncated`, `corrupt`, `unsupported_type`, `too_many_pixels` or `too_costly`.
    """
    limits = limits.for_type(media_type)
    header = _read(data, media_type, limits)
    limits.check_pixels(header.width, header.height, header.frames)
    return header


def _read(data: bytes, media_type: str, limits: ImageLimits) -> Header:
    match media_type:
        case "image/jpeg":
            return read_jpeg(data)
        case "image/png":
            return read_png(data)
        case "image/webp":
            return read_webp(data, limits)
        case "image/gif":
            return read_gif(data, limits)
        case "image/heic":
            return read_heic(data, limits)
        case "image/avif":
            return read_avif(data, limits)
    message = f"no reader for {media_type}"
    raise ValueError(message)
