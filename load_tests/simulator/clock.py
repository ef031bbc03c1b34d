"""Virtual time: whole ticks, and what is due in which."""

from __future__ import annotations

from collections.abc import Callable


class Clock:
    """A clock of whole ticks; `now` is the second at which the present tick begins.

    Times are rounded to ticks. The difference is carried to the next time, so that they are right on the average.
    """

    def __init__(self, tick: float) -> None:
        self.tick = tick
        self.ticks = 0
        self.now = 0.0
        self._due: dict[int, list[Callable[[], None]]] = {}
        self._carried = 0.0

    def after(self, seconds: float, act: Callable[[], None]) -> None:
        """Call `act` in so many seconds, but not in this tick."""
        exact = seconds / self.tick + self._carried
        ticks = max(1, round(exact))
        self._carried = max(-1.0, exact - ticks)
        self._due.setdefault(self.ticks + ticks, []).append(act)

    def run_due(self) -> None:
        """Call what is due in this tick."""
        for act in self._due.pop(self.ticks, ()):
            act()

    def forward(self) -> None:
        """Begin the next tick."""
        self.ticks += 1
        self.now = self.ticks * self.tick

    @property
    def idle(self) -> bool:
        """Whether nothing is due any more."""
        return not self._due
