"""GIF's header and its frames (CompuServe, Graphics Interchange Format version 89a)."""

from __future__ import annotations

import struct

from workers.imaging.errors import PictureRejected
from workers.imaging.headers.cursor import Cursor
from workers.imaging.headers.header import Header
from workers.imaging.limits import ImageLimits
from workers.imaging.warning_codes import WarningCode

EXTENSION, IMAGE, TRAILER, PADDING = 0x21, 0x2C, 0x3B, 0x00
GRAPHIC_CONTROL = 0xF9  # the label of the extension that has the next frame's transparent colour


def read_gif(data: bytes, limits: ImageLimits) -> Header:
    """Walk the blocks; stop as soon as the frames so far exceed `limits`.

    The picture is as large as the screen and the first frame together, as decoders have it. The decoder gets a file
    with the first frame alone, on a screen of the frame's own size. What stands behind that frame may be damaged.
    """
    walk = _Walk(data, limits)
    warnings: set[WarningCode] = set()
    try:
        walk.run()
    except PictureRejected as damage:
        if walk.frames == 0 or damage.reason not in ("truncated", "corrupt"):
            raise
        between = walk.cursor.position == len(data) == walk.block
        warnings.add("end_marker_missing" if between else "later_frame_damaged")
    else:
        if walk.cursor.position < len(data):
            warnings.add("trailing_bytes")
    if walk.frames == 0:
        raise PictureRejected("corrupt", "the file has no frame")
    return Header(
        walk.width, walk.height, walk.frames, pieces=walk.pieces, first_frame=walk.first_frame, warnings=warnings
    )


class _Walk:
    """A way through the blocks, and what was found."""

    def __init__(self, data: bytes, limits: ImageLimits) -> None:
        self.limits = limits
        self.cursor = Cursor(data, 6)
        self.block = 0  # where the last one begins
        self.width, self.height, self.flags = struct.unpack("<HHBxx", self.cursor.take(7))
        self.colours = self._colours(self.flags)
        self.control = b""
        self.frames = 0
        self.first_frame = (0, 0, 0, 0)
        self.pieces: tuple[bytes | memoryview, ...] = ()

    def run(self) -> None:
        """Go behind the trailer."""
        cursor = self.cursor
        while True:
            self.block = cursor.position
            kind = cursor.byte()
            if kind == TRAILER:
                return
            if kind == EXTENSION:
                label = cursor.byte()
                self._skip_sub_blocks()
                if label == GRAPHIC_CONTROL:
                    self.control = cursor.data[self.block : cursor.position]
            elif kind == IMAGE:
                self._image()
            elif kind != PADDING:
                raise PictureRejected("corrupt", f"no block at byte {self.block}")

    def _image(self) -> None:
        left, top, width, height, flags = struct.unpack("<HHHHB", self.cursor.take(9))
        start = self.cursor.position
        self._colours(flags)
        self.cursor.skip(1)  # the code size
        self._skip_sub_blocks()
        if self.frames == 0:
            self.width, self.height = max(self.width, left + width), max(self.height, top + height)
            self.first_frame = (left, top, width, height)
            screen = struct.pack("<HHBxx", width, height, self.flags)
            descriptor = struct.pack("<BHHHHB", IMAGE, 0, 0, width, height, flags)
            body = memoryview(self.cursor.data)[start : self.cursor.position]
            self.pieces = (b"GIF89a", screen, self.colours, self.control, descriptor, body, bytes([TRAILER]))
        self.frames += 1
        self.limits.check_pixels(self.width, self.height, self.frames)

    def _colours(self, flags: int) -> bytes:
        return self.cursor.take(3 << (flags & 7) + 1) if flags & 0x80 else b""

    def _skip_sub_blocks(self) -> None:
        while size := self.cursor.byte():
            self.cursor.skip(size)
