"""Waits until stored files are READY or REJECTED, asking for a hundred at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import islice

from shoebox_client.api import Api
from shoebox_client.errors import ClientError, TransientError
from shoebox_client.records import Outcome, Record

_SHORTEST, _LONGEST = 0.25, 2.0
_BATCH = 100  # files in one round; the oldest are the likeliest to be done, and asking costs the service CPU
_MISSES = 5


class Waiter:
    """Follows records that were handed to `add`, until `no_more` and each of them is settled.

    After `timeout` seconds in which no file settled or was added, those left stay UNFINISHED (`not_processed`).
    """

    def __init__(self, api: Api, finished: Callable[[Record], None], *, timeout: float) -> None:
        self._api = api
        self._settled = finished
        self._timeout = timeout
        self._waiting: dict[str, Record] = {}
        self._misses: dict[str, int] = {}
        self._news = asyncio.Event()
        self._closed = False
        self._moved_at = 0.0

    def add(self, record: Record) -> None:
        """Follow this record, which has a file id."""
        assert record.file_id is not None
        self._waiting[record.file_id] = record
        self._moved_at = asyncio.get_running_loop().time()
        self._news.set()

    def no_more(self) -> None:
        """Nothing is added from now on."""
        self._closed = True
        self._news.set()

    async def run(self) -> None:
        """Ask until all are settled; the pause grows while nothing happens."""
        pause, loop = _SHORTEST, asyncio.get_running_loop()
        while self._waiting or not self._closed:
            if not self._waiting:
                self._news.clear()
                await self._news.wait()
                continue
            await asyncio.sleep(pause)
            pause = _SHORTEST if await self._ask() else min(pause * 1.5, _LONGEST)
            if self._closed and loop.time() - self._moved_at > self._timeout:
                self._give_up()

    async def _ask(self) -> bool:
        """Whether any file settled. A question that nobody answered is asked again: the files are stored."""
        before = len(self._waiting)
        asked = list(islice(self._waiting, _BATCH))
        try:
            found = {file["file_id"]: file for file in await self._api.files(asked)}
        except TransientError:
            return False
        for file_id in asked:
            self._take(file_id, found.get(file_id))
            self._to_the_end(file_id)
        moved = len(self._waiting) < before
        if moved:
            self._moved_at = asyncio.get_running_loop().time()
        return moved

    def _take(self, file_id: str, file: dict[str, object] | None) -> None:
        record = self._waiting[file_id]
        if file is None:
            self._misses[file_id] = self._misses.get(file_id, 0) + 1
            if self._misses[file_id] >= _MISSES:
                record.fail(ClientError("It was deleted while it was being processed.", code="gone"))
                self._settle(file_id)
            return
        record.update(file)
        if record.outcome in {Outcome.READY, Outcome.REJECTED}:
            self._settle(file_id)

    def _to_the_end(self, file_id: str) -> None:
        """The next round asks for others first."""
        if record := self._waiting.pop(file_id, None):
            self._waiting[file_id] = record

    def _settle(self, file_id: str) -> None:
        self._settled(self._waiting.pop(file_id))

    def _give_up(self) -> None:
        for file_id, record in list(self._waiting.items()):
            record.code = "not_processed"
            record.detail = f"It is stored, but was not processed within {self._timeout:.0f} s."
            self._settle(file_id)
