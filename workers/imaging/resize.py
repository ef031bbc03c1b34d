"""Make pictures smaller, never larger."""

from __future__ import annotations

from PIL import Image

# Box-average down to three times the wanted size first: invisible, and a 100-megapixel PNG costs a third.
REDUCING_GAP = 3.0


def fit(width: int, height: int, long_side: int) -> tuple[int, int]:
    """Return the largest size of the same shape whose long side is at most `long_side`, never larger than given."""
    longest = max(width, height)
    if longest <= long_side:
        return width, height
    return max(1, round(width * long_side / longest)), max(1, round(height * long_side / longest))


def shrink(image: Image.Image, long_side: int) -> Image.Image:
    """`image` at `fit`; the very same image if it fits already. Alpha is weighted (Pillow premultiplies)."""
    size = fit(*image.size, long_side)
    if size == image.size:
        return image
    return image.resize(size, Image.Resampling.BICUBIC, reducing_gap=REDUCING_GAP)
