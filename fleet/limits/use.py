"""How much of a limit is used: what `shoebox quotas` shows and /metrics exports, the same for every limit."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class LimitUse:
    """One limit on one thing, now.

    `limit` is its stable name, such as `lambda.concurrency`; `subject` what it holds for: `account`, or the name of a
    function, queue, route, table or prefix. `used`, `peak` (the highest since the start) and `most` are in `unit`;
    `most` is infinite where there is no limit. `throttled` counts refusals since the start.
    """

    limit: str
    subject: str
    used: float
    peak: float
    most: float
    unit: str
    throttled: int = 0

    @property
    def headroom(self) -> float:
        """How much more there may be now."""
        return max(0.0, self.most - self.used)

    @property
    def factor(self) -> float:
        """How many times the highest load so far would hit the limit; infinite for what was never used."""
        return self.most / self.peak if self.peak else math.inf


@dataclass(frozen=True, slots=True)
class Count:
    """Something that AWS bills, so far: requests, or units of capacity; it never falls.

    `service` and `operation` are AWS's names in short, such as `s3` and `PUT`; `subject` is the table or index that
    units were used of.
    """

    service: str
    operation: str
    value: float
    subject: str = ""


@dataclass(frozen=True, slots=True)
class DataUse:
    """What is kept and counted beside the emulator: limits, the requests that passed, and units of capacity."""

    uses: Sequence[LimitUse] = ()
    requests: Sequence[Count] = ()
    units: Sequence[Count] = ()


class Limit(Protocol):
    """Whatever keeps limits can say how they are used; `now` in seconds of its clock."""

    def uses(self, now: float) -> Iterable[LimitUse]:
        """Yield each limit that it keeps."""


def nearest(uses: Iterable[LimitUse]) -> list[LimitUse]:
    """Sort limits as growing load would hit them: those that refused already come first."""
    return sorted(uses, key=lambda use: (use.factor, -use.throttled, use.limit, use.subject))
