"""The generator: begins every visit at its time, whether or not earlier ones have ended, and counts those it could.

A visit that would begin more than `LATE` seconds after its time, or while `AT_ONCE` others go on, is missed: the
generator is at its end, not the service. k6 calls them dropped iterations.
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

LATE = 1.0
AT_ONCE = 5000


@dataclass(frozen=True, slots=True)
class Part:
    """The part of a run's visits that a process makes: every `of`-th, from `index`. `run` names the run's users."""

    run: str
    index: int = 0
    of: int = 1

    def taken(self, visits: Iterable[Visit]) -> Iterator[Visit]:
        """This part of all visits."""
        return (visit for visit in visits if visit.number % self.of == self.index)


class Crowd:
    """Makes the visits of one process. `visit` does one, and gives what became of its photos."""

    def __init__(
        self, photos: Photos, records: Records, visit: Callable[[Visit, list[Photo]], list[PhotoRecord]], *, seed: int
    ) -> None:
        self._photos = photos
        self._records = records
        self._visit = visit
        self._seed = seed
        self._under_way = Pool(AT_ONCE)

    def bring(self, visits: Iterable[Visit]) -> None:
        """Begin each visit at its time, and return when the last one has ended."""
        start = time.monotonic()
        try:
            for visit in visits:
                gevent.sleep(max(0.0, start + visit.at - time.monotonic()))
                self._begin(visit, time.monotonic() - start - visit.at)
            self._under_way.join()
        finally:
            self._under_way.kill()
        self._records.done += 1

    def _begin(self, visit: Visit, late: float) -> None:
        if late > LATE or self._under_way.full():
            return
        self._records.begun += 1
        self._records.brought += visit.photos
        self._records.late.append(late)
        self._under_way.spawn(self._one, visit)

    def _one(self, visit: Visit) -> None:
        photos = self._photos.take(visit.photos, seed=self._seed * 1_000_003 + visit.number)
        self._records.bytes += sum(len(photo.content) for photo in photos)
        try:
            seen = self._visit(visit, photos)
        finally:
            self._records.ended += 1
        self._records.photos.extend(seen)
