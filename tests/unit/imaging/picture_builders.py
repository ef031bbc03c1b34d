"""Pictures that one test needs, built in memory."""

import io
import struct
import zlib
from typing import Any

import numpy as np
import pillow_heif
from PIL import Image

from shoebox.samples import corners, exif_block, scene, stored_sideways

TYPES = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp", "GIF": "image/gif", "HEIC": "image/heic"}


def save(image: Image.Image, form: str, **options: Any) -> bytes:
    """`image` in the format `form`."""
    buffer = io.BytesIO()
    if form == "HEIC":
        heif = pillow_heif.from_pillow(image)
        heif.info.update(options)
        heif.save(buffer, quality=80)
    else:
        image.save(buffer, form, **options)
    return buffer.getvalue()


def turned(form: str, orientation: int) -> bytes:
    """The scene, stored turned, with the orientation noted in the format's own way."""
    stored = stored_sideways(scene(320, 240), orientation)
    options: dict[str, Any] = {"lossless": True} if form == "WEBP" else {}
    return save(stored, form, exif=exif_block(orientation=orientation), **options)


def opened(jpeg: bytes) -> Image.Image:
    """A rendition, decoded by Pillow: not by what made it."""
    image = Image.open(io.BytesIO(jpeg), formats=["JPEG"])
    image.load()
    return image


def seen_corners(image: Image.Image) -> dict[str, str]:
    """For each corner of an upright scene, whose disc is really there."""
    pixels = np.asarray(image.convert("RGB")).astype(int)
    height, width = pixels.shape[:2]
    seen = {}
    for place in corners():
        x = round(width * (0.88 if "right" in place else 0.12))
        y = round(height * (0.85 if "bottom" in place else 0.15))
        distances = {name: np.abs(pixels[y, x] - colour).max() for name, colour in corners().items()}
        seen[place] = min(distances, key=lambda name: distances[name])
    return seen


def chunk(kind: bytes, payload: bytes) -> bytes:
    """A PNG chunk with a right checksum."""
    return struct.pack(">I", len(payload)) + kind + payload + struct.pack(">I", zlib.crc32(kind + payload))


def png_claiming(width: int, height: int) -> bytes:
    """A PNG of a hundred bytes whose header claims a size."""
    ihdr = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", ihdr) + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def gif_of(frames: int, width: int, height: int) -> bytes:
    """A GIF of `frames` empty frames, each 15 bytes, on a screen of the given size."""
    frame = b"\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x01\x44\x00\x00"
    return b"GIF89a" + struct.pack("<HHBBB", width, height, 0, 0, 0) + frame * frames + b"\x3b"


def flat(colour: tuple[int, ...], mode: str = "RGB", size: tuple[int, int] = (64, 64)) -> Image.Image:
    """One colour."""
    return Image.new(mode, size, colour)


def middle(jpeg: bytes) -> tuple[int, int, int]:
    """The RGB colour in the middle of a rendition."""
    image = opened(jpeg).convert("RGB")
    red, green, blue = np.asarray(image)[image.height // 2, image.width // 2].tolist()
    return red, green, blue
