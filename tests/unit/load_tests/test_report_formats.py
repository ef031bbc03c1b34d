"""Numbers as the report shows them."""

from __future__ import annotations

import math

import pytest

from load_tests.report import formats


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (math.nan, "–"),
        (0, "0"),
        (5, "5"),
        (5.0, "5"),
        (1.234, "1.23"),
        (31.2, "31.2"),
        (64.17, "64.2"),
        (99.96, "100.0"),
        (1234.5, "1,234"),
        (16_220, "16,220"),
        (0.1, "0.1"),
        (0.0421, "0.042"),
        (0.000_004_2, "0.0000042"),
        (-0.5, "-0.5"),
        (math.inf, "∞"),
    ],
)
def test_numbers(value: float | None, text: str) -> None:
    """Three digits or so, thousands apart, never an exponent; unknown is a dash and not nought."""
    assert formats.number(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "–"),
        (0, "0 s"),
        (0.0032, "3.2 ms"),
        (0.043, "43 ms"),
        (0.9994, "999 ms"),
        (0.9996, "1.00 s"),
        (2.104, "2.10 s"),
        (9.996, "10.0 s"),
        (45.32, "45.3 s"),
        (59.97, "1 min 00 s"),
        (312, "5 min 12 s"),
        (3599.6, "1 h 00 min"),
        (12_300, "3 h 25 min"),
        (93_900, "26 h 05 min"),
    ],
)
def test_durations(seconds: float | None, text: str) -> None:
    """A duration has the unit that fits, and what rounds up to the next unit has that one."""
    assert formats.duration(seconds).replace(formats.SPACE, " ") == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(480, "8 min"), (86_400, "24 h"), (5, "5 s"), (0.05, "50 ms"), (61, "1 min 01 s"), (10, "10 s")],
)
def test_round_durations(seconds: float, text: str) -> None:
    """The last part is left out where it says nothing."""
    assert formats.round_duration(seconds).replace(formats.SPACE, " ") == text


@pytest.mark.parametrize(
    ("seconds", "span", "text"),
    [(None, 480, "–"), (0, 480, "0:00"), (188.9, 480, "3:08"), (3725, 7200, "62:05"), (66_600, 86_400, "18:30")],
)
def test_clock(seconds: float | None, span: float, text: str) -> None:
    """A moment is in minutes and seconds, or in hours and minutes of a day."""
    assert formats.clock(seconds, span) == text


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [(2.5, "s", "2.50 s"), (4, "invocations", "4 invocations"), (4, "", "4"), (None, "MB", "–"), (None, "s", "–")],
)
def test_quantities(value: float | None, unit: str, text: str) -> None:
    """A value has its unit, and a dash has none."""
    assert formats.quantity(value, unit).replace(formats.SPACE, " ") == text


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [(0, 100, "0 %"), (100, 100, "100 %"), (1, 3, "33.3 %"), (1, 100_000, "< 0.1 %"), (5, 0, "–")],
)
def test_shares(part: float, whole: float, text: str) -> None:
    """A few of many is not nought, and of none there is no share."""
    assert formats.share(part, whole).replace(formats.SPACE, " ") == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (0, "$0.00"), (0.0042, "$0.0042"), (32.268, "$32.27"), (8_699.59, "$8,700")],
)
def test_dollars(value: float | None, text: str) -> None:
    """Cents where they matter."""
    assert formats.dollars(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (4_200, "4,200"), (5_209_920, "5.2 million"), (2.34e9, "2.3 billion")]
)
def test_large_numbers(value: float, text: str) -> None:
    """Millions are a word."""
    assert formats.large(value).replace(formats.SPACE, " ") == text
