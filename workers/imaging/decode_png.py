"""Decode a PNG, with the one transparent colour that it may have instead of an alpha channel."""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterable, Sequence
from functools import reduce

import numpy as np
from PIL import Image, ImageChops
from PIL.PngImagePlugin import PngImageFile

from workers.imaging.errors import PictureRejected
from workers.imaging.headers import Header
from workers.imaging.headers.png import checksum_is_right

GREY, RGB = 0, 2  # colour types that may have a colour in tRNS (PNG specification, third edition, 11.3.1.1)
DEPTH, COLOUR_TYPE, INTERLACED = 16, 17, 20  # where IHDR, the whole chunk, has them
# Adam7's passes (PNG specification, third edition, 8.1): first column and row, steps.
PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
STEP = 1024 * 1024
LOW_BYTES = "RGB;16L"  # Pillow keeps the first byte of a sample, or in this order the second


def decode_png(header: Header) -> Image.Image:
    """Return the picture, its checksums compared: Pillow does not compare those of IDAT.

    Raises `PictureRejected` (`corrupt`), and what Pillow raises on bad bytes.
    """
    for chunk in header.pieces[1:-1]:
        if not checksum_is_right(chunk):
            kind = bytes(chunk[4:8]).decode("ascii", "replace")
            raise PictureRejected("corrupt", f"the checksum of a chunk {kind} is wrong")
    data = b"".join(header.pieces)
    image = _open(data, header)
    image.load()
    ihdr = bytes(header.pieces[1])
    # Pillow leaves rows black when their data are missing, without a word.
    last_row = image.crop((0, image.height - 1, *image.size))
    if ihdr[INTERLACED] or not any(last_row.tobytes()):
        _check_length(header, ihdr)
    depth, colour_type = ihdr[DEPTH], ihdr[COLOUR_TYPE]
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


def _check_length(header: Header, ihdr: bytes) -> None:
    """Raise `PictureRejected` (`truncated`) unless IDAT has a byte for each one that the pixels take."""
    bits = ihdr[DEPTH] * header.channels
    missing = 0
    for left, top, across, down in PASSES if ihdr[INTERLACED] else ((0, 0, 1, 1),):
        width, height = -(-(header.width - left) // across), -(-(header.height - top) // down)
        missing += (1 + -(-width * bits // 8)) * height if width > 0 else 0
    inflate = zlib.decompressobj()
    for chunk in header.pieces:
        rest = bytes(chunk[8:-4]) if chunk[4:8] == b"IDAT" else b""
        while rest and missing > 0 and not inflate.eof:
            missing -= len(inflate.decompress(rest, STEP))
            rest = inflate.unconsumed_tail
    if missing > 0:
        raise PictureRejected("truncated", f"the picture's last {missing} bytes are missing")


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
