"""Functions over a run: invocations at once, environments, and what was throttled for which reason. Pure."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable

from fleet.limits.use import LimitUse
from load_tests.observe.increases import Increases
from load_tests.observe.panels import Panels
from load_tests.observe.scrape import Scrape
from load_tests.results import Throttle

_LIMITS = ("lambda.concurrency", "lambda.reserved_concurrency")
# What these refuse are invocations: fleet_throttles has them once, by function and AWS's reason.
_OF_INVOCATIONS = frozenset({*_LIMITS, "lambda.requests", "lambda.scaling"})
_GONE = "ended"


class FunctionsOfRun:
    """The functions of a stack, and the refusals of the services that they use."""

    def __init__(self) -> None:
        self._throttles: Increases[tuple[str, ...]] = Increases()
        self._at = 0.0

    def note(self, t: float, scrape: Scrape, panels: Panels) -> None:
        """The functions at this look."""
        panels.add("concurrency", "invocations", t, self._concurrency(scrape))
        panels.add("environments", "environments", t, self._environments(scrape))
        grown = self._throttles.note([*_of_functions(scrape), *_of_services(scrape.limits)])
        if t > self._at:
            seen = ((key, more) for key, more in grown.items() if self._throttles.totals[key])
            rates = {_name(key): None if more is None else more / (t - self._at) for key, more in seen}
            panels.add("throttles/s", "refusals/s", t, rates)
        self._at = t

    def results(self) -> list[Throttle]:
        """Refusals in the run, the most frequent first."""
        counts = Counter({key: int(total) for key, total in self._throttles.totals.items() if total})
        return [Throttle(subject=key[0], reason=key[1], count=count) for key, count in counts.most_common()]

    def _concurrency(self, scrape: Scrape) -> dict[str, float | None]:
        """Of each function and of the account; limits, where they are finite, as lines of their own."""
        lines: dict[str, float | None] = {name: value for (name,), value in scrape.by("fleet_concurrency", "function")}
        for use in scrape.limits:
            if use.limit in _LIMITS:
                lines.setdefault(use.subject, use.used)
                lines |= {} if use.most == math.inf else {f"{use.subject} limit": use.most}
        return lines

    def _environments(self, scrape: Scrape) -> dict[str, float | None]:
        counts: defaultdict[str, float] = defaultdict(float)
        for (name, state), count in scrape.by("fleet_environments", "function", "state"):
            counts[name] += count if state != _GONE else 0.0
        return dict(counts)


def _of_functions(scrape: Scrape) -> Iterable[tuple[tuple[str, ...], float]]:
    return scrape.by("fleet_throttles_total", "function", "reason")


def _of_services(limits: Iterable[LimitUse]) -> Iterable[tuple[tuple[str, ...], float]]:
    """Refusals by all other limits, under the limit's name: each refusal of the run is counted in one place."""
    return (((use.subject, use.limit), float(use.throttled)) for use in limits if use.limit not in _OF_INVOCATIONS)


def _name(key: tuple[str, ...]) -> str:
    return f"{key[0]}: {key[1]}"
