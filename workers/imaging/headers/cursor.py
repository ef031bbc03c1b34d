"""A reading position in bytes that can neither run past their end nor run for ever."""

from __future__ import annotations

from workers.imaging.errors import PictureRejected

# A hostile file may be made of 100 MiB of empty parts. An honest one of that size has far fewer:
# GIF's sub-blocks (255 bytes) come to 411,000, PNG's chunks (8 KiB, as libpng writes) to 13,000.
MAX_STEPS = 1_000_000
# Of lossy WebP, HEVC and AV1 no twentieth is zeros at the end, whatever the picture: flat ones are the worst.
MIN_ZEROS, ZEROS_PART = 1024, 8


def check_end(data: bytes, start: int, end: int) -> None:
    """Raise `PictureRejected` (`truncated`) if the coded pixels from `start` to `end` end in zeros.

    That is how half a download looks in a file of full length; decoders make grey of it, and do not tell.
    """
    zeros = max(MIN_ZEROS, (end - start) // ZEROS_PART)
    if data.endswith(bytes(zeros), start, end):
        raise PictureRejected("truncated", f"the last {zeros} bytes of the picture, or more, are zeros")


class Cursor:
    """Reads forward in `data` from `position` and raises `PictureRejected("truncated")` at its end."""

    __slots__ = ("data", "end", "position", "steps")

    def __init__(self, data: bytes, position: int = 0, end: int | None = None) -> None:
        self.data = data
        self.position = position
        self.end = len(data) if end is None else end
        self.steps = 0

    def take(self, count: int) -> bytes:
        """Return the next `count` bytes."""
        start = self.position
        self.skip(count)
        return self.data[start : self.position]

    def byte(self) -> int:
        """Return the next byte."""
        self.skip(1)
        return self.data[self.position - 1]

    def skip(self, count: int) -> None:
        """Go `count` bytes on."""
        self.steps += 1
        if self.steps > MAX_STEPS:
            raise PictureRejected("corrupt", f"the file has more than {MAX_STEPS} parts")
        position = self.position + count
        if position > self.end:
            detail = f"the file ends at byte {self.end}, {position - self.end} short of what it announces"
            raise PictureRejected("truncated", detail)
        self.position = position
