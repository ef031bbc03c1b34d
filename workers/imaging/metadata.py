"""What is worth keeping of what a camera notes beside the picture."""

from __future__ import annotations

from datetime import datetime

from workers.imaging.colour import profile_name
from workers.imaging.exif import read_exif
from workers.imaging.headers import Header
from workers.imaging.results import Metadata


def read_metadata(header: Header) -> Metadata:
    """The facts of `header`; what is missing or malformed is None. Never raises."""
    exif = read_exif(header.exif)
    return Metadata(
        captured_at=_captured_at(exif.taken, exif.taken_offset),
        camera_make=exif.make[:64] or None,
        camera_model=exif.model[:64] or None,
        orientation=header.orientation or exif.orientation,
        has_gps=exif.has_gps,
        icc_profile=profile_name(header.icc),
    )


def _captured_at(taken: str, offset: str) -> str | None:
    for text, form in ((taken + offset, "%Y:%m:%d %H:%M:%S%z"), (taken, "%Y:%m:%d %H:%M:%S")):
        try:
            return datetime.strptime(text, form).isoformat()
        except ValueError:
            continue
    return None
