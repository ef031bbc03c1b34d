"""What rendering a picture will cost, estimated from its header; what would cost too much is refused here.

The figures a pixel are those of `./run bench picture_costs`, rounded up.
"""

from __future__ import annotations

from shoebox_client.renditions import LARGEST
from workers.imaging.decode_jpeg import choose_eighths
from workers.imaging.errors import PictureRejected
from workers.imaging.headers import Header
from workers.imaging.limits import ImageLimits

# What a decoder and the first resize hold a pixel, with alpha where the format has it; what all later steps hold.
DECODER_BYTES = {"image/png": 10, "image/webp": 18, "image/gif": 11, "image/heic": 13, "image/avif": 16}
LATER_BYTES = LARGEST * LARGEST * 12
# Nanoseconds of CPU a pixel; for a JPEG, and for each of its scans. HEIC without alpha takes 24 to 53.
DECODER_NS = {"image/jpeg": 6, "image/png": 20, "image/webp": 30, "image/gif": 20, "image/heic": 85, "image/avif": 60}
SCAN_NS = 2
# Not measured, for nothing here writes such files: each bit is decoded by itself, some ten to twenty a pixel and 4 ns.
ARITHMETIC_NS = 60
# Flat colour has 400 pixels a byte as lossy WebP, but 34 bytes of lossless WebP may be any number of pixels, and a
# thousand of AVIF 64 million; a GIF's frame may be a pixel of a large screen. In other formats missing data costs
# nothing, and bytes bound the pixels (PNG 300 a byte, GIF's frame 1,300, HEIC 4,000).
SMALL_WHEN_FLAT = frozenset({"image/webp", "image/avif", "image/gif"})
MAX_PIXELS_PER_BYTE = 20_000
MAX_FLAT_PIXELS = 12_000_000


def peak_bytes(media_type: str, header: Header) -> int:
    """Return how many bytes rendering takes at most beside the file itself."""
    pixels = header.width * header.height
    if media_type != "image/jpeg":
        return pixels * DECODER_BYTES[media_type] + LATER_BYTES
    eighths = choose_eighths(max(header.width, header.height), LARGEST)
    scaled = pixels * eighths * eighths // 64 * 4
    # Coefficients, two bytes each, are all held until the last scan.
    return scaled + LATER_BYTES + (pixels * header.channels * 2 if header.buffered else 0)


def cpu_seconds(media_type: str, header: Header) -> float:
    """Return the CPU time that rendering takes if the file has data for all of its pixels."""
    nanoseconds = DECODER_NS[media_type]
    if media_type == "image/jpeg":
        nanoseconds += SCAN_NS * header.scans + (ARITHMETIC_NS if header.arithmetic else 0)
    return header.width * header.height * nanoseconds * 1e-9


def check_costs(media_type: str, header: Header, size: int, limits: ImageLimits) -> None:
    """Raise `PictureRejected` (`too_costly`) if a picture of `size` bytes would cost too much for what it is."""
    pixels = header.width * header.height
    megapixels = f"{pixels / 1e6:.1f} megapixels"
    if media_type in SMALL_WHEN_FLAT and pixels > max(MAX_FLAT_PIXELS, size * MAX_PIXELS_PER_BYTE):
        raise PictureRejected("too_costly", f"the file has {size} bytes for {megapixels}")
    if pixels * header.scans > limits.max_scan_pixels:
        max_scans = max(1, limits.max_scan_pixels // pixels)
        raise PictureRejected("too_costly", f"the picture has {header.scans} scans; {megapixels} may have {max_scans}")
    peak = peak_bytes(media_type, header)
    if peak > limits.max_peak_bytes:
        detail = f"{megapixels} of this kind take {peak / 1e6:.0f} MB; the limit is {limits.max_peak_bytes / 1e6:.0f}"
        raise PictureRejected("too_costly", detail)
