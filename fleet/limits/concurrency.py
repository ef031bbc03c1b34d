"""Who may run now: the decision that stands before every invocation. Pure; the caller passes the time.

Today's rule is concurrency, of the account and reserved for a function ("Lambda quotas", "Understanding Lambda
function scaling"). Rules over time are further `Admission`s.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, TypeAlias


class ThrottleReason(StrEnum):
    """Reasons in a 429 of Invoke (Lambda API reference, TooManyRequestsException)."""

    ACCOUNT = "ConcurrentInvocationLimitExceeded"
    RESERVED = "ReservedFunctionConcurrentInvocationLimitExceeded"


@dataclass(frozen=True, slots=True)
class Admit:
    """The invocation may run; its place is taken until `leave`."""


@dataclass(frozen=True, slots=True)
class Throttle:
    """The invocation is refused."""

    reason: ThrottleReason


Decision: TypeAlias = Admit | Throttle
ADMIT = Admit()


class Admission(Protocol):
    """Decides on invocations of all functions, in the order they come; `now` in seconds of the caller's clock."""

    def enter(self, function: str, now: float) -> Decision:
        """Take a place for an invocation of `function`, or refuse it."""

    def leave(self, function: str, now: float) -> None:
        """Give the place back."""


class Concurrency:
    """Account concurrency, less what is reserved; a function with reserved concurrency uses only its own."""

    def __init__(self, account: float, reserved: Mapping[str, int]) -> None:
        self._unreserved = account - sum(reserved.values())
        self._reserved = dict(reserved)
        self._running: Counter[str] = Counter()
        self._unreserved_running = 0

    def enter(self, function: str, now: float) -> Decision:
        """Admit while the function's own, or else the account's unreserved, concurrency lasts."""
        reserved = self._reserved.get(function)
        if reserved is not None and self._running[function] >= reserved:
            return Throttle(ThrottleReason.RESERVED)
        if reserved is None and self._unreserved_running >= self._unreserved:
            return Throttle(ThrottleReason.ACCOUNT)
        self._count(function, 1)
        return ADMIT

    def leave(self, function: str, now: float) -> None:
        """Give the place back."""
        self._count(function, -1)

    def _count(self, function: str, change: int) -> None:
        self._running[function] += change
        if function not in self._reserved:
            self._unreserved_running += change
