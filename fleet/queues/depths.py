"""How full the queues of a stack are: asked of SQS when somebody wants to know, at most once a second.

All of them, dead-letter queues too, which no function may look at: so it is done as the stack's administrator.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fleet.queues.flow import Flow
from fleet.queues.operations import COUNTS, counts_of
from shoebox.aws.errors import AwsError
from shoebox.telemetry import get_logger

FRESH_SECONDS = 1.0
PATIENCE = 2.0
"""Seconds that a look may take; then nothing is known until the next."""

_log = get_logger(action="fleet.queues")

Call = Callable[[str, Mapping[str, Any]], Awaitable[Mapping[str, Any]]]
"""Calls an operation of SQS; raises `AwsError`."""


@dataclass(frozen=True, slots=True)
class Watched:
    """A queue of stack.yaml, its URL, and what is known of its messages; `dead_letter` is its dead-letter queue."""

    name: str
    url: str
    flow: Flow
    dead_letter: str | None = None


@dataclass(frozen=True, slots=True)
class Depth:
    """A queue at the last look: messages that wait, are in flight and are delayed; the oldest one's age in seconds.

    `oldest` is None where it is not known; `dead_letters` are what its dead-letter queue holds, None without one.
    """

    queue: str
    waiting: int
    in_flight: int
    delayed: int
    oldest: float | None
    dead_letters: int | None


class Depths:
    """The queues' depths; `clock` for how fresh they are, `now` in seconds since the epoch."""

    def __init__(
        self,
        call: Call,
        queues: Sequence[Watched],
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._call = call
        self._queues = queues
        self._clock = clock
        self._now = now
        self._looked_at = float("-inf")
        self._looking = asyncio.Lock()
        self._failed = False
        self.known: Sequence[Depth] = ()

    async def refresh(self) -> None:
        """Look, unless that was done just now; where SQS does not answer, nothing is known."""
        async with self._looking:
            if self._clock() - self._looked_at < FRESH_SECONDS:
                return
            self._looked_at = self._clock()
            try:
                async with asyncio.timeout(PATIENCE):
                    counts = await asyncio.gather(*(self._count(queue) for queue in self._queues))
            except (AwsError, OSError) as error:  # TimeoutError is such
                self._note_failure(error)
                return
            self._failed = False
            self.known = self._depths(counts)

    async def _count(self, queue: Watched) -> tuple[int, int, int]:
        answer = await self._call("GetQueueAttributes", {"QueueUrl": queue.url, "AttributeNames": list(COUNTS)})
        return counts_of(answer.get("Attributes", {}))

    def _note_failure(self, error: Exception) -> None:
        self.known = ()
        if not self._failed:
            _log.warning("queues not seen", reason=str(error) or type(error).__name__)
        self._failed = True

    def _depths(self, counts: Sequence[tuple[int, int, int]]) -> list[Depth]:
        now = self._now()
        by_name = {queue.name: count for queue, count in zip(self._queues, counts, strict=True)}
        for queue in self._queues:
            waiting, *others = by_name[queue.name]
            queue.flow.looked(now, waiting, sum(others))
        return [
            Depth(queue.name, *by_name[queue.name], queue.flow.oldest(now), _held(by_name.get(queue.dead_letter or "")))
            for queue in self._queues
        ]


def _held(counts: tuple[int, int, int] | None) -> int | None:
    return None if counts is None else sum(counts)
