"""Samples a stack once a second, and returns at the end what happened between the first sample and the last."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from load_tests.observe.billed import BilledUsage, BilledUsageOfRun
from load_tests.observe.functions import FunctionsOfRun
from load_tests.observe.increases import Increases
from load_tests.observe.limits import LimitsOfRun
from load_tests.observe.panels import Panels
from load_tests.observe.processes import ProcessesOfRun
from load_tests.observe.queues import QueuesOfRun
from load_tests.observe.scrape import Scrape
from load_tests.observe.source import Source
from load_tests.results import Limit, Process, Queue, Series, Throttle

_REPEATED = "shoebox_photos_repeated_total"
_SKIPPED = "shoebox_photos_skipped_total"


@dataclass(frozen=True, slots=True)
class AsyncEvents:
    """Asynchronous invocations of the run by their end, and the highest number that waited or ran in a sample."""

    succeeded: int
    given_up: int
    peak_pending: int


@dataclass(frozen=True, slots=True)
class Observed:
    """A run from the stack's side; the fields' types are those of `load_tests.results.Results`.

    `repeated` photos were prepared although another delivery had finished them, `skipped` deliveries found that and did
    nothing. `still_queued` messages and events were left at the end. `looks` and `gaps` are how often was looked, and
    how often nothing was seen. None is what nobody tells.
    """

    series: Sequence[Series]
    limits: Sequence[Limit]
    throttles: Sequence[Throttle]
    queues: Sequence[Queue]
    processes: Sequence[Process]
    usage: BilledUsage
    repeated: int | None
    skipped: int | None
    async_events: AsyncEvents | None
    still_queued: int | None
    looks: int
    gaps: int
    notes: Sequence[str]


class Observer:
    """Observes the stack whose control port is at `control_url`; `pid` is that of its `shoebox up`, if it runs here.

    What counts is what happens after the first `sample`: the stack may have run before. `clock` in seconds.
    """

    def __init__(self, control_url: str, *, pid: int | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._source = Source(control_url)
        self._pid = pid
        self._clock = clock
        self._began: float | None = None
        self._panels = Panels()
        self._limits = LimitsOfRun()
        self._queues = QueuesOfRun()
        self._functions = FunctionsOfRun()
        self._processes = ProcessesOfRun(pid)
        self._counted = BilledUsageOfRun()
        self._photos: Increases[str] = Increases()
        self._events: Increases[tuple[str, ...]] = Increases()
        self._events_peak = 0
        self._looks = self._gaps = 0
        self._last_error = ""

    def sample(self, *, last: bool = False) -> None:
        """Take a sample; where the stack does not answer, the sample is a gap."""
        now = self._clock()
        self._began = now if self._began is None else self._began
        t = now - self._began
        scrape = self._source.look()
        self._looks += 1
        if scrape is None:
            self._gaps += 1
            self._last_error = self._source.last_error
            self._panels.gap(t, beside=self._processes.panels)
        else:
            self._note(t, scrape)
        self._processes.note(t, scrape, self._panels, last=last)

    def latest(self, panel: str) -> dict[str, float]:
        """Return the values of the last sample, by the names of a panel's lines."""
        return self._panels.latest(panel)

    def finish(self) -> Observed:
        """Look a last time; return the whole run."""
        self.sample(last=True)
        self._source.close()
        return Observed(
            series=self._panels.series(),
            limits=self._limits.results(),
            throttles=self._functions.results(),
            queues=self._queues.results(),
            processes=self._processes.results(),
            usage=self._counted.result(),
            repeated=_whole(self._photos.totals.get(_REPEATED)),
            skipped=_whole(self._photos.totals.get(_SKIPPED)),
            async_events=self._async_events(),
            still_queued=self._queues.left,
            looks=self._looks,
            gaps=self._gaps,
            notes=[*self._notes()],
        )

    def _note(self, t: float, scrape: Scrape) -> None:
        self._queues.note(t, scrape, self._panels)
        self._functions.note(t, scrape, self._panels)
        self._limits.note(t, scrape.limits)
        self._counted.note(scrape)
        self._photos.note((name, value) for name in (_REPEATED, _SKIPPED) if (value := scrape.one(name)) is not None)
        self._events.note(scrape.by("fleet_async_events_total", "function", "fate"))
        pending = sum(count for _, count in scrape.by("fleet_async_pending", "function"))
        self._events_peak = max(self._events_peak, int(pending))

    def _async_events(self) -> AsyncEvents | None:
        """Count asynchronous events by their end; None where there were none."""
        ends: Counter[str] = Counter()
        for (_, end), total in self._events.totals.items():
            ends[end] += int(total)
        if not (any(ends.values()) or self._events_peak):
            return None
        return AsyncEvents(ends["succeeded"], ends["given_up"], self._events_peak)

    def _notes(self) -> Iterator[str]:
        """Yield what a reader must know of what is not seen."""
        if self._gaps:
            yield f"{self._gaps} of {self._looks} samples of the stack failed; the last time: {self._last_error}"
        if self._counted.restarts:
            yield "The stack was restarted during the run: what it had counted since the sample before is lost."
        if self._pid is None:
            yield (
                "Of the stack's processes only the fleet's own is seen, and its resident memory; in containers what the"
                " functions count themselves (photos done twice) is not seen either."
            )
        yield from self._counted.notes()


def _whole(count: float | None) -> int | None:
    return None if count is None else int(count)
