"""The load generator: begins every visit at its time, whether or not earlier visits have ended.

A visit that would begin more than `MAX_LATE` seconds after its time, or while `MAX_VISITS` others are under way, is
missed: then the generator is saturated, not the service. k6 calls them dropped iterations.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import gevent
from gevent.pool import Pool

from load_tests.arrivals import Visit
from load_tests.photos import Photo, Photos
from load_tests.records import PhotoRecord, Records

MAX_LATE = 1.0
MAX_VISITS = 5000


@dataclass(frozen=True, slots=True)
class VisitShare:
    """A process's share of a run's visits: every `of`-th, from `index`. `run` is part of the users' names."""

    run: str
    index: int = 0
    of: int = 1

    def select(self, visits: Iterable[Visit]) -> Iterator[Visit]:
        """Return the visits of this share."""
        return (visit for visit in visits if visit.number % self.of == self.index)


class LoadGenerator:
    """Makes the visits of one process. `visit` does one of them and returns the records of its photos."""

    def __init__(
        self, photos: Photos, records: Records, visit: Callable[[Visit, list[Photo]], list[PhotoRecord]], *, seed: int
    ) -> None:
        self._photos = photos
        self._records = records
        self._visit = visit
        self._seed = seed

    def run(self, visits: Iterable[Visit]) -> None:
        """Begin each visit at its time, and return when the last one has ended."""
        start = time.monotonic()
        pool, records = Pool(MAX_VISITS), self._records
        try:
            for visit in visits:
                gevent.sleep(max(0.0, start + visit.at - time.monotonic()))
                late = time.monotonic() - start - visit.at
                if late > MAX_LATE or pool.full():
                    continue
                records.visits_begun += 1
                records.photos_begun += visit.photos
                records.late.append(late)
                pool.spawn(self._run_one, visit)
            pool.join()
        finally:
            pool.kill()
        records.processes_done += 1

    def _run_one(self, visit: Visit) -> None:
        photos = self._photos.take(visit.photos, seed=self._seed * 1_000_003 + visit.number)
        self._records.bytes += sum(len(photo.content) for photo in photos)
        try:
            records = self._visit(visit, photos)
        finally:
            self._records.visits_ended += 1
        self._records.photos.extend(records)
