"""Shapes of a load: photos a second over the seconds of a run. Pure. The names are k6's ("Scenarios", executors)."""

from __future__ import annotations

import bisect
from dataclasses import dataclass
from typing import Protocol

from load_tests.curves import CURVES, DAY


class Shape(Protocol):
    """How many photos come in a second at `t` seconds from the start; none after `seconds`."""

    @property
    def seconds(self) -> float:
        """How long it lasts."""

    @property
    def peak(self) -> float:
        """The highest rate."""

    def rate(self, t: float) -> float:
        """Photos a second at `t`."""


@dataclass(frozen=True, slots=True)
class Stages:
    """Straight lines between points (second, rate): k6's ramping arrival rate."""

    points: tuple[tuple[float, float], ...]

    @property
    def seconds(self) -> float:
        """The last point's."""
        return self.points[-1][0]

    @property
    def peak(self) -> float:
        """The highest point."""
        return max(rate for _, rate in self.points)

    def rate(self, t: float) -> float:
        """On the line between the two points around `t`."""
        after = bisect.bisect_right(self.points, t, key=lambda point: point[0])
        if not 0 < after < len(self.points):
            return self.points[-1][1] if t == self.seconds else 0.0
        (t0, rate0), (t1, rate1) = self.points[after - 1 : after + 1]
        return rate0 + (rate1 - rate0) * (t - t0) / (t1 - t0)


@dataclass(frozen=True, slots=True)
class DayInMinutes:
    """A whole day's curve in `seconds`, each second at its real rate: time is compressed, rates are not."""

    curve: str
    uploads_per_day: float
    seconds: float

    @property
    def peak(self) -> float:
        """The day's busiest minute's."""
        return max(CURVES[self.curve](second) for second in range(0, DAY, 60)) * self.uploads_per_day

    def rate(self, t: float) -> float:
        """The rate of the second of the day that `t` stands for."""
        return CURVES[self.curve](t * DAY / self.seconds) * self.uploads_per_day if t < self.seconds else 0.0


@dataclass(frozen=True, slots=True)
class Scaled:
    """Another shape at a part of its rate: a wind tunnel's."""

    shape: Shape
    by: float

    @property
    def seconds(self) -> float:
        """As long as the other."""
        return self.shape.seconds

    @property
    def peak(self) -> float:
        """The other's, divided."""
        return self.shape.peak / self.by

    def rate(self, t: float) -> float:
        """The other's, divided."""
        return self.shape.rate(t) / self.by


def constant(rate: float, seconds: float) -> Stages:
    """The same rate all the time."""
    return Stages(((0.0, rate), (seconds, rate)))


def spike(base: float, peak: float, seconds: float) -> Stages:
    """`base`, then `peak` for three fifths of the time (with a twentieth to get there and back), then `base` again."""
    return Stages(
        (
            (0.0, base),
            (0.1 * seconds, base),
            (0.15 * seconds, peak),
            (0.75 * seconds, peak),
            (0.8 * seconds, base),
            (seconds, base),
        )
    )
