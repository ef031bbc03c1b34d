"""The oldest message's age, redeliveries and SQS calls of a queue, from the mappings that receive from it. Pure.

SQS gives the age of its oldest message to CloudWatch alone (`ApproximateAgeOfOldestMessage`: of those not deleted, the
ones in flight too). Here it is the older of two:

in flight   exact: a received message says when it was sent. A message that is to become a dead
            letter counts until it is visible again: then SQS moves it.
waiting     estimated, since these messages were not received yet. They were sent after the last moment at which the
            queue was seen empty, and, where SQS gives messages in their order, after the newest message that was
            received: the later of the two gives the highest age possible. With a backlog that is near the truth: the
            next message is the one sent just after the last that was received. Emulators keep the order; AWS's standard
            queues do so roughly. A message that comes again is known, since it was in flight before.

A queue without a mapping, such as a dead-letter queue, has the moment alone at which it was last seen
empty: of what was sent elsewhere before, that is its age in this queue. Nothing is known of a queue that was never seen
empty, or not for `MAX_GAP_SECONDS`: there is no age then, rather than a guess.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable

from fleet.queues.batches import SqsMessage

MAX_GAP_SECONDS = 60.0
"""Seconds between two counts after which it is unknown since when the present messages wait."""


class QueueMonitor:
    """One queue; `now` in seconds since the epoch, as SQS's timestamps. `max_receives` as in its redrive policy."""

    def __init__(self, max_receives: int | None = None) -> None:
        self.received_again = 0
        self.calls: Counter[str] = Counter()
        """Calls that SQS has answered, by operation: what AWS bills whoever has a mapping."""
        self._max_receives = math.inf if max_receives is None else max_receives
        self._in_flight: dict[str, tuple[float, float]] = {}  # when each was sent, and when it is a dead letter
        self._newest = -math.inf
        self._empty_at = -math.inf
        self._counted_at = -math.inf
        self._waiting = 0

    def received(self, now: float, messages: Iterable[SqsMessage], visibility: float) -> None:
        """Note messages that were received, and are hidden for so many seconds."""
        for message in messages:
            dead_at = now + visibility if message.receive_count >= self._max_receives else math.inf
            self._in_flight[message.message_id] = message.sent_at, dead_at
            self._newest = max(self._newest, message.sent_at)
            self.received_again += message.receive_count > 1

    def deleted(self, messages: Iterable[SqsMessage]) -> None:
        """Note messages that were deleted."""
        for message in messages:
            self._in_flight.pop(message.message_id, None)

    def counted(self, now: float, waiting: int, others: int) -> None:
        """Note that so many wait, and so many others are in flight or delayed."""
        if now - self._counted_at > MAX_GAP_SECONDS:
            self._empty_at = -math.inf
        if not waiting:
            self._empty_at = now
        if not (waiting or others):
            self._in_flight.clear()  # whoever deleted them
        self._counted_at, self._waiting = now, waiting

    def oldest(self, now: float) -> float | None:
        """Return the seconds since the oldest message was sent; 0 when there is none, None when that is not known."""
        sent = [sent_at for sent_at, dead_at in self._in_flight.values() if dead_at > now]
        if self._waiting:
            sent.append(max(self._newest, self._empty_at))
        first = min(sent, default=now)
        return None if first == -math.inf else max(0.0, now - first)
