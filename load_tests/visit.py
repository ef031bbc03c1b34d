"""One visit: a phone registers photos, sends them, and asks until each is READY or REJECTED.

It repeats calls as a phone's page does: what was throttled or failed for the moment, a few times, with growing pauses.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from load_tests.photos import Photo
from load_tests.records import Document, Failure, Outcome, PhotoRecord
from shoebox.aws.retry import RetryPolicy

if TYPE_CHECKING:  # it imports Locust, which patches all sockets
    from load_tests.service import ReadyRequests, Service

RETRY = RetryPolicy(attempts=4, first_pause=0.25, max_pause=8.0, jitter=0.5)
_MAX_POLL_FACTOR = 10  # at a constant interval the phones that wait would keep an overload going
Result = TypeVar("Result")


class PhoneVisit:
    """Visit `number` of a run; `sleep` pauses it, and at `give_up_at` (monotonic seconds) it stops asking."""

    def __init__(
        self,
        number: int,
        service: Service,
        ready_requests: ReadyRequests,
        *,
        poll_seconds: float,
        give_up_at: float,
        sleep: Callable[[float], Any],
    ) -> None:
        self._number = number
        self._service = service
        self._ready_requests = ready_requests
        self._started_at = time.monotonic()
        self._poll_seconds = poll_seconds
        self._give_up_at = give_up_at
        self._sleep = sleep

    def run(self, photos: Sequence[Photo]) -> list[PhotoRecord]:
        """Upload the photos and return how each of them ended."""
        entries = self._retried(lambda: self._service.register(photos))
        if isinstance(entries, Failure):
            return [PhotoRecord(self._number, Outcome.REFUSED, reason=entries.reason) for _ in photos]
        records: list[PhotoRecord] = []
        waiting: set[str] = set()
        for photo, entry in zip(photos, entries, strict=True):
            if reason := self._send(photo, entry):
                records.append(PhotoRecord(self._number, Outcome.REFUSED, reason=reason))
            else:
                waiting.add(entry["file_id"])
        return records + self._wait_for(waiting)

    def _send(self, photo: Photo, entry: Document) -> str:
        """Send a registered photo's bytes; return why they did not arrive, or nothing."""
        if "problem" in entry:
            return str(entry["problem"]["code"])
        link = entry.get("upload")  # none where the service has these bytes already
        failure = self._retried(lambda: self._service.upload(photo, link)) if link else None
        return failure.reason if failure else ""

    def _wait_for(self, file_ids: set[str]) -> list[PhotoRecord]:
        records: list[PhotoRecord] = []
        pause = self._poll_seconds
        while file_ids and time.monotonic() < self._give_up_at:
            self._sleep(pause)
            pause = min(pause * 1.3, self._poll_seconds * _MAX_POLL_FACTOR)
            for file in self._service.files(sorted(file_ids)):
                if file["state"] in {Outcome.READY, Outcome.REJECTED}:
                    file_ids.discard(file["file_id"])
                    records.append(PhotoRecord.of_file(self._number, file))
                    self._ready_requests.finished(file)
        for _ in file_ids:
            self._ready_requests.gave_up(time.monotonic() - self._started_at)
            records.append(PhotoRecord(self._number, Outcome.UNSETTLED))
        return records

    # The policy's own loop awaits; a Locust user is a greenlet, and its sleep blocks.
    def _retried(self, call: Callable[[], Result | Failure]) -> Result | Failure:
        """Return a call's result; repeat it after a retryable failure and half to all of a pause that doubles."""
        attempt = 1
        while True:
            result = call()
            if not (isinstance(result, Failure) and result.retryable) or time.monotonic() > self._give_up_at:
                return result
            pause = RETRY.pause_after(attempt)
            if pause is None:
                return result
            self._sleep(pause)
            attempt += 1
