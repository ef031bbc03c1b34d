import base64
import time

import numpy as np
import pytest
import thumbhash
from PIL import Image

from shoebox_client.samples import scene
from workers.imaging.placeholder import placeholder, thumb_hash


def reference(pixels: np.ndarray) -> bytes:
    """Return the hash that the published encoder makes of opaque pixels."""
    height, width = pixels.shape[:2]
    opaque = np.dstack([pixels, np.full((height, width), 255, np.uint8)])
    return bytes(thumbhash.rgba_to_thumb_hash(width, height, opaque.ravel().tolist()))


def nibbles(hashed: bytes) -> list[int]:
    """Return the hash's cosine terms."""
    return [half for byte in hashed[5:] for half in (byte & 15, byte >> 4)]


@pytest.mark.parametrize("size", [(100, 75), (75, 100), (64, 64), (100, 20), (7, 90), (3, 2)])
@pytest.mark.parametrize("seed", [None, 1, 2])
def test_it_is_what_the_published_encoder_makes(size: tuple[int, int], seed: int | None) -> None:
    """Scene or noise, wide or tall: the same header, and terms off by no more than their rounding."""
    width, height = size
    noise = np.random.default_rng(seed or 0).integers(0, 256, (height, width, 3)).astype(np.uint8)
    pixels = np.asarray(scene(width, height)) if seed is None else noise
    ours, theirs = thumb_hash(pixels), reference(pixels)
    assert ours[:5] == theirs[:5]
    assert len(ours) == len(theirs)
    assert np.abs(np.subtract(nibbles(ours), nibbles(theirs))).max() <= 1
    assert np.count_nonzero(np.subtract(nibbles(ours), nibbles(theirs))) <= 1


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_any_size_and_mode_becomes_base64(mode: str) -> None:
    """A caller need not make the picture small first."""
    hashed = base64.b64decode(placeholder(scene(640, 480).convert(mode)), validate=True)
    assert thumbhash.thumb_hash_to_approximate_aspect_ratio(hashed) == pytest.approx(4 / 3, abs=0.1)


def test_it_remembers_the_average_colour() -> None:
    """What a page shows before the picture has the picture's colour."""
    hashed = base64.b64decode(placeholder(Image.new("RGB", (320, 240), (200, 100, 50))))
    *colour, alpha = thumbhash.thumb_hash_to_average_rgba(hashed)
    assert np.multiply(colour, 255) == pytest.approx((200, 100, 50), abs=6)
    assert alpha == 1


def test_it_takes_less_than_a_millisecond() -> None:
    """From the smallest rendition, at best of twenty: the machine may be busy."""
    image = scene(320, 240)
    best = 1.0
    for _ in range(20):
        started = time.thread_time()
        placeholder(image)
        best = min(best, time.thread_time() - started)
    assert best < 0.001
