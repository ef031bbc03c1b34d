"""Invocations that were refused: counted by reason, and never in silence."""

from __future__ import annotations

from collections.abc import Callable

from fleet.metrics import Metrics
from shoebox.telemetry import get_logger

_log = get_logger(action="fleet.pool")


class Refusals:
    """Counts what was refused, by reason, and says so in the log: at once, and then once in so many seconds."""

    def __init__(self, function: str, metrics: Metrics, clock: Callable[[], float], *, every: float = 10.0) -> None:
        self._function = function
        self._metrics = metrics
        self._clock = clock
        self._every = every
        self._said: dict[str, tuple[float, int]] = {}

    def note(self, reason: str) -> None:
        """One more."""
        self._metrics.throttles.labels(self._function, reason).inc()
        now = self._clock()
        at, unsaid = self._said.get(reason, (-self._every, 0))
        if now - at < self._every:
            self._said[reason] = (at, unsaid + 1)
            return
        _log.warning("throttled", function=self._function, reason=reason, count=unsaid + 1)
        self._said[reason] = (now, 0)
