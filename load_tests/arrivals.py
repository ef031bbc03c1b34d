"""Arrivals of an open model: visits come when they come, however slow the service is (k6: "Open and closed models").

A Poisson process whose rate follows a shape, by thinning (Lewis and Shedler, "Simulation of nonhomogeneous Poisson
processes by thinning", 1979). The same seed gives the same visits, whoever makes them: a generator of several
processes has each take its own part of the one schedule.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from load_tests.shapes import Shape

VISIT_SIZES: Sequence[tuple[int, float]] = ((1, 0.25), (2, 0.15), (3, 0.15), (5, 0.20), (10, 0.15), (20, 0.10))
"""Photos of a visit with their shares: an assumption, for no shop publishes it. The mean is 5.5."""


@dataclass(frozen=True, slots=True, order=True)
class Visit:
    """Somebody comes `at` seconds after the start with some photos; `number` counts visits from 0."""

    number: int
    at: float
    photos: int


def visits(shape: Shape, seed: int, sizes: Sequence[tuple[int, float]] = VISIT_SIZES) -> Iterator[Visit]:
    """All visits of a run in their order."""
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
    """Photos of a visit, on the average."""
    return sum(count * share for count, share in sizes) / sum(share for _, share in sizes)
