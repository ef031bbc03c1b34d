"""Long lines made short enough for a page: buckets of neighbours, each with its lowest, mean and highest value."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

MAX_POINTS = 2_000
"""Numbers that a line may have in the page; a chart is about 600 points wide."""
_NUMBERS_EACH = 3  # lowest, mean, highest


@dataclass(frozen=True, slots=True)
class Points:
    """A line as it is drawn. `low` and `high` only where neighbours were put together: `values` are their means."""

    t: list[float]
    values: list[float | None]
    low: list[float | None] | None = None
    high: list[float | None] | None = None

    @property
    def thinned(self) -> bool:
        """Whether neighbours were put together."""
        return self.low is not None


def fair_share(lengths: Iterable[int], total: int) -> int:
    """Return the limit for each line with which all have `total` together: short ones leave theirs to others."""
    ordered = sorted(lengths)
    for n, length in enumerate(ordered):
        share = total // (len(ordered) - n)
        if length > share:
            return share
        total -= length
    return MAX_POINTS


def thin(t: Sequence[float], values: Sequence[float | None], limit: int = MAX_POINTS) -> Points:
    """Return a line of at most `limit` numbers. A bucket is None where all its values are: wide gaps stay.

    Raises ValueError where a line has not as many times as values.
    """
    if len(t) != len(values):
        raise ValueError(f"{len(t)} times for {len(values)} values")
    if len(t) <= limit:
        return Points(list(t), list(values))
    size = -(-len(t) // max(1, limit // _NUMBERS_EACH))
    buckets = [range(start, min(start + size, len(t))) for start in range(0, len(t), size)]
    known = [[value for n in bucket if (value := values[n]) is not None] for bucket in buckets]
    return Points(
        [(t[bucket[0]] + t[bucket[-1]]) / 2 for bucket in buckets],
        [sum(found) / len(found) if found else None for found in known],
        [min(found, default=None) for found in known],
        [max(found, default=None) for found in known],
    )
