"""Landscapes made from formulas, for pictures of the gallery that are worth looking at."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

Pixels = np.ndarray[Any, np.dtype[np.float64]]
RIDGES = 5
# Sky above, sky at the horizon, and the nearest ridge, at eight hours of a year.
HOURS = [
    ("#2f4a7d", "#f2a488", "#1b1c38"),  # a dawn in autumn
    ("#3f87c4", "#d8ecf4", "#1f3d35"),  # noon in May
    ("#6b4a86", "#f6c39a", "#2b1b34"),  # dusk over heather
    ("#1a2447", "#5d7fae", "#0c1424"),  # a full moon
    ("#7fa9b8", "#f5e7c6", "#3f4a2a"),  # morning mist
    ("#c2573f", "#fbd58a", "#3a1a1f"),  # the end of a hot day
    ("#9db7cf", "#f3f1ee", "#3d4c5e"),  # snow in the air
    ("#2d6f7a", "#bfe3cf", "#12302d"),  # after the rain
]


def landscape(seed: int, width: int = 1600, height: int = 1200) -> Image.Image:
    """Ridges in the haze under a low sun, RGB; every seed has its own hills, and one of the hours."""
    chance = np.random.default_rng(seed)
    top, horizon, near = (_colour(code) for code in HOURS[seed % len(HOURS)])
    y, x = np.linspace(0, 1, height)[:, None], np.linspace(0, 1, width)[None, :]
    picture = top + (horizon - top) * np.clip(y / 0.6, 0, 1)[..., None] + np.zeros((height, width, 3))
    picture = _with_sun(picture, x, y, chance, width / height)
    for ridge in range(RIDGES):
        nearness = (ridge + 1) / RIDGES
        crest = 0.42 + 0.42 * nearness + _skyline(x, chance) * (0.05 + 0.07 * nearness)
        colour = horizon * 0.85 * (1 - nearness) + near * nearness
        haze = 0.12 * np.clip((y - crest) / 0.3, 0, 1)[..., None] * (horizon - colour)
        cover = np.clip((y - crest) * height, 0, 1)[..., None]  # one pixel of soft edge
        picture = picture * (1 - cover) + (colour + haze) * cover
    return Image.fromarray((picture.clip(0, 1) * 255).astype(np.uint8))


def _with_sun(picture: Pixels, x: Pixels, y: Pixels, chance: np.random.Generator, ratio: float) -> Pixels:
    at_x, at_y, radius = chance.uniform(0.2, 0.8), chance.uniform(0.18, 0.42), chance.uniform(0.035, 0.06)
    distance = np.hypot((x - at_x) * ratio, y - at_y)
    disc = np.clip((radius - distance) / 0.003, 0, 1)[..., None]
    glow = 0.35 * np.exp(-((distance / 0.25) ** 2))[..., None]
    light = np.array([1.0, 0.96, 0.86])
    return picture + (light - picture) * np.clip(disc + glow, 0, 1)


def _skyline(x: Pixels, chance: np.random.Generator) -> Pixels:
    """Return a line between -1 and 1: waves of falling height, each with its own phase."""
    waves = [np.sin(x * chance.uniform(3, 5) * 2**n + chance.uniform(0, 7)) / 1.9**n for n in range(6)]
    line: Pixels = np.sum(waves, axis=0) / 2
    return line


def _colour(code: str) -> Pixels:
    return np.array(list(bytes.fromhex(code[1:]))) / 255
