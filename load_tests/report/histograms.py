"""Histograms of the stages as small multiples: the same axes for all, drawn as SVG, so that they need no script."""

from __future__ import annotations

import bisect
import math
from dataclasses import dataclass

from load_tests.report.formats import SPACE, number, round_duration, share
from load_tests.results import BOUNDS, Distribution, Results

WIDTH, HEIGHT = 290, 180
_LEFT, _RIGHT, _TOP, _BOTTOM = 40, 8, 42, 24
_LABELS = 5
_LABEL_WIDTH = 84
_MARKS = ("50", "99")


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar in the drawing's units; `about` says its times, photos and share."""

    x: float
    y: float
    width: float
    height: float
    about: str


@dataclass(frozen=True, slots=True)
class Label:
    """A text at a place; `anchor` is SVG's."""

    x: float
    y: float
    text: str
    anchor: str = "middle"


@dataclass(frozen=True, slots=True)
class Histogram:
    """One stage: bars over a logarithmic axis of time; `marks` are its p50 and p99."""

    stage: str
    about: str
    bars: tuple[Bar, ...]
    marks: tuple[Label, ...]
    times: tuple[Label, ...]
    shares: tuple[Label, ...]
    left: float = _LEFT
    right: float = WIDTH - _RIGHT
    top: float = _TOP
    bottom: float = HEIGHT - _BOTTOM


@dataclass(frozen=True, slots=True)
class _Axes:
    """Bars `first` to `last` of the histogram, and shares up to `highest`."""

    first: int
    last: int
    highest: float

    @property
    def step(self) -> float:
        return (WIDTH - _LEFT - _RIGHT) / (self.last - self.first + 1)

    def x(self, bar: float) -> float:
        return round(_LEFT + (bar - self.first) * self.step, 1)

    def y(self, part: float) -> float:
        return round(HEIGHT - _BOTTOM - part / self.highest * (HEIGHT - _BOTTOM - _TOP), 1)


def histograms_of(results: Results) -> tuple[Histogram, ...]:
    """Return a histogram of each stage that photos went through."""
    stages = {stage: seconds for stage, seconds in results.stages.items() if seconds.count}
    if not stages:
        return ()
    used = [n for seconds in stages.values() for n, count in enumerate(seconds.histogram) if count]
    highest = max(max(seconds.histogram) / seconds.count for seconds in stages.values())
    axes = _Axes(min(used), max(used), highest)
    return tuple(_histogram(stage, seconds, axes) for stage, seconds in stages.items())


def _histogram(stage: str, seconds: Distribution, axes: _Axes) -> Histogram:
    marks = [name for name in _MARKS if seconds.percentile(name) is not None]
    points = ", ".join(f"p{name} {round_duration(seconds.percentiles[name])}" for name in marks)
    return Histogram(
        stage=stage,
        about=f"Histogram of {stage}, {number(seconds.count)} photos: {points}",
        bars=tuple(_bar(n, count, seconds.count, axes) for n, count in enumerate(seconds.histogram) if count),
        marks=tuple(_mark(name, seconds, axes, row) for row, name in enumerate(marks)),
        times=_time_labels(axes),
        shares=(
            Label(_LEFT - 5, axes.y(axes.highest) + 4, f"{axes.highest * 100:.0f}{SPACE}%", "end"),
            Label(_LEFT - 5, axes.y(0) + 1, "0", "end"),
        ),
    )


def _bar(n: int, count: int, photos: int, axes: _Axes) -> Bar:
    height = max(1.0, axes.y(0) - axes.y(count / photos))
    if n == len(BOUNDS):
        times = f"above {round_duration(BOUNDS[-1])}"
    else:
        times = (f"{round_duration(BOUNDS[n - 1])} to " if n else "up to ") + round_duration(BOUNDS[n])
    about = f"{times}: {number(count)} photos, {share(count, photos)}"
    return Bar(axes.x(n) + 0.5, round(axes.y(0) - height, 1), round(axes.step - 1, 1), round(height, 1), about)


def _mark(name: str, seconds: Distribution, axes: _Axes, row: int) -> Label:
    """Label a percentile. The median's label is the lower one, so that the other's passes above its line."""
    value = seconds.percentiles[name]
    x = axes.x(min(axes.last + 1, max(axes.first, _place(value))))
    anchor = "end" if x > _LABEL_WIDTH else "start"
    return Label(x, 14 + 15 * (1 - row), f"p{name} {round_duration(value)}", anchor)


def _place(value: float) -> float:
    """Return where a time is among the bars: logarithmic between a bar's bounds."""
    n = bisect.bisect_left(BOUNDS, value)
    low = BOUNDS[n - 1] if n else BOUNDS[0] / 2
    high = BOUNDS[n] if n < len(BOUNDS) else BOUNDS[-1] * 4
    return n + min(1.0, max(0.0, math.log(max(value, low) / low) / math.log(high / low)))


def _time_labels(axes: _Axes) -> tuple[Label, ...]:
    """Label the upper bounds of some bars, below their right edges."""
    bounds = range(min(axes.first, len(BOUNDS) - 1), min(axes.last, len(BOUNDS) - 1) + 1)
    every = -(-len(bounds) // _LABELS)
    return tuple(
        Label(axes.x(n + 1), HEIGHT - 8, round_duration(BOUNDS[n]), "end" if n == axes.last else "middle")
        for n in list(bounds)[every - 1 :: every]
    )
