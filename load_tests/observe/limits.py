"""Limits over a run: the highest use, refusals, when they began, and what to ask AWS for. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from fleet.limits.plan import TARGET, rounded_up
from fleet.limits.use import LimitUse
from load_tests.observe.increases import Increases
from load_tests.results import Limit

_RATE = "/s"  # units of rates end so: what they refused in a second was wanted in that second


@dataclass(slots=True)
class _Seen:
    """A limit so far: its last use, the peak that it had before the run, and the highest in it."""

    last: LimitUse
    before: float
    highest: float
    wanted: float
    first_at: float | None = None

    @property
    def peak(self) -> float:
        """The highest of the run: exact where it rose above what was before, else of the moments that were seen."""
        return self.last.peak if self.last.peak > self.before else self.highest


class LimitsOfRun:
    """Every limit that a stack keeps, from the first look on."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str], _Seen] = {}
        self._refusals: Increases[tuple[str, str]] = Increases()
        self._first = True
        self._at = 0.0

    def note(self, t: float, uses: Iterable[LimitUse]) -> None:
        """The limits, `t` seconds after the first look."""
        known = {(use.limit, use.subject): use for use in uses}
        if not known:
            return  # a fleet has limits: whoever keeps them did not answer
        refused = self._refusals.note((key, use.throttled) for key, use in known.items())
        for key, use in known.items():
            seen = self._of(key, use)
            if use.peak < seen.last.peak:
                seen.before = 0.0  # it was started anew
            seen.last, seen.highest = use, max(seen.highest, use.used)
            self._note_refusals(seen, use, refused.get(key) or 0.0, t)
        self._first, self._at = False, t

    def _of(self, key: tuple[str, str], use: LimitUse) -> _Seen:
        if key not in self._seen:
            self._seen[key] = _Seen(use, use.peak if self._first else 0.0, use.used, 0.0)
        return self._seen[key]

    def _note_refusals(self, seen: _Seen, use: LimitUse, refused: float, t: float) -> None:
        if not refused:
            return
        seen.first_at = t if seen.first_at is None else seen.first_at
        if use.unit.endswith(_RATE) and t > self._at:
            seen.wanted = max(seen.wanted, use.used + refused / (t - self._at))

    def results(self) -> list[Limit]:
        """Those that were used or refused in the run, the nearest first."""
        limits = [self._result(key, seen) for key, seen in self._seen.items()]
        return sorted((limit for limit in limits if limit.peak or limit.throttled), key=_nearness)

    def refused(self, limit: str, subject: str) -> int:
        """Refusals of one limit in the run."""
        return int(self._refusals.totals.get((limit, subject), 0))

    def _result(self, key: tuple[str, str], seen: _Seen) -> Limit:
        use, throttled = seen.last, self.refused(*key)
        return Limit(
            limit=use.limit,
            subject=use.subject,
            unit=use.unit,
            peak=seen.peak,
            most=None if use.most == math.inf else use.most,
            throttled=throttled,
            first_at=seen.first_at,
            ask=_ask(max(seen.peak, seen.wanted), use.most, hit=throttled > 0),
        )


def _ask(wanted: float, most: float, *, hit: bool) -> float | None:
    """As `fleet.limits.plan`: what was wanted is to be 80 % of it; of a limit that was hit, at least all of it was."""
    if most == math.inf or not (hit or wanted > TARGET * most):
        return None
    return rounded_up(max(wanted, most if hit else 0.0) / TARGET)


def _nearness(limit: Limit) -> tuple[float, int, str, str]:
    factor = math.inf if limit.most is None or not limit.peak else limit.most / limit.peak
    return factor, -limit.throttled, limit.limit, limit.subject
