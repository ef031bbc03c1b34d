"""Invocations that hold concurrency for as long as they take."""

from __future__ import annotations

import math
from collections import deque

from load_tests.simulator.clock import Clock
from load_tests.simulator.limits import Limits


class Invocations:
    """Synchronous invocations of one function, `seconds` each, that begin evenly within a tick.

    Those longer than a tick hold one unit of concurrency each, for several ticks. Shorter ones overlap for a part of it
    only: as many units as overlap on the average (Little's law) are held for the tick, and in each of them one
    invocation follows another.
    """

    def __init__(self, name: str, seconds: float, clock: Clock, limits: Limits) -> None:
        self.name = name
        self.running = self.highest = self.begun = 0
        self._part = seconds / clock.tick
        self._clock = clock
        self._limits = limits
        self._ends: deque[tuple[int, int]] = deque()

    def begin(self, count: int) -> int:
        """Begin so many in this tick; return how many may run."""
        begun = self._short(count) if self._part <= 1 else self._long(count)
        self.begun += begun
        self.highest = max(self.highest, self.running)
        return begun

    def take_peak(self) -> int:
        """Return the highest number at once since the last call."""
        highest, self.highest = self.highest, self.running
        return highest

    def _short(self, count: int) -> int:
        wanted = math.ceil(count * self._part)
        entered = self._resize(wanted)
        if self.running == wanted:
            return entered + self._follow(count - entered)
        able = count * self.running // wanted
        begun = entered + self._follow(able - entered)
        # What would have followed in the units that were refused is refused, too.
        self._limits.enter(self.name, self._clock.now, count - able - (wanted - self.running))
        return begun

    def _resize(self, wanted: int) -> int:
        """Hold so many units, if there are; return how many invocations were let in for that."""
        now, more = self._clock.now, wanted - self.running
        entered = self._limits.enter(self.name, now, more) if more > 0 else 0
        if more < 0:
            self._limits.leave(self.name, now, -more)
        self.running += entered if more > 0 else more
        return entered

    def _follow(self, count: int) -> int:
        return self._limits.follow(self.name, self._clock.now, count) if count > 0 else 0

    def _long(self, count: int) -> int:
        while self._ends and self._ends[0][0] <= self._clock.ticks:
            ended = self._ends.popleft()[1]
            self._limits.leave(self.name, self._clock.now, ended)
            self.running -= ended
        entered = self._limits.enter(self.name, self._clock.now, count) if count else 0
        if entered:
            self._ends.append((self._clock.ticks + round(self._part), entered))
            self.running += entered
        return entered
