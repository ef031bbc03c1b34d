"""Photos to upload: a few pictures made before the run, each copy of them a file of its own."""

from __future__ import annotations

import hashlib
import random
import struct
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

from shoebox_client.samples import jpeg_of_size

_START, _COMMENT = b"\xff\xd8", b"\xff\xfe"  # SOI and COM (ITU-T T.81, B.1.1.3)


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of picture: its size in pixels and bytes, and its share of the photos."""

    width: int
    height: int
    size: int
    share: float


@dataclass(frozen=True, slots=True)
class Mix:
    """What people upload. `max_rate`: photos a second that a laptop with two cores does, with the whole stack on it."""

    name: str
    about: str
    kinds: tuple[Kind, ...]
    max_rate: float


MIXES = {
    mix.name: mix
    for mix in (
        Mix("small", "100 KB each, 1200 × 900", (Kind(1200, 900, 100_000, 1.0),), max_rate=50.0),
        Mix(
            "phones",
            "phones' 12 MP (45 %), what messengers left of a photo (35 %), screenshots (15 %), cameras' 24 MP (5 %)",
            (
                Kind(4032, 3024, 2_800_000, 0.30),
                Kind(3024, 4032, 2_800_000, 0.15),
                Kind(1600, 1200, 250_000, 0.35),
                Kind(1170, 2532, 500_000, 0.15),
                Kind(6000, 4000, 8_000_000, 0.05),
            ),
            max_rate=10.0,
        ),
    )
}


@dataclass(frozen=True)
class Photo:
    """A JPEG and its name."""

    name: str
    content: bytes

    @cached_property
    def registration(self) -> dict[str, str | int]:
        """The photo's entry in the body of POST /v1/files."""
        return {
            "name": self.name,
            "size": len(self.content),
            "content_type": "image/jpeg",
            "sha256": hashlib.sha256(self.content).hexdigest(),
        }


class Photos:
    """Endless photos from a few JPEGs; `mark` gives bytes that never come twice, in any process."""

    def __init__(
        self,
        pictures: Sequence[bytes],
        shares: Sequence[float] | None = None,
        mark: Callable[[], bytes] = lambda: uuid.uuid4().bytes,
    ) -> None:
        self._pictures = pictures
        self._shares = shares or [1.0] * len(pictures)
        self._mark = mark

    @classmethod
    def made(cls, mix: Mix, seed: int, each: int = 2) -> Self:
        """Make `each` pictures of every kind of a mix; the same seed makes the same ones. Up to half a second each."""
        kinds = [(kind, number) for kind in mix.kinds for number in range(each)]
        pictures = [
            jpeg_of_size(seed * 1000 + n, kind.width, kind.height, kind.size) for n, (kind, _) in enumerate(kinds)
        ]
        return cls(pictures, [kind.share for kind, _ in kinds])

    def take(self, count: int, seed: int) -> list[Photo]:
        """Return `count` new photos; the seed decides of which kinds."""
        draw = random.Random(seed)  # noqa: S311 - a load must repeat, not be secret
        chosen = draw.choices(self._pictures, self._shares, k=count)
        return [Photo(f"photo-{n}.jpg", with_comment(picture, self._mark())) for n, picture in enumerate(chosen, 1)]


def with_comment(jpeg: bytes, comment: bytes) -> bytes:
    """Return the same picture with a comment after its start marker, and so with another SHA-256.

    Raises:
        ValueError: it does not begin like a JPEG.
    """
    if not jpeg.startswith(_START):
        raise ValueError("a JPEG begins with FF D8")
    return b"".join((_START, _COMMENT, struct.pack(">H", len(comment) + 2), comment, jpeg[2:]))
