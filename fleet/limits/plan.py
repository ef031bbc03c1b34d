"""What a planned load needs of each limit, and what to do about it. Pure: arithmetic, no clock.

Concurrency is Little's law, L = λ W (J. D. C. Little, "A Proof for the Queuing Formula L = λW", 1961), which AWS uses
for functions, too: "Understanding Lambda function scaling", "Concurrency = (average requests per second) * (average
request duration in seconds)".
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

DAY_SECONDS = 86_400
TARGET = 0.8
"""How much of a limit a plan may use: the rest is for the seconds that are busier than the plan's busiest."""


class NeedStatus(StrEnum):
    """Whether a limit is high enough for a plan, and what can be done where it is not."""

    OK = "ok"
    RAISE = "raise"
    FIXED = "cannot be raised"


@dataclass(frozen=True, slots=True)
class Need:
    """What a load needs of one limit; names and units are those of `LimitUse`.

    `needed` is at the peak, `maximum` what there is now. `ceiling` is the highest that anybody can get, and `instead`
    what to do where that is too low. `where` says what is raised, if not a quota of AWS. `reserved` is what others
    have of the same quota: it is raised for them, too.
    """

    limit: str
    subject: str
    needed: float
    maximum: float
    unit: str
    ceiling: float = math.inf
    instead: str = ""
    where: str = ""
    reserved: float = 0.0

    @property
    def factor(self) -> float:
        """How many times the planned load would hit the limit; below 1 it is hit by the plan."""
        return self.maximum / self.needed if self.needed else math.inf

    @property
    def status(self) -> NeedStatus:
        """Whether there is enough, could be, or never will be."""
        if self.needed <= self.maximum * TARGET:
            return NeedStatus.OK
        return NeedStatus.RAISE if self.needed <= self.ceiling and self.ceiling > self.maximum else NeedStatus.FIXED

    @property
    def raise_to(self) -> float | None:
        """The value to ask for, at most the ceiling; None where there is nothing to ask for."""
        if self.status is not NeedStatus.RAISE:
            return None
        return min(self.ceiling, rounded_up(self.needed / TARGET + self.reserved))

    @property
    def advice(self) -> str:
        """What to do, for people."""
        if self.status is NeedStatus.RAISE:
            return f"raise to {self.raise_to:,.0f}{f' ({self.where})' if self.where else ''}"
        return self.status.value if self.status is NeedStatus.OK else f"{self.status}: {self.instead}"


def peak_rate(per_day: float, peak_factor: float) -> float:
    """Return the load of the busiest seconds, from a day's and the ratio of the busiest seconds to the mean."""
    return per_day / DAY_SECONDS * peak_factor


def at_once(rate: float, seconds: float) -> float:
    """Return how many are there at a time, when `rate` come each second and stay for `seconds` (Little's law)."""
    return rate * seconds


def rounded_up(value: float) -> float:
    """Round up to two digits: 1,447 is 1,500. Below ten, to a whole number."""
    step = 10.0 ** max(0, math.floor(math.log10(value)) - 1) if value > 0 else 1.0
    return math.ceil(value / step - 1e-9) * step


def nearest_first(needs: Iterable[Need]) -> list[Need]:
    """Sort needs as growing load would hit them, like `fleet.limits.use.nearest`; leave out what is not needed."""
    return sorted((n for n in needs if n.needed), key=lambda need: (need.factor, need.limit, need.subject))
