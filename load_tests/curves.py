"""How a day's uploads spread over its seconds. Pure; every curve sums to 1 over the `DAY` seconds of a day.

`CURVES[name](second_of_day) * uploads_per_day` is the rate at that second, in photos a second.

No photo shop publishes its load by the hour, so the shapes are assumptions: `day` is low at night and has an evening
peak of about three times the mean; `christmas` is the same day with five minutes, at 20:00, at ten times the mean.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

Curve: TypeAlias = Callable[[float], float]
"""From the second of a day (others are taken modulo `DAY`) to the part of the day's uploads that come in a second."""

DAY = 86_400
PEAK_AT = 20 * 3600
"""The second of the day when the five minutes of `christmas` begin."""
PEAK_SECONDS = 300
PEAK_FACTOR = 10.0
"""What these minutes are of the day's mean."""
_NIGHT = (0.35, 0.2, 0.1, 0.1, 0.1, 0.15, 0.3, 0.5)
_DAY = (0.7, 0.8, 0.9, 0.95, 1.0, 1.0, 1.0, 1.05)
_EVENING = (1.15, 1.35, 1.9, 2.6, 3.0, 2.5, 1.5, 0.7)
_HOURS = (*_NIGHT, *_DAY, *_EVENING)
_SUM = 3600 * math.fsum(_HOURS)  # of every second: what an hour has more at its end, others have less


def flat(second: float) -> float:
    """The same in every second."""
    return 1 / DAY


def day(second: float) -> float:
    """A usual day: each hour's value at its start, linear in between."""
    hour, part = divmod(second % DAY / 3600, 1.0)
    begin, end = _HOURS[int(hour)], _HOURS[(int(hour) + 1) % 24]
    return (begin * (1 - part) + end * part) / _SUM


def christmas(second: float) -> float:
    """The usual day, and ten times the mean in the five worst minutes."""
    if PEAK_AT <= second % DAY < PEAK_AT + PEAK_SECONDS:
        return PEAK_FACTOR / DAY
    return day(second) * _REST


_IN_PEAK = math.fsum(map(day, range(PEAK_AT, PEAK_AT + PEAK_SECONDS)))
_REST = (1 - PEAK_FACTOR * PEAK_SECONDS / DAY) / (1 - _IN_PEAK)
CURVES: dict[str, Curve] = {"flat": flat, "day": day, "christmas": christmas}
