"""Limits over a run: the highest use, refusals, when they began, and what to ask AWS for. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from fleet.limits.plan import TARGET, rounded_up
from fleet.limits.use import LimitUse
from load_tests.observe.increases import Increases
from load_tests.results import Limit

_RATE = "/s"  # the end of a rate's unit; what a rate refused in a second counts as wanted in that second


@dataclass(slots=True)
class _LimitState:
    """A limit so far: its last use, its peak before the run, and in the run the highest use and the highest demand."""

    last: LimitUse
    before: float
    highest: float
    wanted: float
    first_at: float | None = None

    @property
    def peak(self) -> float:
        """The highest use in the run: exact where it exceeds the peak before the run, else the highest sample."""
        return self.last.peak if self.last.peak > self.before else self.highest


class LimitsOfRun:
    """Every limit that a stack keeps, from the first sample on."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str], _LimitState] = {}
        self._refusals: Increases[tuple[str, str]] = Increases()
        self._first = True
        self._at = 0.0

    def note(self, t: float, uses: Iterable[LimitUse]) -> None:
        """Record the limits, `t` seconds after the first sample."""
        known = {(use.limit, use.subject): use for use in uses}
        if not known:
            return  # every fleet has limits, so the process that keeps them did not respond in time
        refused = self._refusals.note((key, use.throttled) for key, use in known.items())
        for key, use in known.items():
            seen = self._seen.get(key)
            if seen is None:
                seen = self._seen[key] = _LimitState(use, use.peak if self._first else 0.0, use.used, 0.0)
            if use.peak < seen.last.peak:
                seen.before = 0.0  # a peak that falls: the fleet was restarted and counts from 0
            seen.last, seen.highest = use, max(seen.highest, use.used)
            if more := refused.get(key):
                seen.first_at = t if seen.first_at is None else seen.first_at
                if use.unit.endswith(_RATE) and t > self._at:
                    seen.wanted = max(seen.wanted, use.used + more / (t - self._at))
        self._first, self._at = False, t

    def results(self) -> list[Limit]:
        """Return the limits that were used or refused in the run, the nearest first."""
        limits = []
        for key, seen in self._seen.items():
            use, throttled = seen.last, int(self._refusals.totals.get(key, 0))
            if not (seen.peak or throttled):
                continue
            limits.append(
                Limit(
                    limit=use.limit,
                    subject=use.subject,
                    unit=use.unit,
                    peak=seen.peak,
                    maximum=None if use.maximum == math.inf else use.maximum,
                    throttled=throttled,
                    first_at=seen.first_at,
                    raise_to=_raise_to(max(seen.peak, seen.wanted), use.maximum, hit=throttled > 0),
                )
            )
        return sorted(limits, key=_nearness)


def _raise_to(wanted: float, maximum: float, *, hit: bool) -> float | None:
    """Return the value to ask AWS for, as `fleet.limits.plan` does: the demand is to be 80 % of it.

    The demand on a limit that was hit was at least the limit.
    """
    if maximum == math.inf or not (hit or wanted > TARGET * maximum):
        return None
    return rounded_up(max(wanted, maximum if hit else 0.0) / TARGET)


def _nearness(limit: Limit) -> tuple[float, int, str, str]:
    factor = math.inf if limit.maximum is None or not limit.peak else limit.maximum / limit.peak
    return factor, -limit.throttled, limit.limit, limit.subject
