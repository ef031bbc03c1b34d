"""A picture in about 25 bytes, to show while the real one loads: ThumbHash (evanw/thumbhash, format of 2023)."""

from __future__ import annotations

import base64
from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image

from workers.imaging.resize import fit

MAX_SIDE = 100  # ThumbHash's own limit
LUMINANCE_TERMS = 7
Floats = np.ndarray[Any, np.dtype[np.float64]]


def placeholder(image: Image.Image) -> str:
    """Return the ThumbHash of an opaque `image` of any size, as base64."""
    size = fit(*image.size, MAX_SIDE)
    small = image.convert("RGB").resize(size, Image.Resampling.BOX)
    return base64.b64encode(thumb_hash(np.asarray(small))).decode("ascii")


def thumb_hash(pixels: np.ndarray[Any, np.dtype[np.uint8]]) -> bytes:
    """Return the hash of `pixels` (height, width, 3), at most 100 along each side."""
    height, width = pixels.shape[:2]
    red, green, blue = np.moveaxis(pixels / 255.0, -1, 0)
    wide = width > height
    nx = max(1, round(LUMINANCE_TERMS * width / max(width, height)))
    ny = max(1, round(LUMINANCE_TERMS * height / max(width, height)))
    light, light_terms, light_scale = _encode((red + green + blue) / 3, max(3, nx), max(3, ny))
    yellow, yellow_terms, yellow_scale = _encode((red + green) / 2 - blue, 3, 3)
    redness, red_terms, red_scale = _encode(red - green, 3, 3)
    head = round(63 * light) | round(31.5 + 31.5 * yellow) << 6 | round(31.5 + 31.5 * redness) << 12
    head |= round(31 * light_scale) << 18
    tail = (ny if wide else nx) | round(63 * yellow_scale) << 3 | round(63 * red_scale) << 9 | wide << 15
    nibbles = [round(15 * term) for term in (*light_terms, *yellow_terms, *red_terms)]
    nibbles += [0] * (len(nibbles) % 2)
    packed = bytes(low | high << 4 for low, high in zip(nibbles[::2], nibbles[1::2], strict=True))
    return int(head).to_bytes(3, "little") + int(tail).to_bytes(2, "little") + packed


def _encode(channel: Floats, nx: int, ny: int) -> tuple[float, list[float], float]:
    """Return the mean, the other cosine terms scaled to 0-1, and their scale."""
    height, width = channel.shape
    terms = _cosines(ny, height) @ channel @ _cosines(nx, width).T / channel.size
    kept = [float(terms[y, x]) for y in range(ny) for x in range(nx) if x * ny < nx * (ny - y)]
    scale = max(map(abs, kept[1:]))
    scaled = [0.5 + 0.5 / scale * term for term in kept[1:]] if scale else kept[1:]
    return kept[0], scaled, scale


@lru_cache(maxsize=512)
def _cosines(terms: int, length: int) -> Floats:
    return np.cos(np.pi / length * np.outer(np.arange(terms), np.arange(length) + 0.5))
