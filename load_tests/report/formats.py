"""Numbers as the report shows them: each with its unit, and a dash for what is unknown.

`assets/report.js` has `number`, `duration` and `clock` once more, for what a chart shows under the cursor; a test of
the page holds them together.
"""

from __future__ import annotations

import math
import re

from console.output import number_text, size_text

DASH = "–"
SPACE = "\u00a0"
"""Between a number and its unit: they stay on one line."""
_HOURS_FROM = 7200
_NOUGHT = re.compile(rf" 00{SPACE}(s|min)$|\.0+({SPACE}s)$")
_SIGNS = {"<=": "≤", ">=": "≥", "==": "="}


def number(value: float | None) -> str:
    """Return a number: whole from 100 on, three digits or so below, two significant ones below 1; no exponent."""
    if value is None or math.isnan(value):
        return DASH
    if value == 0 or abs(value) >= 100 or value == int(value):
        return number_text(value)
    if abs(value) >= 1:
        return f"{value:.{1 if abs(value) >= 10 else 2}f}"
    return f"{value:.{1 - math.floor(math.log10(abs(value)))}f}".rstrip("0")


def quantity(value: float | None, unit: str) -> str:
    """Return a value with its unit; seconds as a duration."""
    if unit == "s":
        return duration(value)
    text = number(value)
    return text if text == DASH or not unit else f"{text}{SPACE}{unit}"


def duration(seconds: float | None) -> str:
    """Return a duration in the unit that fits: from 3.2 ms to 26 h 05 min."""
    if seconds is None or math.isnan(seconds):
        return DASH
    if seconds == 0:
        return f"0{SPACE}s"
    if seconds < 0.9995:
        return f"{seconds * 1000:.{0 if seconds >= 0.01 else 1}f}{SPACE}ms"
    if seconds < 59.95:
        return f"{seconds:.{2 if seconds < 9.995 else 1}f}{SPACE}s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60}{SPACE}min {whole % 60:02}{SPACE}s"
    return f"{whole // 3600}{SPACE}h {whole % 3600 // 60:02}{SPACE}min"


def round_duration(seconds: float) -> str:
    """Return a duration without its last part where that is zero: 8 min, 24 h, 5 s."""
    return _NOUGHT.sub(lambda found: found[2] or "", duration(seconds))


def clock(seconds: float | None, span: float) -> str:
    """Return a moment of a run of `span` seconds: m:ss, or h:mm where it lasts for hours."""
    if seconds is None:
        return DASH
    whole = int(seconds) // 60 if span > _HOURS_FROM else int(seconds)
    return f"{whole // 60}:{whole % 60:02}"


def sign(operator: str) -> str:
    """Return a comparison's sign as people write it."""
    return _SIGNS.get(operator, operator)


def large(value: float) -> str:
    """Return a large number in words: 5.2 million."""
    for size, word in ((1e9, "billion"), (1e6, "million")):
        if value >= size:
            return f"{value / size:,.1f}{SPACE}{word}"
    return number(value)


def share(part: float, whole: float) -> str:
    """Return a part in percent; a small one is never shown as zero."""
    if not whole:
        return DASH
    percent = part / whole * 100
    if percent in {0, 100}:
        return f"{percent:.0f}{SPACE}%"
    return f"<{SPACE}0.1{SPACE}%" if 0 < percent < 0.05 else f"{percent:.1f}{SPACE}%"


def size(count: int) -> str:
    """Return bytes with their unit; terabytes, too, which a day's photos are."""
    return f"{number(count / 1e12)}{SPACE}TB" if count >= 1e12 else size_text(count)


def dollars(value: float | None) -> str:
    """Return US dollars to the cent; whole from a thousand on, with two significant digits below ten cents."""
    if value is None:
        return DASH
    if 0 < value < 0.1:
        return f"${number(value)}"
    return f"${value:,.0f}" if value >= 1000 else f"${value:,.2f}"
