"""What is worth keeping of what a camera notes beside the picture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from workers.imaging.colour import profile_name
from workers.imaging.dates import read_date
from workers.imaging.exif import Exif, read_exif
from workers.imaging.headers import Header
from workers.imaging.results import Metadata
from workers.imaging.xmp import read_xmp

# XMP's dates in EXIF's order, the moment of capture first. photoshop:DateCreated, xmp:CreateDate and xmp:ModifyDate are
# what EXIF's three are called there (Metadata Working Group, Guidelines for Handling Image Metadata 2.0); the
# properties of the namespaces exif and tiff are copies of EXIF's tags.
XMP_DATES = (
    "exif:DateTimeOriginal",
    "photoshop:DateCreated",
    "xmp:CreateDate",
    "exif:DateTimeDigitized",
    "xmp:ModifyDate",
    "tiff:DateTime",
)


def read_metadata(header: Header) -> Metadata:
    """Return the facts of `header`; what is missing or malformed is None. Never raises."""
    exif, xmp = read_exif(header.exif), read_xmp(header.xmp)
    captured_at, source = next(_dates(exif, xmp), (None, None))
    return Metadata(
        captured_at=captured_at,
        captured_at_source=source,
        camera_make=exif.make[:64] or None,
        camera_model=exif.model[:64] or None,
        orientation=header.orientation or exif.orientation,
        has_gps=exif.has_gps or "exif:GPSLatitude" in xmp or "exif:GPSLongitude" in xmp,
        icc_profile=profile_name(header.icc),
    )


def _dates(exif: Exif, xmp: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Each date that can be one, the best first, and where it stands."""
    for tag, text, offset in exif.dates:
        if date := read_date(text, offset):
            yield date, f"EXIF:{tag}"
    for name in XMP_DATES:
        if date := read_date(xmp.get(name, "")):
            yield date, f"XMP:{name.partition(':')[2]}"
