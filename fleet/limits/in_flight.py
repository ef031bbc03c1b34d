"""Messages in flight: received from a queue, and neither deleted nor visible again. Pure; `now` in seconds.

Source: Amazon SQS, "Amazon SQS message quotas": about 120,000 a queue. A standard queue refuses to give more
(OverLimit); a FIFO queue gives none, and no error.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterable

from fleet.limits.use import LimitUse


class InFlight:
    """Of one queue, as this fleet knows it: what others have received does not count. O(1) a message.

    Messages are hidden for `visibility` seconds, so those received first are visible again first. One whose function
    has shortened that counts until it is received again or its time is over: so they go by message id.
    """

    def __init__(self, queue: str, limit: float, visibility: float) -> None:
        self.queue = queue
        self.visibility = visibility
        self._limit = limit
        self._until: OrderedDict[str, float] = OrderedDict()
        self._peak = self._refused = 0

    def room(self, now: float) -> float:
        """Return how many more may be received; infinite where there is no limit."""
        self._expire(now)
        return self._limit if self._limit == math.inf else max(0.0, math.floor(self._limit) - len(self._until))

    def refused(self) -> None:
        """Count a receive call that was refused, or got nothing, for want of room."""
        self._refused += 1

    def received(self, now: float, message_ids: Iterable[str]) -> None:
        """Note messages that were received."""
        self._expire(now)
        for message_id in message_ids:
            self._until[message_id] = now + self.visibility
            self._until.move_to_end(message_id)
        self._peak = max(self._peak, len(self._until))

    def gone(self, message_ids: Iterable[str]) -> None:
        """Note messages that were deleted, or made visible again."""
        for message_id in message_ids:
            self._until.pop(message_id, None)

    def uses(self, now: float) -> Iterable[LimitUse]:
        """Yield `sqs.in_flight` of the queue."""
        self._expire(now)
        yield LimitUse(
            "sqs.in_flight", self.queue, len(self._until), self._peak, self._limit, "messages", self._refused
        )

    def _expire(self, now: float) -> None:
        while self._until and next(iter(self._until.values())) <= now:
            self._until.popitem(last=False)
