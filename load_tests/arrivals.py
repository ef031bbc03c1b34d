"""When photos arrive: curves of a day, shapes of a load, and the visits of an open model. Pure.

A *curve* spreads a day's uploads over its seconds: `CURVES[name](second_of_day) * uploads_per_day` is the rate in
photos a second. A *shape* is the rate over the seconds of a run; its kinds are k6's ("Scenarios", executors). *Visits*
begin at their own times, however slow the service is (k6, "Open and closed models"): a Poisson process whose rate
follows the shape, by thinning (Lewis and Shedler, "Simulation of nonhomogeneous Poisson processes by thinning", 1979).

No photo shop publishes its load by the hour, so the curves are assumptions: `day` is low at night and has an evening
peak of about three times the mean; `christmas` is the same day with five minutes, at 20:00, at ten times the mean.
"""

from __future__ import annotations

import bisect
import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

Curve: TypeAlias = Callable[[float], float]
"""From the second of a day (modulo `DAY`) to the share of the day's uploads in that second; sums to 1 over a day."""

DAY = 86_400
PEAK_AT = 20 * 3600
"""The second of the day when the five minutes of `christmas` begin."""
PEAK_SECONDS = 300
PEAK_FACTOR = 10.0
"""The rate in these minutes, as a multiple of the day's mean."""
VISIT_SIZES: Sequence[tuple[int, float]] = ((1, 0.25), (2, 0.15), (3, 0.15), (5, 0.20), (10, 0.15), (20, 0.10))
"""Photos of a visit with their shares: an assumption, for no shop publishes it. The mean is 5.5."""

_NIGHT = (0.35, 0.2, 0.1, 0.1, 0.1, 0.15, 0.3, 0.5)
_DAY = (0.7, 0.8, 0.9, 0.95, 1.0, 1.0, 1.0, 1.05)
_EVENING = (1.15, 1.35, 1.9, 2.6, 3.0, 2.5, 1.5, 0.7)
_HOURS = (*_NIGHT, *_DAY, *_EVENING)
# The sum over every second: with straight lines between the hours, what one hour gains at its end another loses.
_SUM = 3600 * math.fsum(_HOURS)


def flat(second: float) -> float:
    """Return the same share for every second."""
    return 1 / DAY


def day(second: float) -> float:
    """Return a usual day's share: each hour's value at its start, linear in between."""
    hour, part = divmod(second % DAY / 3600, 1.0)
    begin, end = _HOURS[int(hour)], _HOURS[(int(hour) + 1) % 24]
    return (begin * (1 - part) + end * part) / _SUM


def christmas(second: float) -> float:
    """Return the usual day's share, and ten times the mean in the five busiest minutes."""
    if PEAK_AT <= second % DAY < PEAK_AT + PEAK_SECONDS:
        return PEAK_FACTOR / DAY
    return day(second) * _REST


# The rest of the day is lowered by what the peak takes, so that the curve still sums to 1.
_IN_PEAK = math.fsum(map(day, range(PEAK_AT, PEAK_AT + PEAK_SECONDS)))
_REST = (1 - PEAK_FACTOR * PEAK_SECONDS / DAY) / (1 - _IN_PEAK)
CURVES: dict[str, Curve] = {"flat": flat, "day": day, "christmas": christmas}


class Shape(Protocol):
    """Photos a second over the seconds of a run; none after `seconds`."""

    @property
    def seconds(self) -> float:
        """How long it lasts."""

    @property
    def peak(self) -> float:
        """The highest rate."""

    def rate(self, t: float) -> float:
        """Return the photos a second at `t` seconds from the start."""


@dataclass(frozen=True, slots=True)
class Stages:
    """Straight lines between points (second, rate): k6's ramping arrival rate."""

    points: tuple[tuple[float, float], ...]

    @property
    def seconds(self) -> float:
        """The last point's second."""
        return self.points[-1][0]

    @property
    def peak(self) -> float:
        """The highest point's rate."""
        return max(rate for _, rate in self.points)

    def rate(self, t: float) -> float:
        """Return the rate on the line between the two points around `t`."""
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
        """The rate of the day's busiest minute."""
        return max(CURVES[self.curve](second) for second in range(0, DAY, 60)) * self.uploads_per_day

    def rate(self, t: float) -> float:
        """Return the rate of the second of the day that `t` stands for."""
        return CURVES[self.curve](t * DAY / self.seconds) * self.uploads_per_day if t < self.seconds else 0.0


@dataclass(frozen=True, slots=True)
class Scaled:
    """Another shape with its rates divided by `by`, for a scaled-down run."""

    shape: Shape
    by: float

    @property
    def seconds(self) -> float:
        """As long as the other shape."""
        return self.shape.seconds

    @property
    def peak(self) -> float:
        """The other shape's peak, divided."""
        return self.shape.peak / self.by

    def rate(self, t: float) -> float:
        """Return the other shape's rate, divided."""
        return self.shape.rate(t) / self.by


def constant(rate: float, seconds: float) -> Stages:
    """Return a shape with the same rate all the time."""
    return Stages(((0.0, rate), (seconds, rate)))


def spike(base: float, peak: float, seconds: float) -> Stages:
    """Return `base`, then `peak` for three fifths of the time (a twentieth to get there and back), then `base`."""
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


@dataclass(frozen=True, slots=True, order=True)
class Visit:
    """A phone that comes `at` seconds after the start with some photos; `number` counts visits from 0."""

    number: int
    at: float
    photos: int


def visits(shape: Shape, seed: int, sizes: Sequence[tuple[int, float]] = VISIT_SIZES) -> Iterator[Visit]:
    """Yield all visits of a run in their order.

    The same seed gives the same visits in every process: a load generator of several processes has each of them take
    its share of one schedule.
    """
    draw = random.Random(seed)  # noqa: S311 - a load must repeat, not be secret
    counts, shares = [count for count, _ in sizes], [share for _, share in sizes]
    highest = shape.peak / mean_photos(sizes)
    if highest <= 0:
        return
    number, at = 0, draw.expovariate(highest)
    while at < shape.seconds:
        if draw.random() * shape.peak < shape.rate(at):
            yield Visit(number, at, draw.choices(counts, shares)[0])
            number += 1
        at += draw.expovariate(highest)


def mean_photos(sizes: Sequence[tuple[int, float]]) -> float:
    """Return the mean number of photos in a visit."""
    return sum(count * share for count, share in sizes) / sum(share for _, share in sizes)
