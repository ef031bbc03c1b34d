"""Decode a JPEG whose chroma layout simplejpeg declines: by Pillow, which is slower and tells of no missing data.

So the picture is decoded twice, with other bytes behind each piece of coded data. A decoder that has all data of one
never looks at what follows; one that lacks some takes what follows for it, and then the two pictures differ.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence

from PIL import Image, ImageChops, JpegImagePlugin

from workers.imaging.errors import PictureRejected
from workers.imaging.headers import Header
from workers.imaging.headers.jpeg import FRAMES, Piece, coded_pieces

RESTART_MARKERS = range(0xD0, 0xD8)
RESTART = re.compile(rb"\xff([\xd0-\xd7])")
DRI = 0xDD
# Bytes are put in at each. With one at the end of each row of units, 30,000 rows of pixels have 3,750 in each scan.
MAX_RESTARTS = 100_000
FOLLOWING = b"\x5a" * 64, b"\xa5" * 64  # each bit of one differs from that of the other


def decode_unusual(header: Header, size: tuple[int, int]) -> Image.Image:
    """Return the picture, at `size` or the next larger one that the codec knows.

    Raises `PictureRejected`: `truncated` if data are missing, `corrupt`, `too_costly`.
    """
    restarts = sum(
        bytes(piece).count(b"\xff" + bytes([marker])) for piece in header.pieces for marker in RESTART_MARKERS
    )
    if restarts > MAX_RESTARTS:
        raise PictureRejected("too_costly", f"the picture has {restarts} restart intervals")
    image, other = (_decode(_followed_by(header.pieces, following), header, size) for following in FOLLOWING)
    _check_restarts(header.pieces)
    if ImageChops.difference(image, other).getbbox() is not None:
        raise PictureRejected("truncated", "a scan or a restart interval lacks data")
    return image


def _decode(picture: bytes, header: Header, size: tuple[int, int]) -> Image.Image:
    try:
        image = JpegImagePlugin.JpegImageFile(io.BytesIO(picture))
        header.check_size(image.size)
        image.draft(image.mode, size)
        image.load()
    except (ValueError, OSError, SyntaxError) as error:
        raise PictureRejected("corrupt", str(error)) from error
    return image


def _followed_by(pieces: Sequence[Piece], following: bytes) -> bytes:
    """Return the picture with `following` behind each restart interval of each scan."""
    parts = list(pieces)
    for index in coded_pieces(pieces):
        parts[index] = RESTART.sub(lambda found: following + found[0], pieces[index]) + following
    return b"".join(parts)


def _check_restarts(pieces: Sequence[Piece]) -> None:
    """Raise `PictureRejected` unless each scan has its restart markers, in order (T.81, E.1.4)."""
    interval, frame, coded = 0, b"", set(coded_pieces(pieces))
    for index, piece in enumerate(pieces):
        if index in coded and interval:
            wanted = -(-_mcus(frame, bytes(pieces[index - 1])) // interval) - 1
            seen = [marker[0] - 0xD0 for marker in RESTART.findall(piece)][:wanted]
            if seen != [number % 8 for number in range(len(seen))]:
                raise PictureRejected("corrupt", "restart intervals are missing or out of order")
            if len(seen) < wanted:
                raise PictureRejected("truncated", f"a scan has {len(seen) + 1} of {wanted + 1} restart intervals")
        elif len(piece) > 4 and index not in coded and piece[1] == DRI:
            interval = int.from_bytes(piece[4:6], "big")
        elif len(piece) > 4 and index not in coded and piece[1] in FRAMES:
            frame = bytes(piece)


def _mcus(frame: bytes, scan: bytes) -> int:
    """How many minimum coded units a scan has (T.81, A.2)."""
    height, width = (int.from_bytes(frame[at : at + 2], "big") for at in (5, 7))
    sampling = {frame[at]: divmod(frame[at + 1], 16) for at in range(10, len(frame), 3)}
    across, down = (max(factors[axis] for factors in sampling.values()) for axis in (0, 1))
    own = sampling[scan[5]] if scan[4] == 1 else (1, 1)  # of one component: a unit is a block
    return -(-width * own[0] // (8 * across)) * -(-height * own[1] // (8 * down))
