"""The way of a picture: from unknown bytes to its renditions.

In two stages, so that a caller can weigh a picture before it takes memory: `inspect` reads the header in well
under a millisecond, `render` does the work. Both are synchronous and safe to call from several threads; the codecs
release the interpreter's lock, so threads use all cores.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter

from PIL import Image

from shoebox_client.renditions import LARGEST, RENDITIONS
from workers.imaging.colour import to_srgb
from workers.imaging.costs import check_costs, cpu_seconds, peak_bytes
from workers.imaging.decode import decode
from workers.imaging.encode import to_jpeg
from workers.imaging.flatten import eight_bit, flatten
from workers.imaging.headers import Header
from workers.imaging.limits import ImageLimits
from workers.imaging.metadata import read_metadata
from workers.imaging.orient import pending_orientation, upright, upright_size
from workers.imaging.placeholder import placeholder
from workers.imaging.probe import probe
from workers.imaging.resize import shrink
from workers.imaging.results import Prepared, Rendition
from workers.imaging.sniff import confirm


@dataclass(frozen=True, slots=True)
class Inspection:
    """A picture that may be rendered. `width` and `height` are upright; `megapixels` those of one frame."""

    data: bytes = field(repr=False)
    media_type: str
    header: Header = field(repr=False)
    width: int
    height: int
    orientation: int
    milliseconds: float

    @property
    def megapixels(self) -> float:
        """Pixels of one frame, in millions."""
        return self.width * self.height / 1e6

    @property
    def peak_bytes(self) -> int:
        """How much memory `render` takes at most beside the file itself."""
        return peak_bytes(self.media_type, self.header)

    @property
    def cpu_seconds(self) -> float:
        """How much CPU time `render` takes for a full picture, roughly."""
        return cpu_seconds(self.media_type, self.header)


def prepare(data: bytes, declared_type: str, limits: ImageLimits) -> Prepared:
    """Inspect a picture, then render it."""
    return render(inspect(data, declared_type, limits))


def inspect(data: bytes, declared_type: str, limits: ImageLimits) -> Inspection:
    """Check size, type, completeness and dimensions without decoding.

    Raises `PictureRejected`, for any `Reason`.
    """
    started = perf_counter()
    limits.check_bytes(len(data))
    media_type = confirm(data, declared_type)
    header = probe(data, media_type, limits)
    check_costs(media_type, header, len(data), limits)
    orientation = pending_orientation(media_type, header)
    width, height = upright_size(header.width, header.height, orientation)
    milliseconds = (perf_counter() - started) * 1e3
    return Inspection(data, media_type, header, width, height, orientation, milliseconds)


def render(inspection: Inspection) -> Prepared:
    """Decode once and derive everything. Raises `PictureRejected` (`truncated`, `corrupt`, `unsupported_type`)."""
    watch = _Stopwatch(inspect=inspection.milliseconds)
    image = _largest(inspection, watch)
    with watch.step("resize"):
        # Each size is made from the one before it, which costs a fraction of making it from the largest.
        images = [image := shrink(image, long_side) for long_side in RENDITIONS.values()]
    with watch.step("encode"):
        renditions = _renditions(images)
    with watch.step("placeholder"):
        hashed = placeholder(images[-1])
    with watch.step("metadata"):
        metadata = read_metadata(inspection.header)
    return Prepared(
        width=inspection.width,
        height=inspection.height,
        megapixels=inspection.megapixels,
        media_type=inspection.media_type,
        renditions=renditions,
        placeholder=hashed,
        metadata=metadata,
        timings=watch.milliseconds,
        warnings=tuple(sorted(inspection.header.warnings)),
    )


def _largest(inspection: Inspection, watch: _Stopwatch) -> Image.Image:
    """Return the largest rendition's pixels. It shrinks first: all later steps then cost the same for any photo."""
    header = inspection.header
    with watch.step("decode"):
        image = decode(inspection.data, inspection.media_type, header, LARGEST)
    with watch.step("resize"):
        image = shrink(eight_bit(image), LARGEST)
    with watch.step("flatten"):
        image = flatten(image)
    with watch.step("colour"):
        image = to_srgb(image, header.icc, header.warnings)
    with watch.step("orient"):
        return upright(image, inspection.orientation)


def _renditions(images: list[Image.Image]) -> tuple[Rendition, ...]:
    """Encode each; a picture too small for a size comes again under that size's name, encoded only once."""
    encoded: dict[int, bytes] = {}
    for image in images:
        if id(image) not in encoded:
            encoded[id(image)] = to_jpeg(image)
    return tuple(
        Rendition(name, image.width, image.height, encoded[id(image)])
        for name, image in zip(RENDITIONS, images, strict=True)
    )


class _Stopwatch:
    def __init__(self, **milliseconds: float) -> None:
        self.milliseconds = dict(milliseconds)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        started = perf_counter()
        try:
            yield
        finally:
            taken = (perf_counter() - started) * 1e3
            self.milliseconds[name] = self.milliseconds.get(name, 0.0) + taken
