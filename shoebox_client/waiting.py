"""Waits until stored files are READY or REJECTED, asking for a hundred at a time."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from itertools import islice

from shoebox_client.api import Api
from shoebox_client.errors import ClientError, TransientError
from shoebox_client.records import Outcome, Record

_BATCH = 100  # files in one call; the oldest are the likeliest to be done, and asking costs the service CPU
_MAX_MISSES = 5


class Waiter:
    """Follows records that were handed to `add`, until `no_more` and each of them is finished.

    After `timeout` seconds in which no file was finished or added, those left stay UNFINISHED (`not_processed`).
    `pauses` are the shortest and the longest pause between two polls, in seconds.
    """

    def __init__(
        self, api: Api, on_finished: Callable[[Record], None], *, timeout: float, pauses: tuple[float, float]
    ) -> None:
        self._api = api
        self._on_finished = on_finished
        self._timeout = timeout
        self._pauses = pauses
        self._waiting: dict[str, Record] = {}
        self._misses: Counter[str] = Counter()
        self._changed = asyncio.Event()
        self._closed = False
        self._progress_at = 0.0

    def add(self, record: Record) -> None:
        """Follow this record, which has a file id."""
        assert record.file_id is not None
        self._waiting[record.file_id] = record
        self._progress_at = asyncio.get_running_loop().time()
        self._changed.set()

    def no_more(self) -> None:
        """End `run` when all that was added is finished."""
        self._closed = True
        self._changed.set()

    async def run(self) -> None:
        """Poll until all are finished; the pause grows while nothing happens."""
        loop, (min_pause, max_pause) = asyncio.get_running_loop(), self._pauses
        pause = min_pause
        while self._waiting or not self._closed:
            if not self._waiting:
                self._changed.clear()
                await self._changed.wait()
                continue
            await asyncio.sleep(pause)
            if await self._poll():
                pause, self._progress_at = min_pause, loop.time()
            else:
                pause = min(pause * 1.5, max_pause)
            if self._closed and loop.time() - self._progress_at > self._timeout:
                for record in list(self._waiting.values()):
                    record.code = "not_processed"
                    record.detail = f"It is stored, but was not processed within {self._timeout:.0f} s."
                    self._on_finished(record)
                self._waiting.clear()

    async def _poll(self) -> bool:
        """Ask for the files that were asked for longest ago; return whether any is finished now."""
        file_ids = list(islice(self._waiting, _BATCH))
        try:
            found = {file["file_id"]: file for file in await self._api.files(file_ids)}
        except TransientError:  # the files are stored, so there is nothing to give up: ask again
            return False
        any_finished = False
        for file_id in file_ids:
            record = self._waiting.pop(file_id)
            if file := found.get(file_id):
                record.update(file)
            else:
                self._misses[file_id] += 1
                if self._misses[file_id] == _MAX_MISSES:
                    record.fail(ClientError("It was deleted while it was being processed.", code="gone"))
            if record.outcome is Outcome.UNFINISHED:
                self._waiting[file_id] = record  # behind all others, which the next poll asks for first
            else:
                any_finished = True
                self._on_finished(record)
        return any_finished
