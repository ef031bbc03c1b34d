"""From unknown bytes to a photo's renditions: one step a module.

`inspect` (cheap) and `render` (the work), or `prepare` for both. A permanent fault of the bytes raises
`PictureRejected`, whose `reason` is stable. `workers.imaging.child` does both in a process of its own; whoever talks to
it takes types only, so codecs are imported when one of the three functions is first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workers.imaging.errors import ImagingError, PictureRejected, Reason
from workers.imaging.limits import ImageLimits
from workers.imaging.results import Metadata, Prepared, Rendition

if TYPE_CHECKING:
    from workers.imaging.pipeline import Inspection, inspect, prepare, render

__all__ = [
    "ImageLimits",
    "ImagingError",
    "Inspection",
    "Metadata",
    "PictureRejected",
    "Prepared",
    "Reason",
    "Rendition",
    "inspect",
    "prepare",
    "render",
]


def __getattr__(name: str) -> Any:
    if name not in {"Inspection", "inspect", "prepare", "render"}:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    from workers.imaging import pipeline

    return getattr(pipeline, name)
