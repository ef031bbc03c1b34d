"""Scenarios, and the plan of one run that is made of a scenario and its settings."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from load_tests.arrivals import Scaled, Shape
from load_tests.photos import MIXES, Mix
from load_tests.settings import LoadSettings

_STEPS = (1, 2, 5, 10)


@dataclass(frozen=True, slots=True)
class Scenario:
    """A load with a purpose. `shape` makes its load from photos a day and seconds; `thresholds` are what must hold.

    `users`: how many owners the photos are spread over; None: every visit is a user of its own. `mix`: the mix of
    photos. `title` says what the report is about, `about` what it is to show.
    """

    name: str
    title: str
    about: str
    shape: Callable[[float, float], Shape]
    uploads_per_day: float
    seconds: float
    thresholds: tuple[str, ...]
    mix: str = "small"
    users: int | None = None
    scale: float | None = None
    """A fixed scale, where the point is to meet a limit; None: as small as the machine allows."""
    naive_thresholds: tuple[str, ...] = ()
    """What the same load must do to a stack that has S3 invoke one function for each event; none: no such run."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One run of a scenario: its load at its scale."""

    scenario: Scenario
    shape: Shape
    mix: Mix
    scale: float
    uploads_per_day: float
    seconds: float
    thresholds: tuple[str, ...]

    @property
    def quotas(self) -> str:
        """The quotas that belong to the scale: `aws`, or `aws/N` of a scaled-down run."""
        return "aws" if self.scale == 1 else f"aws/{self.scale:.0f}"


def make_plan(scenario: Scenario, settings: LoadSettings) -> Plan:
    """Return the run of a scenario that settings ask for."""
    mix = MIXES[settings.mix or scenario.mix]
    uploads = settings.uploads_per_day or scenario.uploads_per_day
    seconds = settings.seconds or scenario.seconds
    whole = scenario.shape(uploads, seconds)
    scale = settings.scale or scenario.scale or scale_for(whole.peak, settings.max_rate or mix.max_rate)
    thresholds = scenario.thresholds if settings.thresholds is None else tuple(settings.thresholds)
    shape = whole if scale == 1 else Scaled(whole, scale)
    return Plan(scenario, shape, mix, scale, uploads, seconds, thresholds)


def scale_for(peak: float, max_rate: float) -> float:
    """Return the smallest of 1, 2, 5, 10, 20, … by which `peak` photos a second come down to `max_rate`."""
    if peak <= max_rate:
        return 1.0
    power = 10.0 ** math.floor(math.log10(peak / max_rate))
    return next(step * power for step in _STEPS if step * power >= peak / max_rate * (1 - 1e-9))
