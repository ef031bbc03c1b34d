"""Photos to upload: a few pictures made before the run, each copy of them a file of its own."""

from __future__ import annotations

import hashlib
import itertools
import struct
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Self

from load_tests.settings import LoadSettings
from shoebox.samples import jpeg_of_size

_START, _COMMENT = b"\xff\xd8", b"\xff\xfe"  # SOI and COM (ITU-T T.81, B.1.1.3)


@dataclass(frozen=True)
class Photo:
    """A JPEG and its name."""

    name: str
    content: bytes

    @cached_property
    def registration(self) -> dict[str, str | int]:
        """What POST /v1/files is told of it."""
        return {
            "name": self.name,
            "size": len(self.content),
            "content_type": "image/jpeg",
            "sha256": hashlib.sha256(self.content).hexdigest(),
        }


class Photos:
    """Endless photos from a few JPEGs; `mark` gives bytes that never come twice, in any process."""

    def __init__(self, pictures: list[bytes], mark: Callable[[], bytes] = lambda: uuid.uuid4().bytes) -> None:
        self._pictures = itertools.cycle(pictures)
        self._numbers = itertools.count(1)
        self._mark = mark

    @classmethod
    def made(cls, settings: LoadSettings) -> Self:
        """With pictures as the settings want them; about 20 ms each."""
        size = settings.width, settings.height, settings.photo_bytes
        return cls([jpeg_of_size(seed, *size) for seed in range(settings.pictures)])

    def take(self, count: int) -> list[Photo]:
        """`count` new photos."""
        return [
            Photo(f"photo-{number}.jpg", with_comment(picture, self._mark()))
            for number, picture in itertools.islice(zip(self._numbers, self._pictures, strict=False), count)
        ]


def with_comment(jpeg: bytes, comment: bytes) -> bytes:
    """The same picture with a comment behind its start marker, and so with another SHA-256.

    Raises:
        ValueError: it does not begin like a JPEG.
    """
    if not jpeg.startswith(_START):
        raise ValueError("a JPEG begins with FF D8")
    return b"".join((_START, _COMMENT, struct.pack(">H", len(comment) + 2), comment, jpeg[2:]))
