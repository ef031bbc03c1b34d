"""From unknown bytes to a photo's renditions: one step a module.

`inspect` (cheap) and `render` (the work), or `prepare` for both. A permanent fault of the bytes raises
`PictureRejected`, whose `reason` is stable.
"""

from workers.imaging.errors import ImagingError, PictureRejected, Reason
from workers.imaging.limits import ImageLimits
from workers.imaging.metadata import Metadata
from workers.imaging.pipeline import Inspection, Prepared, Rendition, inspect, prepare, render

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
