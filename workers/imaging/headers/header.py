"""What any format's header says."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Header:
    """Facts read without decoding.

    `width` and `height` are as stored (HEIC: after the file's own rotation, which its decoder applies).
    `exif` and `icc` are raw blocks, empty if there are none. `buffered` tells that the decoder holds the whole
    picture at full size, `scans` how often it goes over it. `spans` are the byte ranges behind the signature that
    the pixels depend on; only JPEG and PNG say.
    """

    width: int
    height: int
    frames: int = 1
    channels: int = 3
    exif: bytes = b""
    icc: bytes = b""
    buffered: bool = True
    scans: int = 1
    spans: tuple[tuple[int, int], ...] = ()
