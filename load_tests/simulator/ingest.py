"""The event source mapping and its batches: from the queue to READY, or to the dead letters."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from fleet.limits.capacity import STRONG
from fleet.limits.event_source import InvocationOutcome
from load_tests.simulator.backlog import Backlog, Cohort, first
from load_tests.simulator.clock import Clock
from load_tests.simulator.limits import INGEST, Limits
from load_tests.simulator.model import Parameters
from load_tests.simulator.tally import Tally
from shoebox.config import VISIBILITY_SECONDS
from shoebox.stack.model import Queue
from shoebox_client.renditions import RENDITIONS
from workers.heartbeat import hidden_seconds


@dataclass(slots=True)
class BatchGroup:
    """Batches that began together: `photos` are not READY yet, and so many calls are still to be made for them.

    `at` is the exact second of what is due next; the clock knows whole ticks only.
    """

    batches: int
    cohorts: deque[Cohort]
    photos: int
    work: float
    received: float
    at: float
    unread: int
    unfetched: int
    unput: int
    attempt: int = 1


class Ingest:
    """Takes batches from the backlog, as many at once as the mapping and the account allow."""

    def __init__(
        self, clock: Clock, limits: Limits, tally: Tally, parameters: Parameters, backlog: Backlog, queue: Queue
    ) -> None:
        self.running = self.highest = 0
        self._clock, self._limits, self._tally = clock, limits, tally
        self._parameters = parameters
        self._backlog = backlog
        self._queue = queue
        self._size = limits.trigger.batch_size
        self._empty = False

    def take_peak(self) -> int:
        """Return the highest number of batches at once since the last call."""
        highest, self.highest = self.highest, self.running
        return highest

    def poll(self) -> None:
        """Begin as many batches as there may be: the messages that wait are spread over all free concurrency."""
        now, scale, waiting = self._clock.now, self._limits.scale, self._backlog.waiting
        if not waiting:
            if not self._empty:
                scale.received(now, messages=0, wanted=self._size, size=0)
                self._empty = True
            return
        self._empty = False
        free = scale.limit(now) - self.running
        if free <= 0:
            self._limits.blocked(now)
            return
        if scale.pause(now) > 0:
            return
        wanted = min(free, waiting)
        batches = self._limits.enter(INGEST, now, wanted)
        if batches < wanted:
            scale.invocation_ended(now, InvocationOutcome.THROTTLED)
        if batches:
            self._begin(batches, min(waiting, batches * self._size))

    def seconds(self, size: int) -> float:
        """Return how long an invocation with so many photos takes."""
        share = self._parameters.batch_share
        return self._parameters.calls.ingest_seconds * (share + (1 - share) * size / self._size)

    def _begin(self, batches: int, photos: int) -> None:
        now, size = self._clock.now, -(-photos // batches)
        cohorts = self._backlog.take(photos)
        self._limits.scale.received(now, messages=size, wanted=self._size, size=0)
        self._limits.scale.started(batches)
        self._tally.calls.messages += 2 * batches  # received, and hidden by the function for as long as it works
        self._tally.received_again += sum(c.photos for c in cohorts if c.received > 1)
        self.running += batches
        self.highest = max(self.highest, self.running)
        self._fetch(
            BatchGroup(
                batches,
                deque(cohorts),
                photos,
                work=self.seconds(size),
                received=now,
                at=now,
                unread=photos,
                unfetched=photos,
                unput=photos * len(RENDITIONS),
            )
        )

    def _fetch(self, group: BatchGroup) -> None:
        """Read the files' states, and fetch their bytes."""
        now, billed = self._clock.now, self._tally.calls
        read, fetched = self._limits.read(now, STRONG, group.unread), self._limits.get_original(now, group.unfetched)
        billed.read_units += STRONG * read
        billed.gets += fetched
        group.unread -= read
        group.unfetched -= fetched
        if group.unread or group.unfetched:
            self._retry(group, self._fetch)
            return
        group.at += group.work
        self._clock.after(group.work + self._parameters.mapping_seconds, partial(self._store, group))

    def _store(self, group: BatchGroup) -> None:
        """Store renditions, and for the photos that have all of theirs the item."""
        now, calls, billed = self._clock.now, self._parameters.calls, self._tally.calls
        put = self._limits.put_rendition(now, group.unput)
        billed.puts += put
        group.unput -= put
        stored = self._limits.write(now, calls.ready_writes, group.photos + -group.unput // len(RENDITIONS))
        billed.write_units += sum(calls.ready_writes) * stored
        for cohort in first(group.cohorts, stored):
            self._tally.photos_ready(cohort, group.received, group.at)
        group.photos -= stored
        if group.photos:
            self._retry(group, self._store)
        else:
            self._end(group)

    def _retry(self, group: BatchGroup, act: Callable[[BatchGroup], None]) -> None:
        """Try again what was refused; the invocation goes on meanwhile. After the last attempt messages come again."""
        if group.attempt >= self._parameters.attempts:
            self._give_back(group)
            return
        pause = self._parameters.pause_seconds * 2.0 ** (group.attempt - 1)
        group.attempt += 1
        group.at += pause
        self._clock.after(pause, partial(act, group))

    def _give_back(self, group: BatchGroup) -> None:
        for cohort in group.cohorts:
            if cohort.received >= self._queue.max_receive_count:
                self._tally.dead += cohort.photos
            else:
                hidden = hidden_seconds(VISIBILITY_SECONDS, cohort.received, self._queue.visibility_timeout)
                self._clock.after(hidden, partial(self._visible, cohort))
        self._end(group)

    def _visible(self, cohort: Cohort) -> None:
        self._backlog.add(cohort._replace(visible=self._clock.now))

    def _end(self, group: BatchGroup) -> None:
        billed = self._tally.calls
        billed.invocations[INGEST] += group.batches
        billed.seconds[INGEST] += group.batches * (group.at - group.received)
        billed.messages += group.batches
        billed.publishes += group.batches
        self._limits.leave(INGEST, self._clock.now, group.batches)
        self._limits.scale.finished(group.batches)
        self.running -= group.batches
