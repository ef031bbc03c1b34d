"""Shapes and arrivals: how much load there is, and when, to the photo."""

from __future__ import annotations

import itertools

import pytest

from load_tests.arrivals import (
    DAY,
    VISIT_SIZES,
    DayInMinutes,
    Scaled,
    Shape,
    Stages,
    Visit,
    constant,
    mean_photos,
    spike,
    visits,
)

RAMP = Stages(((0, 0), (10, 20), (20, 20), (30, 0)))


@pytest.mark.parametrize(
    ("shape", "t", "rate"),
    [
        pytest.param(constant(5, 60), 0, 5, id="constant, first"),
        pytest.param(constant(5, 60), 59.9, 5, id="constant, last"),
        pytest.param(constant(5, 60), 61, 0, id="nothing after the end"),
        pytest.param(RAMP, 5, 10, id="halfway up"),
        pytest.param(RAMP, 15, 20, id="on top"),
        pytest.param(RAMP, 25, 10, id="halfway down"),
        pytest.param(spike(1, 10, 500), 20, 1, id="before the peak"),
        pytest.param(spike(1, 10, 500), 75, 10, id="the peak begins"),
        pytest.param(spike(1, 10, 500), 375, 10, id="and lasts five minutes"),
        pytest.param(spike(1, 10, 500), 450, 1, id="after it"),
        pytest.param(DayInMinutes("flat", DAY * 7, 600), 300, 7, id="a day's curve keeps its rate"),
        pytest.param(DayInMinutes("flat", DAY * 7, 600), 600, 0, id="and ends"),
        pytest.param(Scaled(constant(500, 60), 100), 10, 5, id="a hundredth"),
    ],
)
def test_the_rate_at_a_moment(shape: Shape, t: float, rate: float) -> None:
    """Photos a second where the shape says so, and none after its end."""
    assert shape.rate(t) == pytest.approx(rate)


@pytest.mark.parametrize(
    "shape",
    [RAMP, spike(1, 10, 500), DayInMinutes("day", 1_000_000, 600), Scaled(DayInMinutes("christmas", 1e6, 900), 10)],
    ids=["stages", "spike", "day", "scaled"],
)
def test_no_moment_is_above_the_peak(shape: Shape) -> None:
    """Thinning needs an upper bound, and the scale is chosen by it; it is reached, too."""
    rates = [shape.rate(shape.seconds * n / 5000) for n in range(5000)]

    assert max(rates) <= shape.peak * (1 + 1e-9)
    assert max(rates) == pytest.approx(shape.peak, rel=0.02)


def test_as_many_photos_come_as_the_shape_says() -> None:
    """Within what chance allows for fifty thousand photos, in each part of the run."""
    shape = Stages(((0, 50), (1000, 50), (1000.001, 0), (1500, 0), (1500.001, 25), (2500, 25)))
    come = list(visits(shape, seed=7))

    def between(begin: float, end: float) -> int:
        return sum(visit.photos for visit in come if begin <= visit.at < end)

    assert between(0, 1000) == pytest.approx(50_000, rel=0.06)
    assert between(1001, 1500) == 0
    assert between(1501, 2500) == pytest.approx(25_000, rel=0.08)


def test_arrivals_are_a_poisson_process() -> None:
    """Gaps have a mean and a deviation that are alike, and a third of them is longer than the mean (1/e)."""
    come = list(visits(constant(57.5, 2000), seed=3))
    gaps = [b.at - a.at for a, b in itertools.pairwise(come)]
    mean = sum(gaps) / len(gaps)
    deviation = (sum((gap - mean) ** 2 for gap in gaps) / len(gaps)) ** 0.5

    assert mean == pytest.approx(mean_photos(VISIT_SIZES) / 57.5, rel=0.03)
    assert deviation == pytest.approx(mean, rel=0.05)
    assert sum(gap > mean for gap in gaps) / len(gaps) == pytest.approx(0.368, abs=0.02)


def test_the_same_seed_is_the_same_load() -> None:
    """To the microsecond; another seed is another load."""
    once, again, other = (list(visits(spike(2, 20, 100), seed)) for seed in (5, 5, 6))

    assert once == again
    assert once != other
    assert [visit.number for visit in once] == list(range(len(once)))
    assert once == sorted(once, key=lambda visit: visit.at)


def test_a_load_of_nothing_has_no_visits() -> None:
    """And does not take for ever to say so."""
    assert list(visits(constant(0, 60), seed=1)) == []


def test_visits_have_the_sizes_that_they_are_said_to_have() -> None:
    """The documented mean is the table's, and what is drawn has it."""
    sizes = [visit.photos for visit in visits(constant(100, 1000), seed=2)]

    assert mean_photos(VISIT_SIZES) == pytest.approx(5.5, abs=0.01)
    assert set(sizes) == {size for size, _ in VISIT_SIZES}
    assert sum(sizes) / len(sizes) == pytest.approx(5.5, rel=0.03)
    assert Visit(0, 0.0, 1).photos == 1
