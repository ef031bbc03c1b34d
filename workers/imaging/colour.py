"""Bring colours to sRGB, which is what a rendition's reader assumes."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, ImageFilter

from workers.imaging.warning_codes import WarningCode

# What CMYK without a profile is taken for: CGATS TR 001 (SWOP), which much of what is sent so was made for.
# profiles/README.md has where it is from.
ASSUMED_CMYK = Path(__file__).with_name("profiles") / "CGATS001Compat-v2-micro.icc"
MAX_PROFILE_BYTES = 4 * 1024 * 1024
PROFILES_KEPT = 16
# What a profile calls its colours (ICC.1:2022, table 19) → the mode it can be applied to.
MODES = {"RGB ": "RGB", "GRAY": "L", "CMYK": "CMYK"}
INTENT = ImageCms.Intent.RELATIVE_COLORIMETRIC
FLAGS = ImageCms.Flags.BLACKPOINTCOMPENSATION
# 255 is 51 times 5, so the grid's 52 levels are exact bytes. Between them Pillow interpolates: five times quicker
# than LittleCMS, off by 0.1 levels on average and 12 at most, on colours that sRGB cannot show.
GRID = 52
SAME = 2  # levels: two builds of sRGB differ by no more
PROFILE_ERRORS = (ImageCms.PyCMSError, OSError, ValueError, TypeError, AttributeError)

Conversion = Callable[[Image.Image], Image.Image]


def to_srgb(image: Image.Image, icc: bytes, warnings: set[WarningCode]) -> Image.Image:
    """`image` (L, RGB, CMYK) as L or RGB in sRGB; what had to be assumed is added to `warnings`.

    No profile, a broken one, or one for another kind of colour counts as none. The picture is then taken for sRGB, as
    browsers do, or, if it is CMYK, for ink of web offset printing on coated paper (`ASSUMED_CMYK`).
    """
    convert = None
    try:
        convert = _conversion(icc, image.mode) if icc else None
    except PROFILE_ERRORS:
        warnings.add("icc_profile_broken")
    if convert is None and image.mode == "CMYK":
        warnings.add("cmyk_without_profile")
        convert = _conversion(_assumed_cmyk(), "CMYK")
    return convert(image) if convert else image


@lru_cache(maxsize=PROFILES_KEPT)
def profile_name(icc: bytes) -> str | None:
    """How the profile describes itself, at most 80 characters; None if there is none to read."""
    if not 0 < len(icc) <= MAX_PROFILE_BYTES:
        return None
    try:
        text = ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(icc)))
    except PROFILE_ERRORS:
        return None
    return "".join(letter for letter in text if letter.isprintable()).strip()[:80] or None


@lru_cache(maxsize=1)
def _assumed_cmyk() -> bytes:
    return ASSUMED_CMYK.read_bytes()


@lru_cache(maxsize=PROFILES_KEPT)
def _conversion(icc: bytes, mode: str) -> Conversion | None:
    """How to convert pictures of `mode`, kept for the next photo of the same camera; None if not needed.

    Raises one of `PROFILE_ERRORS` if the profile is broken.
    """
    if len(icc) > MAX_PROFILE_BYTES:
        message = f"a profile of {len(icc)} bytes"
        raise ValueError(message)
    profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
    if MODES.get(profile.profile.xcolor_space) != mode:
        return None
    transform = ImageCms.buildTransform(profile, ImageCms.createProfile("sRGB"), mode, "RGB", INTENT, FLAGS)
    return _by_table(transform) if mode == "RGB" else transform.apply


def _by_table(transform: ImageCms.ImageCmsTransform) -> Conversion | None:
    levels = np.linspace(0, 255, GRID).round().astype(np.uint8)
    blue, green, red = np.meshgrid(levels, levels, levels, indexing="ij")
    grid = np.stack([red, green, blue], axis=-1).reshape(GRID * GRID, GRID, 3)
    table = np.asarray(transform.apply(Image.fromarray(grid)))
    if np.abs(table.astype(np.int16) - grid).max() <= SAME:
        return None
    lookup = ImageFilter.Color3DLUT(GRID, (table / np.float32(255)).ravel(), target_mode="RGB")
    return lambda image: image.filter(lookup)
