"""Turn a picture the right way up, once."""

from __future__ import annotations

from PIL import Image

from workers.imaging.exif import read_exif
from workers.imaging.headers import Header

# EXIF's orientation names where the stored first row and column belong (Exif 3.0, 4.6.5.1.6).
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
SIDEWAYS = frozenset({5, 6, 7, 8})
# HEIF rotates by its own properties, which its decoder applies; EXIF must then be ignored (ISO/IEC 23008-12, A.2.2).
TURNED_BY_DECODER = frozenset({"image/heic"})


def pending_orientation(media_type: str, header: Header) -> int:
    """Return the orientation (1-8) that the decoded pixels still have."""
    if media_type in TURNED_BY_DECODER:
        return 1
    return header.orientation or read_exif(header.exif).orientation


def upright_size(width: int, height: int, orientation: int) -> tuple[int, int]:
    """Width and height once `orientation` is undone."""
    return (height, width) if orientation in SIDEWAYS else (width, height)


def upright(image: Image.Image, orientation: int) -> Image.Image:
    """`image` with `orientation` undone."""
    turn = TURNS.get(orientation)
    return image if turn is None else image.transpose(turn)
