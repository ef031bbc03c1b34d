"""What rendering a picture gives; modules that only pass results on need no codec for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from workers.imaging.warning_codes import WarningCode


@dataclass(frozen=True, slots=True)
class Metadata:
    """A photo's own facts.

    `captured_at` is ISO 8601, with an offset only if the camera noted one: without, it is the camera's local time.
    `captured_at_source` is the tag that it is from, as ExifTool names it: `EXIF:DateTimeOriginal`, say.
    `orientation` (1-8) is the one the file had. Where it was taken is never read: `has_gps` says that the original
    knows.
    """

    captured_at: str | None = None
    captured_at_source: str | None = None
    camera_make: str | None = None
    camera_model: str | None = None
    orientation: int = 1
    has_gps: bool = False
    icc_profile: str | None = None


@dataclass(frozen=True, slots=True)
class Rendition:
    """One size of a picture. `name` is one of `shoebox_client.renditions`."""

    name: str
    width: int
    height: int
    jpeg: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Prepared:
    """All that Shoebox keeps of a picture beside its original.

    `warnings` are codes of `workers.imaging.warning_codes`, sorted; `timings` are milliseconds by step.
    """

    width: int
    height: int
    megapixels: float
    media_type: str
    renditions: tuple[Rendition, ...]
    placeholder: str
    metadata: Metadata
    timings: Mapping[str, float] = field(repr=False, compare=False)
    warnings: tuple[WarningCode, ...] = ()
