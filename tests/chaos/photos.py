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
    """A JPEG of 640 x 480 pixels and some 50 KB; `code` has 48 bits, a dark or a bright field for each."""
    cells = np.array([200 if code >> bit & 1 else 60 for bit in range(_COLUMNS * _ROWS)]).reshape(_ROWS, _COLUMNS)
    fields = cells.repeat(_CELL, axis=0).repeat(_CELL, axis=1)[..., None]
    grain = noise.integers(-_GRAIN, _GRAIN + 1, (_ROWS * _CELL, _COLUMNS * _CELL, 3))
    return jpeg(Image.fromarray((fields + grain).astype(np.uint8)), quality=75)


def shown_code(data: bytes) -> int:
    """The code that a picture shows.

    Raises:
        OSError: it is no picture, or not a whole one.
    """
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        pixels = np.asarray(image.convert("L").resize((_COLUMNS * 8, _ROWS * 8), Image.Resampling.BOX))
    cells = pixels.reshape(_ROWS, 8, _COLUMNS, 8)[:, 2:6, :, 2:6].mean(axis=(1, 3)).ravel()
    return sum(1 << bit for bit, value in enumerate(cells) if value > 130)


def scan_bomb(side: int, scans: int) -> bytes:
    """A grey progressive JPEG whose last scan stands `scans` times, behind a comment that holds FF D9.

    A decoder goes through the whole picture for each scan; who counts scans up to the first FF D9 finds one.
    """
    data = jpeg(Image.new("L", (side, side), 128), progressive=True, quality=50)
    second = data.index(b"\xff\xda", data.index(b"\xff\xda") + 2)
    last = data[data.rindex(b"\xff\xda") : -2]
    return data[:second] + b"\xff\xfe\x00\x04\xff\xd9" + data[second:-2] + last * scans + b"\xff\xd9"


def jpeg(image: Image.Image, **options: object) -> bytes:
    """`image` as JPEG."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", **options)
    return buffer.getvalue()


def digest(data: bytes) -> str:
    """SHA-256 in hex."""
    return sha256(data).hexdigest()
