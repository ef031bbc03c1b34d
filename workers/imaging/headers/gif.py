"""GIF's header and its frames (CompuServe, Graphics Interchange Format version 89a)."""

from __future__ import annotations

import struct

from workers.imaging.errors import PictureRejected
from workers.imaging.headers.cursor import Cursor
from workers.imaging.headers.header import Header
from workers.imaging.limits import ImageLimits

EXTENSION, IMAGE, TRAILER, PADDING = 0x21, 0x2C, 0x3B, 0x00


def read_gif(data: bytes, limits: ImageLimits) -> Header:
    """Walk the blocks; stop as soon as the frames so far exceed `limits`.

    The picture is as large as the screen and the first frame together, as decoders have it.
    """
    cursor = Cursor(data, 6)
    width, height, flags = struct.unpack("<HHBxx", cursor.take(7))
    _skip_colours(cursor, flags)
    frames = 0
    while (kind := cursor.byte()) != TRAILER:
        if kind == EXTENSION:
            cursor.skip(1)
            _skip_sub_blocks(cursor)
        elif kind == IMAGE:
            right, bottom = _skip_image(cursor)
            if frames == 0:
                width, height = max(width, right), max(height, bottom)
            frames += 1
            limits.check_pixels(width, height, frames)
        elif kind != PADDING:
            raise PictureRejected("corrupt", f"no block at byte {cursor.position - 1}")
    if frames == 0:
        raise PictureRejected("corrupt", "the file has no frame")
    return Header(width, height, frames)


def _skip_image(cursor: Cursor) -> tuple[int, int]:
    """Where the frame ends on the screen: right and bottom, in pixels."""
    left, top, width, height, flags = struct.unpack("<HHHHB", cursor.take(9))
    _skip_colours(cursor, flags)
    cursor.skip(1)  # the code size
    _skip_sub_blocks(cursor)
    return left + width, top + height


def _skip_colours(cursor: Cursor, flags: int) -> None:
    if flags & 0x80:
        cursor.skip(3 << (flags & 7) + 1)


def _skip_sub_blocks(cursor: Cursor) -> None:
    while size := cursor.byte():
        cursor.skip(size)
