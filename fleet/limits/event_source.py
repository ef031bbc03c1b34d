"""How many batches an SQS event source mapping has at work. Pure; the caller passes the time in seconds.

Source: AWS Lambda, "Configuring scaling behavior for SQS event source mappings", and "Handling errors for an SQS event
source in Lambda" for what lowers it.

StandardScale        what every mapping gets: 5 batches, 300 more a minute while messages wait, up to 1,250
ProvisionedPollers   provisioned mode: dedicated pollers, with a throughput for each
FixedScale           always the same number, for functions whose environments are not started here

AWS names the figures, not the curve. Decided here: growth is even (300 a minute are 5 a second) and only goes on from
one full receive call to the next; it sinks as fast once they are not full, to 5, and to 2 when the queue has been empty
for five minutes; a throttle or function error takes a quarter off, once a second at most, and keeps it from rising for
ten seconds.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Protocol

from fleet.limits.bucket import TokenBucket
from fleet.limits.quotas import MappingQuotas, Quotas
from fleet.limits.use import LimitUse

Capacity = Callable[[], float]
"""How many invocations the machine could run at once; more batches would only wait, their visibility running out."""

_MINUTE = 60.0
_IDLE_SECONDS = 300.0
_ROUNDING = 1e-9  # so that sixty seconds of 3/60 a second are 3, not 2.999…
_LOWERED = 0.75  # what a throttle or an error leaves of the level
_LOWER_EVERY = 1.0
_HELD_SECONDS = 10.0  # without growth, after the level was lowered


class InvocationOutcome(StrEnum):
    """How the invocation of a batch ended, as far as scaling depends on it."""

    SUCCESS = "done"
    FUNCTION_ERROR = "function_error"
    THROTTLED = "throttled"


class Scale(Protocol):
    """How many batches may be at work at once; it changes with what the mapping reports. `now` in seconds."""

    def limit(self, now: float) -> int:
        """Return how many batches may be at work now, those being received included."""

    def pause(self, now: float) -> float:
        """Return the seconds until the next receive call may be made; where they are 0, the call is counted."""

    def received(self, now: float, *, messages: int, wanted: int, size: int) -> None:
        """Note that a receive call for `wanted` messages brought so many, of `size` bytes in all."""

    def started(self, count: int = 1) -> None:
        """Note that so many batches have begun."""

    def blocked(self, now: float) -> None:
        """Note that polling has to wait for a batch to end."""

    def invocation_ended(self, now: float, outcome: InvocationOutcome) -> None:
        """Note that an invocation ended, or was throttled: its batch is still at work then."""

    def finished(self, count: int = 1) -> None:
        """Note that so many batches are done with."""

    def uses(self, now: float) -> Iterable[LimitUse]:
        """Yield `lambda.mapping_concurrency` of the function."""


class _BatchCount:
    """Counts the batches of `function` at work, of which there may be `maximum` at most."""

    def __init__(self, function: str, maximum: float) -> None:
        self._function = function
        self._maximum = maximum
        self._running = self._peak = self._blocked = 0

    def pause(self, now: float) -> float:
        """Return 0: receive calls are not limited."""
        return 0.0

    def started(self, count: int = 1) -> None:
        """Note that so many batches have begun."""
        self._running += count
        self._peak = max(self._peak, self._running)

    def blocked(self, now: float) -> None:
        """Count a wait for a batch to end, unless it is for want of capacity, which is no limit of AWS."""
        self._blocked += not self._capacity_binds(now)

    def _capacity_binds(self, now: float) -> bool:
        return False

    def finished(self, count: int = 1) -> None:
        """Note that so many batches are done with."""
        self._running -= count

    def uses(self, now: float) -> Iterable[LimitUse]:
        """Yield the batches at work, and the highest number that there may ever be; `throttled` counts waits for it."""
        yield LimitUse(
            "lambda.mapping_concurrency",
            self._function,
            used=self._running,
            peak=self._peak,
            maximum=self._maximum,
            unit="batches",
            throttled=self._blocked,
        )


class FixedScale(_BatchCount):
    """Always the same number of batches, or as many as there are slots for them: `capacity`."""

    def __init__(
        self, batches: float = 5, *, function: str = "", capacity: Callable[[], float] = lambda: math.inf
    ) -> None:
        super().__init__(function, batches)
        self._batches = _whole(batches)
        self._capacity = capacity

    def limit(self, now: float) -> int:
        """Return how many batches may be at work now."""
        return int(min(self._batches, self._capacity()))

    def received(self, now: float, *, messages: int, wanted: int, size: int) -> None:
        """Change nothing."""

    def invocation_ended(self, now: float, outcome: InvocationOutcome) -> None:
        """Change nothing."""


class _Level:
    """A number that grows evenly while there is a backlog, and goes evenly to its minimum while there is none."""

    def __init__(self, at_first: float, maximum: float, rate: float) -> None:
        self._value = min(at_first, maximum)
        self._maximum = maximum
        self._rate = rate
        self._at: float | None = None
        self._held_until = -math.inf
        self._backlog = False

    def at(self, now: float, minimum: float) -> float:
        """Return the level now; without a backlog it goes towards `minimum`."""
        before = now if self._at is None else self._at
        self._at = max(before, now)
        target = self._maximum if self._backlog else minimum
        if self._value > target and now > before:
            self._value = max(target, self._value - (now - before) * self._rate)
        elif self._value < target and now > (since := max(before, self._held_until)):
            self._value = min(target, self._value + (now - since) * self._rate)
        return self._value

    def backlog(self, waiting: bool) -> None:
        """Note whether messages wait in the queue, from now on."""
        self._backlog = waiting

    def raise_to(self, value: float) -> None:
        """Raise the level at once, where it is lower."""
        self._value = max(self._value, min(value, self._maximum))

    def lower(self, now: float) -> None:
        """Take a quarter away, but never go below one; the level does not rise for a while then."""
        self._value = max(1.0, self._value * _LOWERED)
        self._held_until = now + _HELD_SECONDS


class StandardScale(_BatchCount):
    """Standard mode: from 5 batches at once, 300 more a minute while there is backlog, up to 1,250.

    `maximum` is MaximumConcurrency; with it the mapping keeps its five pollers when idle. A mapping with
    `reports_failures` (ReportBatchItemFailures) is not lowered by errors of its function.
    """

    def __init__(
        self,
        quotas: MappingQuotas,
        *,
        function: str = "",
        maximum: float | None = None,
        reports_failures: bool = False,
        capacity: Capacity = lambda: math.inf,
    ) -> None:
        limit = quotas.concurrency_max if maximum is None else min(maximum, quotas.concurrency_max)
        super().__init__(function, limit)
        self._pollers = min(quotas.pollers, limit)
        self._idle = self._pollers if maximum is not None else min(quotas.pollers_idle, self._pollers)
        self._level = _Level(self._pollers, limit, quotas.concurrency_per_minute / _MINUTE)
        self._lowers_on_errors = not reports_failures
        self._capacity = capacity
        self._empty_since: float | None = None
        self._lowered_at = -math.inf

    def limit(self, now: float) -> int:
        """Return how many batches may be at work now: at least one, and no more than the machine could run."""
        return max(1, min(_whole(self._level.at(now, self._minimum(now))), _whole(self._capacity())))

    def _capacity_binds(self, now: float) -> bool:
        return self._capacity() < _whole(self._level.at(now, self._minimum(now)))

    def received(self, now: float, *, messages: int, wanted: int, size: int) -> None:
        """Take a full response as backlog, and an empty one as a queue that is idle."""
        if messages:
            if self._empty_since is not None and self._minimum(now) < self._pollers:
                self._level.raise_to(self._pollers)  # messages again: five at once, as at the start
            self._empty_since = None
        elif self._empty_since is None:
            self._empty_since = now
        self._level.at(now, self._minimum(now))
        self._level.backlog(messages >= wanted)

    def invocation_ended(self, now: float, outcome: InvocationOutcome) -> None:
        """Lower the number for throttles, and for errors of a function that does not report failures itself."""
        failed = outcome is InvocationOutcome.FUNCTION_ERROR
        lowers = outcome is InvocationOutcome.THROTTLED or (failed and self._lowers_on_errors)
        if lowers and now - self._lowered_at >= _LOWER_EVERY:
            self._lowered_at = now
            self._level.at(now, self._minimum(now))
            self._level.lower(now)

    def _minimum(self, now: float) -> float:
        idle = self._empty_since is not None and now - self._empty_since >= _IDLE_SECONDS
        return self._idle if idle else self._pollers


class ProvisionedPollers(_BatchCount):
    """Provisioned mode: `minimum` to `maximum` pollers, each with 10 invocations, 10 receive calls and 1 MB a second.

    They grow by 1,000 invocations a minute, and go back to `minimum` as fast. Errors and throttles do not take pollers
    away: AWS says of them only that they "remain ready". The page gives each poller "10 concurrent invokes or up to 10
    SQS polling API calls per second"; both are kept here.
    """

    INVOKES = 10
    CALLS_A_SECOND = 10.0
    BYTES_A_SECOND = 1024.0 * 1024
    CONCURRENCY_PER_MINUTE = 1000.0

    def __init__(
        self, minimum: int, maximum: int, quotas: Quotas, *, function: str = "", capacity: Capacity = lambda: math.inf
    ) -> None:
        self._minimum = math.inf if quotas.off else quotas.count(minimum)
        max_pollers = math.inf if quotas.off else max(self._minimum, quotas.count(maximum))
        super().__init__(function, max_pollers * self.INVOKES)
        rate = quotas.rate(self.CONCURRENCY_PER_MINUTE) / self.INVOKES / _MINUTE
        self._level = _Level(self._minimum, max_pollers, rate)
        self._capacity = capacity
        self._calls = TokenBucket(self._minimum * self.CALLS_A_SECOND)
        self._bytes = TokenBucket(self._minimum * self.BYTES_A_SECOND)

    def pollers(self, now: float) -> float:
        """Return the pollers that there are now, in whole numbers."""
        level = self._level.at(now, self._minimum)
        return level if level == math.inf else _whole(level)

    def limit(self, now: float) -> int:
        """Return how many batches may be at work now."""
        return max(1, min(_whole(self.pollers(now) * self.INVOKES), _whole(self._capacity())))

    def _capacity_binds(self, now: float) -> bool:
        return self._capacity() < self.pollers(now) * self.INVOKES

    def pause(self, now: float) -> float:
        """Return the seconds until calls and bytes allow another receive."""
        pollers = self.pollers(now)
        _resize(self._calls, now, pollers * self.CALLS_A_SECOND)
        _resize(self._bytes, now, pollers * self.BYTES_A_SECOND)
        wait = max(self._calls.seconds_until(now), self._bytes.seconds_until(now, 0.0))
        if wait > _ROUNDING:
            return wait
        self._calls.charge(now, 1.0)
        return 0.0

    def received(self, now: float, *, messages: int, wanted: int, size: int) -> None:
        """Take a full response as backlog; charge its bytes, which are known only now."""
        self._level.at(now, self._minimum)
        self._level.backlog(bool(messages) and messages >= wanted)
        self._bytes.charge(now, size)

    def invocation_ended(self, now: float, outcome: InvocationOutcome) -> None:
        """Change nothing: pollers stay."""


def _resize(bucket: TokenBucket, now: float, rate: float) -> None:
    bucket.has(now)  # refills it at the former rate until now, before the new one holds
    bucket.rate = bucket.burst = rate


def _whole(number: float) -> int:
    return sys.maxsize if number >= sys.maxsize else math.floor(number + _ROUNDING)
