"""The curves of a day."""

from __future__ import annotations

import math

import pytest

from load_tests.arrivals import CURVES, DAY, PEAK_AT, PEAK_SECONDS


@pytest.mark.parametrize("name", CURVES)
def test_a_curve_is_the_whole_of_a_day(name: str) -> None:
    """Its seconds sum to 1, and none is below zero, so that `uploads_per_day` is what its name says."""
    values = [CURVES[name](second) for second in range(DAY)]

    assert math.fsum(values) == pytest.approx(1, abs=1e-12)
    assert min(values) > 0


@pytest.mark.parametrize(
    ("name", "second", "times_the_mean"),
    [
        pytest.param("flat", 0, 1.0, id="flat"),
        pytest.param("day", 3 * 3600, 0.1, id="night"),
        pytest.param("day", 20 * 3600, 3.06, id="evening"),
        pytest.param("day", 19.5 * 3600, (2.6 + 3.0) / 2 * 1.0213, id="between two hours"),
        pytest.param("day", DAY + 3 * 3600, 0.1, id="the next day"),
        pytest.param("christmas", PEAK_AT, 10.0, id="christmas"),
        pytest.param("christmas", PEAK_AT + PEAK_SECONDS - 0.5, 10.0, id="its last half second"),
        pytest.param("christmas", PEAK_AT + PEAK_SECONDS, 2.9, id="after it"),
        pytest.param("christmas", PEAK_AT - 1, 3.0, id="before it"),
    ],
)
def test_a_curve_at_a_second(name: str, second: float, times_the_mean: float) -> None:
    """Rates are multiples of the day's mean, as the module says."""
    assert CURVES[name](second) * DAY == pytest.approx(times_the_mean, rel=0.03)


@pytest.mark.parametrize("name", ["flat", "day"])
def test_a_curve_does_not_jump(name: str) -> None:
    """From one second to the next it changes by less than a thousandth of the mean, over midnight too."""
    steps = [abs(CURVES[name](second + 1) - CURVES[name](second)) * DAY for second in range(DAY)]

    assert max(steps) < 1e-3
