"""Charts as the page gets them: colours, dashes, limits, and lines short enough for a page."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from load_tests.report.charts import Chart, charts_of, document, panels_of
from load_tests.report.palette import DARK, LIGHT, Colours
from load_tests.report.thinning import MAX_POINTS, fair_share, thin
from load_tests.results import Series
from tests.unit.load_tests.report_runs import christmas, simulated_day

_SEEN_BY = {
    "everybody": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)


def _linear(colour: str) -> np.ndarray:
    part = np.array([int(colour[n : n + 2], 16) for n in (1, 3, 5)]) / 255
    return np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)


def _lab(linear: np.ndarray) -> np.ndarray:
    x, y, z = np.cbrt(_XYZ @ np.clip(linear, 0, 1) / np.array([0.95047, 1, 1.08883]))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("eyes", _SEEN_BY)
@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
def test_colours_are_told_apart(colours: tuple[str, ...], eyes: str) -> None:
    """Any two colours differ, for colour-blind eyes as well (ΔE of CIE 1976; above 10 is seen at a glance)."""
    seen = [_lab(np.array(_SEEN_BY[eyes]) @ _linear(colour)) for colour in colours]
    assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2)) > 20


@pytest.mark.parametrize(("colours", "card"), [(LIGHT, "#ffffff"), (DARK, "#1e2124")], ids=["light", "dark"])
def test_colours_stand_out(colours: tuple[str, ...], card: str) -> None:
    """Lines have the contrast of graphics to what is behind them (WCAG 2.2, 1.4.11: 3 to 1)."""
    behind = float((_XYZ @ _linear(card))[1])
    for colour in colours:
        light, dark = sorted((float((_XYZ @ _linear(colour))[1]), behind), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 2.9


def test_the_same_thing_has_the_same_colour() -> None:
    """A function has its colour wherever it is named, and a thing unknown to the palette keeps its own."""
    colours = Colours()
    names = ("function ingest", "ingest", "ingest: ReservedFunctionConcurrentInvocationLimitExceeded")
    assert len({colours.of(name) for name in names}) == 1
    assert colours.of("POST /v1/files") == colours.of("POST /v1/files") != colours.of("PUT original")


def test_panels_are_in_the_order_of_what_users_feel() -> None:
    """Photos and their delay come first, the machine last."""
    panels = list(panels_of(christmas()))
    assert panels[:3] == ["photos/s", "delay", "API"]
    assert panels[-2:] == ["CPU", "memory"]


def test_limits_are_dashed_and_last() -> None:
    """A limit has its subject's colour and no mean; an account's limit that is far above the lines is off the chart."""
    concurrency = _chart(charts_of(christmas()), "Concurrency")
    lines = {line.name: line for line in concurrency.lines}
    assert [line.limit for line in concurrency.lines] == [False, False, False, True, True]
    assert lines["ingest limit"].colour == lines["ingest"].colour
    assert lines["ingest limit"].mean == "–"
    assert lines["ingest limit"].peak == "4"
    assert concurrency.top == 10


@pytest.mark.parametrize(("limit", "off"), [(10.0, False), (1_000.0, True)], ids=["near", "far"])
def test_a_far_limit_does_not_press_the_lines_flat(limit: float, off: bool) -> None:
    """A limit is drawn where the lines come near it, and else only named."""
    lines = [_series("ingest", [1.0, 4.0, 2.0]), _series("ingest limit", [limit] * 3)]
    [chart] = charts_of(christmas(series=lines))
    assert chart.lines[1].off_chart is off
    assert chart.top == (4.0 if off else 10.0)


def test_lines_of_one_colour_differ_by_their_dashes() -> None:
    """Two figures of the same queue are told apart."""
    waiting, in_flight = _chart(charts_of(christmas()), "Backlog").lines
    assert waiting.colour == in_flight.colour
    assert waiting.dash != in_flight.dash


def test_peaks_and_means_are_of_all_points() -> None:
    """The table's figures are exact, however coarse the line is drawn, and gaps count for nothing."""
    values: list[float | None] = [1.0] * 10_000
    values[5_000], values[6_000] = 500.0, None
    [chart] = charts_of(christmas(series=[_series("api", values)]))
    [line] = chart.lines
    assert line.points.thinned
    assert (line.peak, line.at) == ("500", "1:23")
    assert line.mean == "1.05"


