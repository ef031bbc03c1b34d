"""Limits on a picture, checked on its header before anything is decoded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace

from workers.imaging.errors import PictureRejected

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """Bytes of the file, pixels summed over all frames, and pixels along one side.

    `max_pixels_by_type` holds for the media types that it names, beside `max_pixels`. `max_peak_bytes` is the memory
    that rendering may be estimated to take, `max_scan_pixels` the pixels of a JPEG times its scans.
    """

    max_bytes: int = 100 * MIB
    max_pixels: int = 100_000_000
    max_side: int = 30_000
    max_pixels_by_type: Mapping[str, int] = field(default_factory=dict)
    max_peak_bytes: int = 1_200_000_000
    max_scan_pixels: int = 2_000_000_000

    @classmethod
    def of(cls, settings: object) -> ImageLimits:
        """Return the limits that `settings` (`shoebox.config.Limits`) has attributes of, and the defaults of the rest.

        Imaging runs in processes that have no settings, so it cannot import that model.
        """
        names = [limit.name for limit in fields(cls)]
        return cls(**{name: getattr(settings, name) for name in names if hasattr(settings, name)})

    def for_type(self, media_type: str) -> ImageLimits:
        """Return these limits, with the `max_pixels` of `media_type`."""
        return replace(self, max_pixels=min(self.max_pixels, self.max_pixels_by_type.get(media_type, self.max_pixels)))

    def check_bytes(self, size: int) -> None:
        """Raise `PictureRejected` (`empty`, `too_large`) unless `size` bytes are acceptable."""
        if size == 0:
            raise PictureRejected("empty", "the file has no bytes")
        if size > self.max_bytes:
            detail = f"the file has {size} bytes; the limit is {self.max_bytes}"
            raise PictureRejected("too_large", detail)

    def check_pixels(self, width: int, height: int, frames: int = 1) -> None:
        """Raise `PictureRejected` (`corrupt`, `too_many_pixels`) unless the declared size is acceptable."""
        if width <= 0 or height <= 0:
            raise PictureRejected("corrupt", f"the picture claims to be {width}x{height}")
        if max(width, height) > self.max_side:
            detail = f"the picture is {width}x{height}; the limit is {self.max_side} pixels a side"
            raise PictureRejected("too_many_pixels", detail)
        pixels = width * height * frames
        if pixels > self.max_pixels:
            over = f" over {frames} frames or more" if frames > 1 else ""
            detail = (
                f"the picture is {width}x{height}{over}: {pixels / 1e6:.1f} megapixels;"
                f" the limit is {self.max_pixels / 1e6:.1f}"
            )
            raise PictureRejected("too_many_pixels", detail)
