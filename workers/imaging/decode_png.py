"""Decode a PNG, with the one transparent colour that it may have instead of an alpha channel."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from functools import reduce

import numpy as np
from PIL import Image, ImageChops
from PIL.PngImagePlugin import PngImageFile

from workers.imaging.errors import PictureRejected
from workers.imaging.headers import Header
from workers.imaging.headers.png import checksum_is_right

GREY, RGB = 0, 2  # colour types that may have a colour in tRNS (PNG specification, third edition, 11.3.1.1)
LOW_BYTES = "RGB;16L"  # Pillow keeps the first byte of a sample, or in this order the second


def decode_png(header: Header) -> Image.Image:
    """The picture, its checksums compared: Pillow does not compare those of IDAT.

    Raises `PictureRejected` (`corrupt`), and what Pillow raises on bad bytes.
    """
    for chunk in header.pieces[1:-1]:
        if not checksum_is_right(chunk):
            kind = bytes(chunk[4:8]).decode("ascii", "replace")
            raise PictureRejected("corrupt", f"the checksum of a chunk {kind} is wrong")
    data = b"".join(header.pieces)
    image = _open(data, header)
    image.load()
    ihdr = header.pieces[1]
    depth, colour_type = ihdr[16], ihdr[17]
    if colour_type not in (GREY, RGB) or "transparency" not in image.info:
        return image
    # Pillow gives the samples as they stand in tRNS; of smaller ones the low bits count.
    found = image.info["transparency"]
    colour = [sample & (1 << depth) - 1 for sample in ([found] if colour_type == GREY else found)]
    if depth < 16:
        scale = 255 // ((1 << depth) - 1)  # Pillow spreads small samples over eight bits
        planes = [image.convert("L")] if colour_type == GREY else _channels(image)
        return _with_alpha(image, _differs(planes, [sample * scale for sample in colour]))
    high, low = [sample >> 8 for sample in colour], [sample & 255 for sample in colour]
    if colour_type == GREY:
        samples = np.asarray(image)
        alpha = Image.fromarray(np.where(samples == colour[0], 0, 255).astype(np.uint8))
        return _with_alpha(Image.fromarray((samples >> 8).astype(np.uint8)), alpha)
    other = _open(data, header)
    other.tile = [tile._replace(args=LOW_BYTES) for tile in other.tile]
    other.load()
    alpha = ImageChops.lighter(_differs(_channels(image), high), _differs(_channels(other), low))
    return _with_alpha(image, alpha)


def _open(data: bytes, header: Header) -> PngImageFile:
    image = PngImageFile(io.BytesIO(data))
    header.check_size(image.size)
    return image


def _channels(image: Image.Image) -> Iterable[Image.Image]:
    """One at a time: large pictures fill memory."""
    return (image.getchannel(band) for band in image.getbands())


def _differs(planes: Iterable[Image.Image], values: Sequence[int]) -> Image.Image:
    """255 where a plane has another value than its own in `values`, else 0."""
    masks = (
        plane.point([255 * (level != value) for level in range(256)])
        for plane, value in zip(planes, values, strict=True)
    )
    return reduce(ImageChops.lighter, masks)


def _with_alpha(image: Image.Image, alpha: Image.Image) -> Image.Image:
    opaque = image if image.mode == "RGB" else image.convert("L")
    opaque.info.pop("transparency", None)
    opaque.putalpha(alpha)
    return opaque
