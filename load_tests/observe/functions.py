"""Functions over a run: invocations at once, environments, and refusals by their reason. Pure."""

from __future__ import annotations

import math
from collections import Counter, defaultdict

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
        """Record the functions at this sample."""
        panels.add("concurrency", "invocations", t, self._concurrency(scrape))
        environments: defaultdict[str, float] = defaultdict(float)
        for (name, state), count in scrape.by("fleet_environments", "function", "state"):
            environments[name] += count if state != _GONE else 0.0
        panels.add("environments", "environments", t, dict(environments))
        # Refusals by the other limits go by the limit's name: each refusal of the run is counted in one place.
        of_services = (
            ((use.subject, use.limit), float(use.throttled))
            for use in scrape.limits
            if use.limit not in _OF_INVOCATIONS
        )
        of_functions = scrape.by("fleet_throttles_total", "function", "reason")
        grown = self._throttles.note([*of_functions, *of_services])
        if t > self._at:
            rates = {
                f"{subject}: {reason}": None if more is None else more / (t - self._at)
                for (subject, reason), more in grown.items()
                if self._throttles.totals[subject, reason]
            }
            panels.add("throttles/s", "refusals/s", t, rates)
        self._at = t

    def results(self) -> list[Throttle]:
        """Return the refusals in the run, the most frequent first."""
        counts = Counter({key: int(total) for key, total in self._throttles.totals.items() if total})
        return [Throttle(subject=key[0], reason=key[1], count=count) for key, count in counts.most_common()]

    def _concurrency(self, scrape: Scrape) -> dict[str, float | None]:
        """Return invocations at once by function and of the account, and finite limits as lines of their own."""
        lines: dict[str, float | None] = {name: value for (name,), value in scrape.by("fleet_concurrency", "function")}
        for use in scrape.limits:
            if use.limit in _LIMITS:
                lines.setdefault(use.subject, use.used)
                lines |= {} if use.maximum == math.inf else {f"{use.subject} limit": use.maximum}
        return lines
