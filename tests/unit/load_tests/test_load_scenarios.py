"""Scenarios, and how each becomes a plan that this machine can carry out."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from load_tests.arrivals import DAY, visits
from load_tests.photos import MIXES
from load_tests.scenarios import SCENARIOS, make_plan
from load_tests.scenarios.model import Scenario, scale_for
from load_tests.settings import LoadSettings
from load_tests.stack import planned_concurrency, write_planned
from load_tests.thresholds import parse_threshold
from shoebox.stack.model import load_stack

STACK = Path(__file__).parents[3] / "stack.yaml"


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS)
def test_every_scenario_can_be_run_here(scenario: Scenario) -> None:
    """Its peak is what the machine can do, its thresholds are real ones, somebody comes, and it says what it shows.

    But for `naive`, whose short burst is to be more.
    """
    plan = make_plan(scenario, LoadSettings())

    assert (0 < plan.shape.peak <= MIXES[scenario.mix].max_rate) != bool(scenario.naive_thresholds)
    assert next(visits(plan.shape, seed=1)).photos
    assert plan.thresholds
    for threshold in (*plan.thresholds, *scenario.naive_thresholds):
        parse_threshold(threshold)
    assert scenario.title
    assert scenario.about.endswith(".")


def test_the_scenarios_are_those_that_are_promised() -> None:
    """By the names that the command line takes."""
    assert [*SCENARIOS] == ["smoke", "day", "christmas", "one-owner", "soak", "naive"]


@pytest.mark.parametrize(
    ("peak", "max_rate", "scale"),
    [(10, 50, 1), (50, 50, 1), (51, 50, 2), (100, 50, 2), (101, 50, 5), (260, 50, 10), (1157, 50, 50), (5001, 50, 200)],
)
def test_the_scale_is_the_smallest_round_one_that_the_machine_does(peak: float, max_rate: float, scale: float) -> None:
    """1, 2, 5, 10, 20, … as a person would choose."""
    assert scale_for(peak, max_rate) == scale


def test_a_large_day_is_scaled_down() -> None:
    """Load and quotas are divided alike, and time is not."""
    plan = make_plan(SCENARIOS["christmas"], LoadSettings(uploads_per_day=100_000_000, seconds=300, max_rate=50))

    assert plan.scale == 500
    assert plan.quotas == "aws/500"
    assert plan.shape.peak == pytest.approx(100_000_000 / DAY * 10 / 500)
    assert plan.shape.seconds == 300


def test_what_is_asked_for_is_taken_before_what_the_scenario_says() -> None:
    """Scale, mix and thresholds; no thresholds at all can be asked for, too."""
    asked = LoadSettings(scale=4, mix="phones", thresholds=["lost==0"])
    plan = make_plan(SCENARIOS["smoke"], asked)

    assert (plan.scale, plan.mix.name, plan.thresholds) == (4, "phones", ("lost==0",))
    assert make_plan(SCENARIOS["smoke"], LoadSettings(thresholds=[])).thresholds == ()


@pytest.mark.parametrize(("rate", "concurrency"), [(20, None), (58, 6), (1157, 110)])
def test_a_stack_is_planned_for_its_load(rate: float, concurrency: int | None) -> None:
    """As `shoebox quotas plan` says: enough is left alone."""
    assert planned_concurrency(STACK, rate) == concurrency


def test_the_planned_stack_differs_in_that_alone(tmp_path: Path) -> None:
    """It is a valid stack, and says what was changed; one that needs nothing is the same to the byte."""
    changed, same = tmp_path / "changed.yaml", tmp_path / "same.yaml"
    note = write_planned(STACK, 1157, changed)
    before, after = (yaml.safe_load(path.read_text()) for path in (STACK, changed))

    assert "from 4 to 110" in note
    assert load_stack(changed).functions["ingest"].queue.maximum_concurrency == 110  # type: ignore[union-attr]
    after["functions"]["ingest"]["queue"]["maximum_concurrency"] = 4
    assert after == before
    assert write_planned(STACK, 20, same) == ""
    assert same.read_bytes() == STACK.read_bytes()
