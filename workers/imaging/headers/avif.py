"""AVIF's header, read by libavif, which decodes nothing until a frame is asked for.

libavif is loaded with the first AVIF: no other picture has to wait for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workers.imaging.errors import PictureRejected
from workers.imaging.headers.boxes import check_boxes, read_items
from workers.imaging.headers.header import Header
from workers.imaging.limits import ImageLimits
from workers.imaging.nclx import profile_of, warnings_of

if TYPE_CHECKING:
    from PIL import Image

THREADS = 1  # one photo is one thread: whoever runs several photos at once decides how many cores they take
AVIF_ERRORS = (ValueError, SyntaxError, RuntimeError, OSError, OverflowError)


def read_avif(data: bytes, limits: ImageLimits) -> Header:
    """Check that no box is cut and what is inside, then ask libavif. Width and height are those as stored."""
    check_boxes(data)
    items = read_items(data)
    if items.primary is not None:  # else it is a film, of which libavif shows the first picture
        items.check("AVIF", "av01", limits)
    width, height, frames, mode, icc, exif, orientation, xmp = _opened(data).get_info()
    return Header(
        width,
        height,
        frames,
        channels={"L": 1, "RGB": 3}.get(mode, 4),
        exif=exif or b"",
        xmp=xmp or b"",
        icc=icc or profile_of(*items.colour),
        warnings=set() if icc else warnings_of(*items.colour),
        orientation=orientation,
    )


def decode_avif(data: bytes, header: Header) -> Image.Image:
    """Return the first frame with eight bits a channel. Raises `PictureRejected` (`truncated`, `corrupt`)."""
    from PIL import Image

    decoder = _opened(data)
    width, height, _, mode, *_ = decoder.get_info()
    header.check_size((width, height))
    try:
        pixels, *_ = decoder.get_frame(0)
        return Image.frombuffer(mode, (width, height), pixels, "raw", mode, 0, 1)
    except AVIF_ERRORS as error:
        raise _fault(error) from error


def _opened(data: bytes) -> Any:
    # The decoder itself, not the plugin's ImageFile: that rewrites EXIF, which may be damaged, and copies all pixels.
    from pillow_avif import _avif

    try:
        return _avif.AvifDecoder(data, "dav1d", "auto", THREADS)
    except AVIF_ERRORS as error:
        raise _fault(error) from error


def _fault(error: BaseException) -> PictureRejected:
    """Return what libavif's words mean for the picture."""
    text = str(error)
    if "Out of memory" in text:
        raise MemoryError(text) from error
    return PictureRejected("truncated" if "Truncated" in text else "corrupt", text)
