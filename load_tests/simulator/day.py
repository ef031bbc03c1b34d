"""A day: ticks of the virtual clock, in each of which photos come, are uploaded, and are prepared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fleet.limits.use import LimitUse
from load_tests.simulator.backlog import Backlog
from load_tests.simulator.clock import Clock
from load_tests.simulator.ingest import Ingest
from load_tests.simulator.limits import INGEST, LimitName, Limits
from load_tests.simulator.model import SimulationSettings
from load_tests.simulator.phones import Phones
from load_tests.simulator.tally import Tally

_POINTS = 1440  # of a whole day's chart: one a minute
Progress = Callable[[float], None]
"""Called with the part of the day that is over, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Day:
    """A simulated day: `seconds` with its drain, limits' uses at its end, each limit's first refusal."""

    settings: SimulationSettings
    tally: Tally
    seconds: float
    uses: list[LimitUse]
    first: dict[LimitName, float]

    @property
    def unfinished(self) -> int:
        """Photos that are on their way when the simulation ends."""
        return self.tally.offered - self.tally.ready - self.tally.refused - self.tally.dead


def simulate(settings: SimulationSettings, progress: Progress = lambda _: None) -> Day:
    """Simulate a day.

    Raises:
        StackError: the stack lacks what photos go through.
        QuotasError: the stack reserves more concurrency than the quotas allow.
    """
    return _Simulation(settings).run(progress)


class _Simulation:
    def __init__(self, settings: SimulationSettings) -> None:
        parameters, stack = settings.parameters, settings.stack
        self._settings = settings
        self._clock = Clock(settings.tick)
        self._limits = Limits(stack, settings.quotas)
        self._tally = Tally()
        self._backlog = Backlog()
        queue = stack.queues[self._limits.trigger.name]
        parts = self._clock, self._limits, self._tally, parameters
        self._ingest = Ingest(*parts, self._backlog, queue)
        cached = bool(stack.gateway.authorizer and stack.gateway.authorizer.ttl)
        self._phones = Phones(*parts, self._backlog.add, cached=cached, seed=settings.seed)

    def run(self, progress: Progress) -> Day:
        settings, clock = self._settings, self._clock
        photos = _arrivals(settings)
        each = round(max(1.0, settings.seconds / _POINTS) / settings.tick)
        end, last = len(photos), len(photos) + round(settings.drain_seconds / settings.tick)
        while clock.ticks < end or (clock.ticks < last and self._on_their_way()):
            clock.run_due()
            self._phones.visit(photos[clock.ticks] if clock.ticks < end else 0)
            self._ingest.poll()
            if self._backlog.waiting:
                self._tally.backlog(clock.now, self._backlog.waiting, self._backlog.age(clock.now))
            clock.forward()
            if clock.ticks % each == 0:
                self._interval()
                progress(min(1.0, clock.ticks / end))
        self._close()
        return Day(settings, self._tally, clock.now, [*self._limits.uses(clock.now)], self._limits.refusals.first)

    def _on_their_way(self) -> bool:
        return bool(not self._clock.idle or self._backlog.waiting or self._phones.waiting or self._ingest.running)

    def _interval(self) -> None:
        now, phones, ingest = self._clock.now, self._phones, self._ingest
        concurrency = {function.name: function.take_peak() for function in (phones.authorizer, phones.api)}
        concurrency[INGEST] = ingest.take_peak()
        self._tally.interval(
            now,
            self._backlog.waiting,
            self._backlog.age(now),
            concurrency=concurrency,
            max_batches=self._limits.scale.limit(now),
            refusals=self._limits.refusals.since_last(now),
        )

    def _close(self) -> None:
        """Add what the functions behind the gateway have run, and the rest of the last interval."""
        if not self._tally.points or self._tally.points[-1].second < self._clock.now:
            self._interval()
        calls, billed = self._settings.parameters.calls, self._tally.calls
        for function, seconds in (
            (self._phones.authorizer, calls.authorizer_seconds),
            (self._phones.api, calls.api_seconds),
        ):
            billed.invocations[function.name] += function.begun
            billed.seconds[function.name] += function.begun * seconds


def _arrivals(settings: SimulationSettings) -> list[int]:
    """Return the new photos of each tick: visits drawn from the curve, which vary as a Poisson process's do."""
    upload = settings.parameters.calls.upload
    visits, rest = divmod(settings.uploads, upload)
    ticks = round(settings.seconds / settings.tick)
    rates = np.array([settings.shape(tick * settings.tick) for tick in range(ticks)])
    chances = rates / rates.sum()
    photos = np.random.default_rng(settings.seed).multinomial(visits, chances) * upload
    photos[ticks // 2] += rest
    return [int(count) for count in photos]
