"""When an asynchronous event is tried again, and when it is given up. Pure; ages and delays in seconds.

AWS Lambda, "How Lambda handles errors and retries with asynchronous invocation" and "Configuring error handling
settings for Lambda asynchronous invocations". AWS leaves open by how much a full queue delays the next try; here by
nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

MAX_AGE = 6 * 3600.0
_ERROR_DELAYS = (60.0, 120.0)  # after the first and the second error; there is no third retry
_MIN_THROTTLE_DELAY, _MAX_THROTTLE_DELAY = 1.0, 300.0


class Condition(StrEnum):
    """Why an event was given up, as an invocation record says it ("Capturing records of asynchronous invocations")."""

    RETRIES = "RetriesExhausted"
    AGE = "EventAgeExceeded"
    OFF = "ZeroReservedConcurrency"
    """Reserved concurrency 0: straight to the destination, without a try. AWS gives no word for it."""


@dataclass(frozen=True, slots=True)
class RetryAfter:
    """Try it once more, after so many seconds."""

    delay: float


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Do not try it again."""

    condition: Condition


Decision: TypeAlias = RetryAfter | GiveUp


@dataclass(frozen=True, slots=True)
class AsyncRules:
    """A function's rules: retries after errors (0..2), and how old an event may get (60..21,600 seconds)."""

    retries: int = 2
    max_age: float = MAX_AGE

    def after_error(self, errors: int, age: float) -> Decision:
        """Decide after the function failed for the `errors`th time: retry in one minute, then in two, then give up."""
        if errors > self.retries:
            return GiveUp(Condition.RETRIES)
        return self._retry_within_age(_ERROR_DELAYS[errors - 1], age)

    def after_throttle(self, throttles: int, age: float) -> Decision:
        """Decide after `throttles` refused tries in a row, by a limit or by Lambda: 1 s, doubling to 5 minutes."""
        return self._retry_within_age(min(_MIN_THROTTLE_DELAY * 2.0 ** (throttles - 1), _MAX_THROTTLE_DELAY), age)

    def _retry_within_age(self, delay: float, age: float) -> Decision:
        return RetryAfter(delay) if age + delay <= self.max_age else GiveUp(Condition.AGE)