@pytest.mark.parametrize("points", [10, MAX_POINTS, MAX_POINTS + 1, 86_400])
def test_lines_have_at_most_so_many_numbers(points: int) -> None:
    """A day by the second fits into a page; its lowest and highest values are still there."""
    values: list[float | None] = [float(n % 97) for n in range(points)]
    found = thin([float(n) for n in range(points)], values)
    columns = [found.values, *(column for column in (found.low, found.high) if column)]
    assert sum(map(len, columns)) <= max(MAX_POINTS, points if not found.thinned else 0)
    assert found.thinned is (points > MAX_POINTS)
    assert max(value for value in columns[-1] if value is not None) == min(points - 1, 96)
    assert all(a < b for a, b in itertools.pairwise(found.t))


@pytest.mark.parametrize(
    ("lengths", "total", "share"),
    [
        ([], 100, MAX_POINTS),
        ([10, 20], 100, MAX_POINTS),
        ([100, 100], 100, 50),
        ([10, 100, 100], 100, 45),
        ([900] * 4, 100, 25),
    ],
    ids=["none", "all fit", "equal", "a short one", "many"],
)
def test_long_lines_share_what_short_ones_leave(lengths: list[int], total: int, share: int) -> None:
    """No line is made coarser than all together need."""
    assert fair_share(lengths, total) == share


def test_gaps_stay() -> None:
    """Where nothing was seen, nothing is drawn."""
    values: list[float | None] = [1.0] * 3_000 + [None] * 3_000 + [2.0] * 3_000
    found = thin([float(n) for n in range(9_000)], values)
    middle = [value for t, value in zip(found.t, found.values, strict=True) if 3_100 < t < 5_900]
    assert middle
    assert set(middle) == {None}


def test_a_line_needs_a_time_for_each_value() -> None:
    """A series that does not fit together is refused, not drawn wrongly."""
    with pytest.raises(ValueError, match="2 times for 1 values"):
        thin([0.0, 1.0], [1.0])


def test_times_are_said_once() -> None:
    """Lines that were sampled together share their times, as first, step and count; steady lines are one number."""
    found = document(charts_of(christmas()))
    assert found["times"] == [
        {"from": 0.0, "step": 1.0, "count": 521},
        {"from": 0.0, "step": 5.0, "count": 105},
    ]
    lines = [line for chart in found["charts"].values() for line in chart["lines"] if line["limit"]]
    assert sorted(line["values"] for line in lines) == [4, 10]


def test_uneven_times_are_listed() -> None:
    """Samples that came late are drawn where they were."""
    series = Series(panel="CPU", name="api", unit="cores", t=[0.0, 1.004, 2.513], values=[0.123456, None, 2.0])
    found = document(charts_of(christmas(series=[series])))
    assert found["times"] == [[0.0, 1.0, 2.51]]
    assert found["charts"]["c0"]["lines"][0]["values"] == [0.1235, None, 2]


def test_a_day_ends_with_its_load() -> None:
    """The time axis is the run's: of a day it has 24 hours."""
    assert {chart.span for chart in charts_of(simulated_day())} == {86_340.0}


def _series(name: str, values: list[float] | list[float | None]) -> Series:
    at = [float(n) for n in range(len(values))]
    return Series(panel="concurrency", name=name, unit="", t=at, values=list(values))


def _chart(charts: tuple[Chart, ...], title: str) -> Chart:
    return next(chart for chart in charts if chart.title == title)
