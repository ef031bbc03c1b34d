"""One visit: somebody's phone registers photos, sends them, and asks until each is READY or REJECTED.

It tries again as a phone's page does: what was throttled or failed for the moment, a few times, with growing pauses.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from load_tests.photos import Photo
from load_tests.records import Document, Failure, Fate, PhotoRecord, settled, unsettled

if TYPE_CHECKING:  # they import Locust, which patches all sockets
    from load_tests.readiness import Readiness
    from load_tests.service import Service

ATTEMPTS = 4
_RAREST = 10  # times the first pause: at a constant interval, those who wait would keep an overload going
Result = TypeVar("Result")
_PAUSE, _LONGEST_PAUSE = 0.5, 8.0


class PhoneVisit:
    """`number` of the visit; `sleep` pauses it, and `give_up_at` (monotonic seconds) is when it asks no more."""

    def __init__(
        self,
        number: int,
        service: Service,
        readiness: Readiness,
        *,
        poll_seconds: float,
        give_up_at: float,
        sleep: Callable[[float], Any],
    ) -> None:
        self._number = number
        self._service = service
        self._readiness = readiness
        self._started_at = time.monotonic()
        self._poll_seconds = poll_seconds
        self._give_up_at = give_up_at
        self._sleep = sleep

    def run(self, photos: Sequence[Photo]) -> list[PhotoRecord]:
        """Bring the photos; what became of each."""
        answer = self._again(lambda: self._service.register(photos))
        if isinstance(answer, Failure):
            return [self._refused(answer.reason) for _ in photos]
        waiting: set[str] = set()
        refused = []
        for photo, entry in zip(photos, answer, strict=True):
            if why := self._sent(photo, entry):
                refused.append(self._refused(why))
            else:
                waiting.add(entry["file_id"])
        return [*refused, *self._waited_for(waiting)]

    def _sent(self, photo: Photo, entry: Document) -> str:
        """Why a registered photo's bytes did not arrive; empty when they did."""
        if "problem" in entry:
            return str(entry["problem"]["code"])
        link = entry.get("upload")
        failure = self._again(lambda: self._service.upload(photo, link)) if link else None
        return failure.reason if failure else ""

    def _refused(self, reason: str) -> PhotoRecord:
        return PhotoRecord(self._number, Fate.REFUSED, reason=reason)

    def _waited_for(self, file_ids: set[str]) -> list[PhotoRecord]:
        records: list[PhotoRecord] = []
        pause = self._poll_seconds
        while file_ids and time.monotonic() < self._give_up_at:
            self._sleep(pause)
            pause = min(pause * 1.3, self._poll_seconds * _RAREST)
            for file in self._service.look(sorted(file_ids)):
                if file["state"] in {Fate.READY, Fate.REJECTED}:
                    file_ids.discard(file["file_id"])
                    records.append(settled(self._number, file))
                    self._readiness.settled(file)
        for _ in file_ids:
            self._readiness.gave_up(time.monotonic() - self._started_at)
        return [*records, *unsettled(self._number, len(file_ids))]

    def _again(self, call: Callable[[], Result | Failure]) -> Result | Failure:
        """A call's result; a passing failure is tried again, after half to all of a growing pause."""
        for attempt in range(ATTEMPTS - 1):
            result = call()
            if not (isinstance(result, Failure) and result.passing) or time.monotonic() > self._give_up_at:
                return result
            self._sleep(min(_LONGEST_PAUSE, _PAUSE * 2.0**attempt) * random.uniform(0.5, 1.0))  # noqa: S311
        return call()
