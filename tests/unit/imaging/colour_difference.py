"""CIE 1976 L*a*b* of sRGB colours, and the CIEDE2000 difference between two."""

import numpy as np

SRGB = np.array(
    [[0.4123908, 0.3575843, 0.1804808], [0.2126390, 0.7151687, 0.0721923], [0.0193308, 0.1191948, 0.9505322]]
)
"""sRGB (IEC 61966-2-1) to XYZ."""

Colour = tuple[int, int, int]


def linear(colour: Colour) -> np.ndarray:
    """Light of a colour in sRGB's curve, 0-1."""
    value = np.array(colour) / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def lab(xyz: np.ndarray) -> np.ndarray:
    """CIE 1976 L*a*b* under D65."""
    ratio = xyz / SRGB.sum(axis=1)
    root = np.where(ratio > 216 / 24389, np.cbrt(ratio), (24389 / 27 * ratio + 16) / 116)
    return np.array([116 * root[1] - 16, 500 * (root[0] - root[1]), 200 * (root[1] - root[2])])


def ciede2000(one: Colour, other: Colour) -> float:
    """Return the difference of two sRGB colours by ISO/CIE 11664-6; 1 is just noticeable."""
    return lab_difference(lab(SRGB @ linear(one)), lab(SRGB @ linear(other)))


def lab_difference(one: np.ndarray, other: np.ndarray) -> float:
    """CIEDE2000 of two L*a*b* colours (Sharma, Wu, Dalal 2005, equations 2 to 22)."""
    mean = (np.hypot(*one[1:]) + np.hypot(*other[1:])) / 2
    stretch = 1.5 - 0.5 * np.sqrt(mean**7 / (mean**7 + 25.0**7))
    chroma1, chroma2 = np.hypot(one[1] * stretch, one[2]), np.hypot(other[1] * stretch, other[2])
    hue1 = np.degrees(np.arctan2(one[2], one[1] * stretch)) % 360
    hue2 = np.degrees(np.arctan2(other[2], other[1] * stretch)) % 360
    grey = chroma1 * chroma2 == 0
    turn = 0.0 if grey else (hue2 - hue1 + 180) % 360 - 180
    hue = hue1 + hue2 if grey else (hue1 + turn / 2) % 360
    lightness, chroma = (one[0] + other[0]) / 2, (chroma1 + chroma2) / 2
    weight = 1 + sum(
        factor * np.cos(np.radians(times * hue + shift))
        for factor, times, shift in ((-0.17, 1, -30), (0.24, 2, 0), (0.32, 3, 6), (-0.20, 4, -63))
    )
    by_lightness = (other[0] - one[0]) / (1 + 0.015 * (lightness - 50) ** 2 / np.sqrt(20 + (lightness - 50) ** 2))
    by_chroma = (chroma2 - chroma1) / (1 + 0.045 * chroma)
    by_hue = 2 * np.sqrt(chroma1 * chroma2) * np.sin(np.radians(turn) / 2) / (1 + 0.015 * chroma * weight)
    twist = np.sin(np.radians(60 * np.exp(-(((hue - 275) / 25) ** 2))))
    twist *= -2 * np.sqrt(chroma**7 / (chroma**7 + 25.0**7))
    return float(np.sqrt(by_lightness**2 + by_chroma**2 + by_hue**2 + twist * by_chroma * by_hue))
