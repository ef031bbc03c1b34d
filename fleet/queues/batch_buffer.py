"""Collects messages into batches: by number, by time, by the event's size. Pure; the caller passes the time.

Source: AWS Lambda, "Using Lambda with Amazon SQS", polling and batching behaviour.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from fleet.environments.invocation import SYNC_PAYLOAD
from fleet.queues.sqs_event import SqsMessage

RECEIVE_MOST = 10  # SQS: messages of one ReceiveMessage
_FRAME = len(b'{"Records":[]}')


class BatchBuffer:
    """A batch has at most `size` messages and 6 MB; it is due `window` seconds after its first message came."""

    def __init__(self, size: int, window: float, *, most_bytes: int = SYNC_PAYLOAD) -> None:
        self._size = size
        self._window = window
        self._most_bytes = most_bytes
        self._messages: deque[SqsMessage] = deque()
        self._bytes = 0  # of the records

    def __len__(self) -> int:
        return len(self._messages)

    def add(self, messages: Iterable[SqsMessage]) -> None:
        """Messages that were received."""
        for message in messages:
            self._messages.append(message)
            self._bytes += len(message.record)

    def lacking(self) -> int:
        """How many messages there may be until the batch is full."""
        return max(0, self._size - len(self._messages))

    def remaining(self, now: float) -> float:
        """Seconds until the batch is due: 0 when it is; without messages it never is (infinity)."""
        if not self._messages:
            return float("inf")
        if len(self._messages) >= self._size or self._fitting() < len(self._messages):
            return 0.0
        return max(0.0, self._messages[0].received_at + self._window - now)

    def take(self) -> list[SqsMessage]:
        """The next batch; what does not fit begins the one after it."""
        batch = [self._messages.popleft() for _ in range(self._fitting())]
        self._bytes -= sum(len(message.record) for message in batch)
        return batch

    def _fitting(self) -> int:
        """How many make a batch; a message that is too large alone goes alone, and Invoke refuses it."""
        count = len(self._messages)
        if count <= self._size and _FRAME + self._bytes + max(0, count - 1) <= self._most_bytes:
            return count
        total = _FRAME
        for fitting, message in enumerate(self._messages):
            total += len(message.record) + (1 if fitting else 0)
            if fitting and (total > self._most_bytes or fitting >= self._size):
                return fitting
        return count
