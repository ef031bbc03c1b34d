"""The simulator's assumptions: every parameter with its source."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from fleet.limits.quotas import AWS_QUOTAS, Quotas
from load_tests.arrivals import CURVES, DAY
from load_tests.simulator.capacity import PhotoCalls, PhotoLoad
from shoebox.stack.model import Stack
from shoebox_client.retry import RetryPolicy


@dataclass(frozen=True, slots=True)
class Parameters:
    """Times in seconds, sizes in bytes. What AWS does not document and was not measured is marked as an assumption."""

    calls: PhotoCalls = field(default_factory=PhotoCalls)
    """A photo's calls, and how long functions take: those of `shoebox quotas plan`, counted and measured."""
    batch_share: float = 0.15
    """Of `calls.ingest_seconds`, what a batch takes whatever its size; the rest is for its photos. Measured: a batch of
    one took 0.22 to 0.24 of what one of ten took (docs/reference/simulate.md)."""
    mapping_seconds: float = 0.03
    """From an invocation's end to the next one's begin in its place: a delete and a receive call. Assumption: two calls
    of SQS in the same region."""
    upload_seconds: float = 1.5
    """From a registration to the message in the queue: the phone's PUT, and S3's notification. Assumption: 3 MB at
    20 Mbit/s, and AWS's "typically delivered in seconds" ("Amazon S3 Event Notifications")."""
    poll_seconds: float = 1.0
    """Between two polls of a phone, the first as long after the upload. Assumption; the client's own pauses grow from
    0.25 to 2 s (shoebox_client/waiting.py)."""
    phone: RetryPolicy = field(default_factory=RetryPolicy)
    """How a client retries: shoebox_client/retry.py."""
    attempts: int = 4
    """Of a call to S3 or DynamoDB in ingest: shoebox/aws/clients.py and shoebox/aws/s3.py."""
    pause_seconds: float = 0.5
    """Before the second attempt, doubled each time: the mean of botocore's standard mode, whose jitter is 0 to 1 s."""
    photo_bytes: int = 3_000_000
    """An original, for what storage costs. Assumption: a phone's 12-megapixel JPEG."""
    renditions_bytes: int = 900_000
    """The renditions of an original together. Assumption: 2048, 1024 and 320 pixels at JPEG quality 85 or so."""


@dataclass(frozen=True, slots=True)
class SimulationSettings:
    """A day to simulate, in `seconds` of virtual time. After it, up to `drain_seconds` more let the backlog end.

    `tick` is the step of the clock, in seconds. Half a second is less than a full batch takes, and than the second in
    which limits count. For a short scenario let it be a tenth of what a batch takes, or less.
    """

    stack: Stack
    uploads: int
    curve: str = "day"
    quotas: Quotas = AWS_QUOTAS
    seed: int = 1
    seconds: float = DAY
    drain_seconds: int = 21_600
    tick: float = 0.5
    parameters: Parameters = field(default_factory=Parameters)

    @property
    def shape(self) -> Callable[[float], float]:
        """Uploads a second at a second of virtual time; a shorter day has the same shape."""
        curve, pace = CURVES[self.curve], DAY / self.seconds
        return lambda second: self.uploads * pace * curve(second * pace)

    @property
    def load(self) -> PhotoLoad:
        """The load of the busiest second, for which limits are planned."""
        peak = max(map(self.shape, range(math.ceil(self.seconds))))
        return PhotoLoad.of_calls(self.parameters.calls, peak)
