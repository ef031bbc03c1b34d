"""Settings and statistics of an event source mapping."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MappingSettings:
    """One mapping: `function` and `queue` by their names in stack.yaml; batch size in messages; times in seconds.

    `window` is MaximumBatchingWindowInSeconds, `reports_failures` ReportBatchItemFailures. `visibility_timeout` is the
    described one, until the queue's own is known; it must not be shorter than `function_timeout`. `max_receivers` are
    the receive calls at once while messages wait. `finish_polls`: at the end the poll under way is waited for, and what
    it brings given back. Emulators of SQS do not notice that a poller has gone, and would hide messages for it until
    their visibility timeout.
    """

    function: str
    queue: str
    batch_size: int
    window: float
    visibility_timeout: float
    function_timeout: float = 0.0
    poll_seconds: int = 20
    drain_seconds: float = 20.0
    finish_polls: bool = False
    fifo: bool = False
    reports_failures: bool = True
    max_receivers: int = 8


@dataclass(frozen=True, slots=True)
class MappingStatistics:
    """A mapping at a moment: batches at work, how many may be, and messages so far by what became of them.

    `last_error` says what keeps it from its work at present.
    """

    function: str
    queue: str
    batches: int
    limit: int
    received: int
    deleted: int
    kept: int
    filtered: int
    last_error: str | None
