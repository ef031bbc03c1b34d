"""How full the queues of a stack are: asked of SQS when somebody wants to know, at most once a second.

All of them, dead-letter queues too, which no function may look at: so it is done as the stack's administrator.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fleet.queues.operations import COUNTS, counts_of
from fleet.queues.queue_monitor import QueueMonitor
from shoebox.aws.errors import AwsError
from shoebox.aws.sqs import SqsClient
from shoebox.telemetry import get_logger

FRESH_SECONDS = 1.0
TIMEOUT = 2.0
"""Timeout of one refresh, in seconds; after it nothing is known until the next."""

_log = get_logger(action="fleet.queues")


@dataclass(frozen=True, slots=True)
class MonitoredQueue:
    """A queue of stack.yaml: its name, URL and monitor; `dead_letter` is the name of its dead-letter queue."""

    name: str
    url: str
    monitor: QueueMonitor
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
        sqs: SqsClient,
        queues: Sequence[MonitoredQueue],
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._sqs = sqs
        self._queues = queues
        self._clock = clock
        self._now = now
        self._counted_at = float("-inf")
        self._looking = asyncio.Lock()
        self._failed = False
        self.known: Sequence[Depth] = ()

    async def refresh(self) -> None:
        """Ask SQS for all counts, unless they are fresh; where it does not respond, nothing is known."""
        async with self._looking:
            if self._clock() - self._counted_at < FRESH_SECONDS:
                return
            self._counted_at = self._clock()
            try:
                async with asyncio.timeout(TIMEOUT):
                    counts = await asyncio.gather(*(self._count(queue) for queue in self._queues))
            except (AwsError, OSError) as error:  # TimeoutError is an OSError
                if not self._failed:
                    _log.warning("queues_not_counted", reason=str(error) or type(error).__name__)
                self._failed = True
                self.known = ()
            else:
                self._failed = False
                self.known = self._depths(counts)

    async def _count(self, queue: MonitoredQueue) -> tuple[int, int, int]:
        request = {"QueueUrl": queue.url, "AttributeNames": list(COUNTS)}
        response = await self._sqs.call("GetQueueAttributes", request)
        return counts_of(response.get("Attributes", {}))

    def _depths(self, counts: Sequence[tuple[int, int, int]]) -> list[Depth]:
        now = self._now()
        by_name = {queue.name: count for queue, count in zip(self._queues, counts, strict=True)}
        # All monitors first: a depth needs the count of its dead-letter queue, and ages those of this refresh.
        for queue in self._queues:
            waiting, *others = by_name[queue.name]
            queue.monitor.counted(now, waiting, sum(others))
        depths = []
        for queue in self._queues:
            dead = by_name.get(queue.dead_letter or "")
            oldest = queue.monitor.oldest(now)
            depths.append(Depth(queue.name, *by_name[queue.name], oldest, None if dead is None else sum(dead)))
        return depths
