"""What any format's header says."""

from __future__ import annotations

from dataclasses import dataclass, field

from workers.imaging.errors import PictureRejected
from workers.imaging.warning_codes import WarningCode


@dataclass(frozen=True, slots=True)
class Header:
    """Facts read without decoding.

    `width` and `height` are as stored (HEIC: after the file's own rotation, which its decoder applies).
    `exif`, `xmp` and `icc` are raw blocks, empty if there are none. `buffered` tells that the decoder holds the whole
    picture at full size, `scans` how often it goes over it, `arithmetic` how its bits are coded (JPEG). `pieces` are
    what a decoder gets instead of the file: only what the pixels of the first frame depend on (not for HEIC and AVIF).
    `first_frame` is where that frame stands (left, top, width, height) in a GIF, which may draw less than the picture.
    `orientation` (1-8) is the container's own, if it has one that its decoder does not apply (AVIF): then that in EXIF
    does not count. `warnings` is where readers and decoders note what they tolerate.
    """

    width: int
    height: int
    frames: int = 1
    channels: int = 3
    exif: bytes = b""
    xmp: bytes = b""
    icc: bytes = b""
    buffered: bool = True
    scans: int = 1
    arithmetic: bool = False
    orientation: int | None = None
    pieces: tuple[bytes | memoryview, ...] = field(default=(), repr=False)
    first_frame: tuple[int, int, int, int] | None = None
    warnings: set[WarningCode] = field(default_factory=set)

    def check_size(self, size: tuple[int, int]) -> None:
        """Raise `PictureRejected` (`corrupt`) unless a codec that opened the file found this width and height, too.

        Limits and costs were checked with ours; a codec that reads another picture must not begin to decode it.
        """
        if size != (self.width, self.height):
            detail = f"the header says {self.width}x{self.height}, its codec {size[0]}x{size[1]}"
            raise PictureRejected("corrupt", detail)
