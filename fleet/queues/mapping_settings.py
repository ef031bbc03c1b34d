"""What a mapping is told, and what it tells about itself."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MappingSettings:
    """One mapping: names for its log and metrics; batch size; times in seconds.

    `visibility_timeout` is the described one, until the queue's own is known; it must not be shorter than
    `function_timeout`. `partial` is ReportBatchItemFailures. `receivers` are the receive calls at once while messages
    wait. `finish_polls`: at the end the poll under way is waited for, and what it brings given back. Emulators of SQS
    do not notice that a poller has gone, and would hide messages for it until their visibility timeout.
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
    partial: bool = True
    receivers: int = 8


@dataclass(frozen=True, slots=True)
class MappingStatistics:
    """A mapping as it is now: batches at work and how many may be, messages by fate, and what stands in its way."""

    function: str
    queue: str
    batches: int
    limit: int
    received: int
    deleted: int
    kept: int
    filtered: int
    last_error: str | None


@dataclass(slots=True)
class Fates:
    """Messages so far, by what became of them."""

    received: int = 0
    deleted: int = 0
    kept: int = 0
    filtered: int = 0
