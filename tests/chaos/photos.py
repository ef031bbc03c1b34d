"""Photos that can be told apart: each shows a code of its own, which survives scaling and JPEG."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import numpy as np
from PIL import Image

_COLUMNS, _ROWS = 8, 6
_CELL = 80  # pixels at 640 x 480
_GRAIN = 12


@dataclass(eq=False)
class Photo:
    """A photo of an owner, and what is known of it.

    `stored`: its PUT was answered 200. `kept`: False once its owner has deleted it. It must have become READY
    `ready_count` times, with an event each; `extra_allowed` more are no fault where a crash lies between. `notes` are
    the faults that its client met.
    """

    number: int
    code: int
    path: Path
    tenant: str
    user: str
    file_id: str
    sha256: str
    stored: bool = False
    kept: bool = True
    ready_count: int = 1
    extra_allowed: int = 0
    notes: list[str] = field(default_factory=list)


def draw(code: int, noise: np.random.Generator) -> bytes:
    """Return a JPEG of 640 x 480 pixels and some 50 KB; `code` has 48 bits, a dark or a bright field for each."""
    cells = np.array([200 if code >> bit & 1 else 60 for bit in range(_COLUMNS * _ROWS)]).reshape(_ROWS, _COLUMNS)
    fields = cells.repeat(_CELL, axis=0).repeat(_CELL, axis=1)[..., None]
    grain = noise.integers(-_GRAIN, _GRAIN + 1, (_ROWS * _CELL, _COLUMNS * _CELL, 3))
    return jpeg(Image.fromarray((fields + grain).astype(np.uint8)), quality=75)


def shown_code(data: bytes) -> int:
    """Return the code that a picture shows.

    Raises:
        OSError: it is no picture, or not a whole one.
    """
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        pixels = np.asarray(image.convert("L").resize((_COLUMNS * 8, _ROWS * 8), Image.Resampling.BOX))
    cells = pixels.reshape(_ROWS, 8, _COLUMNS, 8)[:, 2:6, :, 2:6].mean(axis=(1, 3)).ravel()
    return sum(1 << bit for bit, value in enumerate(cells) if value > 130)


def scan_bomb(side: int) -> bytes:
    """Return a grey progressive JPEG with 883 scans (ITU-T T.81, G.1): 14 for each of 63 coefficients, 1 for the mean.

    Every scan is correct, makes a decoder go through the whole picture, and takes a few bytes: all its blocks are one
    run after another of ends-of-block. A comment behind the first scan holds FF D9, which ends no picture.
    """
    blocks = (side // 8) ** 2
    size = side.to_bytes(2, "big")
    means = _scan(0, 0, 0, "0" * blocks)
    runs = "0" + "1" * 14  # the only code, EOB14, and 14 bits: 32,767 blocks without a coefficient
    passes = [
        _scan(coefficient, high, low, runs * -(-blocks // 32_767))
        for coefficient in range(1, 64)
        for high, low in [(0, 13), *((bit, bit - 1) for bit in range(13, 0, -1))]
    ]
    return b"".join(
        [
            b"\xff\xd8",
            _segment(0xDB, b"\0" + b"\1" * 64),
            _segment(0xC2, b"\x08" + size + size + b"\1\1\x11\0"),
            *(
                _segment(0xC4, table + b"\1" + bytes(15) + symbol)
                for table, symbol in ((b"\0", b"\0"), (b"\x10", b"\xe0"))
            ),
            means,
            _segment(0xFE, b"\xff\xd9"),
            *passes,
            b"\xff\xd9",
        ]
    )


def _scan(coefficient: int, high: int, low: int, bits: str) -> bytes:
    bits += "1" * (-len(bits) % 8)
    data = int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\0")
    return _segment(0xDA, bytes([1, 1, 0, coefficient, coefficient, high << 4 | low])) + data


def _segment(marker: int, payload: bytes) -> bytes:
    return bytes([0xFF, marker]) + (len(payload) + 2).to_bytes(2, "big") + payload


def jpeg(image: Image.Image, **options: object) -> bytes:
    """`image` as JPEG."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", **options)
    return buffer.getvalue()


def digest(data: bytes) -> str:
    """SHA-256 in hex."""
    return sha256(data).hexdigest()
