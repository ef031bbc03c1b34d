"""Bring any pixel mode to eight bits a channel, and lay transparency on white."""

from __future__ import annotations

import numpy as np
from PIL import Image

WHITE = 255
OPAQUE = frozenset({"L", "RGB", "CMYK"})
WITH_ALPHA = {"LA": "LA", "La": "LA", "PA": "RGBA", "RGBA": "RGBA", "RGBa": "RGBA"}


def eight_bit(image: Image.Image) -> Image.Image:
    """`image` as L, LA, RGB, RGBA or CMYK: modes that can be filtered."""
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if "transparency" in image.info:  # one colour, or a palette's entries
        return image.convert("RGBA")
    if image.mode in WITH_ALPHA:
        wanted = WITH_ALPHA[image.mode]
        return image if image.mode == wanted else image.convert(wanted)
    if image.mode in OPAQUE:
        return image
    return image.convert("L" if image.mode == "1" else "RGB")


def flatten(image: Image.Image) -> Image.Image:
    """`image` without alpha, on white: what a print would show."""
    if image.mode not in WITH_ALPHA:
        return image
    colours = image.mode[:-1]
    paper = Image.new(colours, image.size, (WHITE,) * len(colours) if colours != "L" else WHITE)
    paper.paste(image.convert(colours), mask=image.getchannel("A"))
    return paper
