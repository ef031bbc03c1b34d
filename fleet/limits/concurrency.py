"""Who may run now: Lambda's limits on invocations. Pure; the caller passes the time in seconds.

AWS Lambda, "Understanding Lambda function scaling" (account and reserved concurrency, ten requests a second for each
unit of it), "Lambda scaling behavior" (1,000 new execution environments every 10 seconds a function), "Lambda quotas".

What AWS leaves open, and how it is decided here:
- Reason of a 429 for environments that cannot be created so fast: the rate reasons, for it is a rate of the function.
- How long an idle environment stays: five minutes.
- The burst of the ten requests a second: those of one second.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, TypeAlias

from fleet.limits.bucket import TokenBucket
from fleet.limits.gate import Gate, pass_many
from fleet.limits.quotas import LambdaQuotas, QuotasError
from fleet.limits.use import LimitUse

_IDLE_SECONDS = 300.0
_ACCOUNT = "account"


class ThrottleReason(StrEnum):
    """Reasons in a 429 of Invoke (Lambda API reference, TooManyRequestsException)."""

    ACCOUNT = "ConcurrentInvocationLimitExceeded"
    RESERVED = "ReservedFunctionConcurrentInvocationLimitExceeded"
    RATE = "FunctionInvocationRateLimitExceeded"
    RESERVED_RATE = "ReservedFunctionInvocationRateLimitExceeded"
    CALLER = "CallerRateLimitExceeded"


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

    def enter(self, function: str, now: float, *, synchronous: bool = True) -> Decision:
        """Take a place for an invocation of `function`, or refuse it."""

    def leave(self, function: str, now: float) -> None:
        """Give the place back."""


class Rule(Protocol):
    """One limit of several that an invocation must all pass: asked first, told only when every one allows it."""

    def refusal(self, function: str, now: float, *, synchronous: bool) -> Throttle | None:
        """Why it may not run; None when this limit allows it."""

    def entered(self, function: str, now: float, *, synchronous: bool) -> None:
        """It runs."""

    def left(self, function: str, now: float) -> None:
        """It has ended."""

    def room(self, function: str, now: float, *, synchronous: bool) -> float:
        """How many it would allow now, one after the other: whole, or infinite."""

    def refuse(self, function: str, count: int) -> None:
        """Count refusals that `room` foretold."""

    def entered_many(self, function: str, now: float, count: int, *, synchronous: bool) -> None:
        """So many run."""

    def left_many(self, function: str, now: float, count: int) -> None:
        """So many have ended."""

    def follow(self, function: str, now: float, count: int) -> int:
        """How many of `count` it allows that each take the place of one that ends; those refused are counted."""

    def uses(self, now: float) -> Iterable[LimitUse]:
        """How the limit is used."""


class LambdaLimits:
    """All of Lambda's limits on one account; a refused invocation uses up nothing of any of them."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = rules

    def enter(self, function: str, now: float, *, synchronous: bool = True) -> Decision:
        """Take a place for an invocation, or refuse it."""
        for rule in self._rules:
            if refusal := rule.refusal(function, now, synchronous=synchronous):
                return refusal
        for rule in self._rules:
            rule.entered(function, now, synchronous=synchronous)
        return ADMIT

    def leave(self, function: str, now: float) -> None:
        """Give the place back."""
        for rule in self._rules:
            rule.left(function, now)

    def enter_many(self, function: str, now: float, count: int, *, synchronous: bool = True) -> int:
        """The same as `count` calls of `enter` at one time; how many may run.

        Nothing changes after the first refusal, so one rule, the first of the strictest, refuses all of the rest.
        """
        admitted: float = count
        strictest: Rule | None = None
        for rule in self._rules:
            if (room := rule.room(function, now, synchronous=synchronous)) < admitted:
                admitted, strictest = room, rule
        if strictest:
            strictest.refuse(function, count - int(admitted))
        for rule in self._rules if admitted else ():
            rule.entered_many(function, now, int(admitted), synchronous=synchronous)
        return int(admitted)

    def leave_many(self, function: str, now: float, count: int) -> None:
        """The same as `count` calls of `leave` at one time."""
        for rule in self._rules:
            rule.left_many(function, now, count)

    def follow_many(self, function: str, now: float, count: int) -> int:
        """How many of `count` synchronous invocations may run, each in the place of one that ends: `leave`, `enter`.

        Only the rate of requests can refuse them. Where it does, the place is not given back.
        """
        for rule in self._rules:
            count = rule.follow(function, now, count)
        return count

    def uses(self, now: float) -> Iterable[LimitUse]:
        """Every limit with its use."""
        for rule in self._rules:
            yield from rule.uses(now)


def lambda_limits(quotas: LambdaQuotas, reserved: Mapping[str, float], slots: Mapping[str, int]) -> LambdaLimits:
    """The limits of an account: `reserved` concurrency and `slots` an environment by the functions' names.

    Raises:
        QuotasError: more is reserved than AWS lets an account reserve.
    """
    check_reservations(quotas, reserved)
    return LambdaLimits(
        [
            Concurrency(quotas.concurrency, reserved),
            RequestRate(quotas, reserved),
            ScalingRate(quotas, reserved, slots),
        ]
    )


def check_reservations(quotas: LambdaQuotas, reserved: Mapping[str, float]) -> None:
    """AWS refuses a reservation that leaves less than 100 for functions without one (PutFunctionConcurrency).

    Raises:
        QuotasError: so much is reserved.
    """
    total = sum(reserved.values())
    if total and quotas.concurrency - total < quotas.unreserved_least:
        names = ", ".join(f"{function} {count:,.0f}" for function, count in reserved.items() if count)
        raise QuotasError(
            f"Of the account's concurrency of {quotas.concurrency:,.0f} at least {quotas.unreserved_least:,.0f} must "
            f"stay unreserved, and {total:,.0f} are reserved ({names}). Reserve less, or raise the quota."
        )


class Concurrency:
    """Account concurrency, less what is reserved; a function with reserved concurrency uses only its own."""

    def __init__(self, account: float, reserved: Mapping[str, float]) -> None:
        self._unreserved = account - sum(reserved.values())
        self._reserved = dict(reserved)
        self._running: Counter[str] = Counter()
        self._peaks: Counter[str] = Counter()
        self._throttled: Counter[str] = Counter()

    def refusal(self, function: str, now: float, *, synchronous: bool = True) -> Throttle | None:
        """Refuse when the function's own, or else the account's unreserved, concurrency is used up."""
        pool = self._pool(function)
        if self._running[pool] < self._most(pool):
            return None
        self._throttled[pool] += 1
        return Throttle(ThrottleReason.ACCOUNT if pool == _ACCOUNT else ThrottleReason.RESERVED)

    def entered(self, function: str, now: float, *, synchronous: bool = True) -> None:
        """One more runs."""
        pool = self._pool(function)
        self._running[pool] += 1
        if self._running[pool] > self._peaks[pool]:
            self._peaks[pool] = self._running[pool]

    def left(self, function: str, now: float) -> None:
        """One less runs."""
        self._running[self._pool(function)] -= 1

    def room(self, function: str, now: float, *, synchronous: bool = True) -> float:
        """Places that are free."""
        pool = self._pool(function)
        most = self._most(pool)
        return most if most == math.inf else max(0, math.ceil(most - self._running[pool]))

    def refuse(self, function: str, count: int) -> None:
        """Count refusals."""
        self._throttled[self._pool(function)] += count

    def entered_many(self, function: str, now: float, count: int, *, synchronous: bool = True) -> None:
        """So many more run."""
        pool = self._pool(function)
        self._running[pool] += count
        if self._running[pool] > self._peaks[pool]:
            self._peaks[pool] = self._running[pool]

    def left_many(self, function: str, now: float, count: int) -> None:
        """So many less run."""
        self._running[self._pool(function)] -= count

    def follow(self, function: str, now: float, count: int) -> int:
        """As many run as before."""
        return count

    def uses(self, now: float) -> Iterable[LimitUse]:
        """The account's unreserved concurrency, and each reserved one."""
        for pool in (_ACCOUNT, *self._reserved):
            yield LimitUse(
                "lambda.concurrency" if pool == _ACCOUNT else "lambda.reserved_concurrency",
                pool,
                self._running[pool],
                self._peaks[pool],
                self._most(pool),
                "invocations",
                self._throttled[pool],
            )

    def _pool(self, function: str) -> str:
        return function if function in self._reserved else _ACCOUNT

    def _most(self, pool: str) -> float:
        return self._unreserved if pool == _ACCOUNT else self._reserved[pool]


class RequestRate:
    """Ten synchronous requests a second for each unit of concurrency: what holds a handler of less than 100 ms."""

    def __init__(self, quotas: LambdaQuotas, reserved: Mapping[str, float]) -> None:
        each = quotas.requests_per_environment
        unreserved = quotas.concurrency - sum(reserved.values())
        self._gates = {
            pool: Gate(TokenBucket(_times(each, most))) for pool, most in {_ACCOUNT: unreserved, **reserved}.items()
        }

    def refusal(self, function: str, now: float, *, synchronous: bool = True) -> Throttle | None:
        """Refuse when this second's requests are used up."""
        pool = self._pool(function)
        if not synchronous or self._gates[pool].lets(now):
            return None
        return Throttle(ThrottleReason.RATE if pool == _ACCOUNT else ThrottleReason.RESERVED_RATE)

    def entered(self, function: str, now: float, *, synchronous: bool = True) -> None:
        """Count a synchronous request."""
        if synchronous:
            self._gates[self._pool(function)].passes(now)

    def left(self, function: str, now: float) -> None:
        """Requests are counted when they come."""

    def room(self, function: str, now: float, *, synchronous: bool = True) -> float:
        """Requests that are left of this second."""
        return self._gates[self._pool(function)].room(now) if synchronous else math.inf

    def refuse(self, function: str, count: int) -> None:
        """Count refusals."""
        self._gates[self._pool(function)].refuse(count)

    def entered_many(self, function: str, now: float, count: int, *, synchronous: bool = True) -> None:
        """Count synchronous requests."""
        if synchronous:
            self._gates[self._pool(function)].passes(now, count)

    def left_many(self, function: str, now: float, count: int) -> None:
        """Requests are counted when they come."""

    def follow(self, function: str, now: float, count: int) -> int:
        """As many as are left of this second."""
        return pass_many((self._gates[self._pool(function)],), now, count)

    def uses(self, now: float) -> Iterable[LimitUse]:
        """The requests a second of the account's functions without a reservation, and of each with one."""
        for pool, gate in self._gates.items():
            yield gate.use("lambda.requests", pool, now)

    def _pool(self, function: str) -> str:
        return function if function in self._gates else _ACCOUNT


class ScalingRate:
    """So many new environments of a function in ten seconds, refilled continuously, never more than that at once.

    The environments are counted as AWS would have them, by the invocations at once and the slots of each; how many
    processes this machine runs for them is another matter (fleet.environments.scheduler).
    """

    def __init__(
        self,
        quotas: LambdaQuotas,
        reserved: Mapping[str, float],
        slots: Mapping[str, int],
        *,
        idle_seconds: float = _IDLE_SECONDS,
    ) -> None:
        self._functions = {
            function: _Environments(quotas, count, idle_seconds, reserved=function in reserved)
            for function, count in slots.items()
        }

    def refusal(self, function: str, now: float, *, synchronous: bool = True) -> Throttle | None:
        """Refuse when it needs a new environment and none may be created now."""
        environments = self._functions[function]
        if environments.available(now):
            return None
        environments.throttled += 1
        return Throttle(ThrottleReason.RESERVED_RATE if environments.reserved else ThrottleReason.RATE)

    def entered(self, function: str, now: float, *, synchronous: bool = True) -> None:
        """It runs in an environment that was there, or in a new one."""
        self._functions[function].enter(now)

    def left(self, function: str, now: float) -> None:
        """Its slot is free."""
        self._functions[function].leave(now)

    def room(self, function: str, now: float, *, synchronous: bool = True) -> float:
        """Slots that are free, or that environments would have which may be created now."""
        return self._functions[function].room(now)

    def refuse(self, function: str, count: int) -> None:
        """Count refusals."""
        self._functions[function].throttled += count

    def entered_many(self, function: str, now: float, count: int, *, synchronous: bool = True) -> None:
        """They run in environments that were there, or in new ones."""
        self._functions[function].enter_many(now, count)

    def left_many(self, function: str, now: float, count: int) -> None:
        """Their slots are free."""
        self._functions[function].leave_many(now, count)

    def follow(self, function: str, now: float, count: int) -> int:
        """They run in the same environments."""
        return count

    def uses(self, now: float) -> Iterable[LimitUse]:
        """New environments of each function, of the last whole second as ten seconds' rate would have it."""
        for function, environments in self._functions.items():
            yield environments.use(function, now)


class _Environments:
    """The environments of one function: those at work, and the idle ones by when they fell idle."""

    def __init__(self, quotas: LambdaQuotas, slots: int, idle_seconds: float, *, reserved: bool) -> None:
        most = quotas.scaling_environments
        self._bucket = TokenBucket(most / quotas.scaling_seconds, most)
        self._slots = slots
        self._idle_seconds = idle_seconds
        self._idle: deque[float] = deque()
        self._running = 0
        self._created: deque[float] = deque()
        self._window = quotas.scaling_seconds
        self._peak = 0
        self.reserved = reserved
        self.throttled = 0

    def available(self, now: float) -> bool:
        if self._running % self._slots:
            return True  # an environment at work has a free slot
        self._end_idle(now)
        return bool(self._idle) or self._bucket.has(now)

    def enter(self, now: float) -> None:
        if self._running % self._slots == 0:
            if self._idle:
                self._idle.pop()
            else:
                self._create(now)
        self._running += 1

    def leave(self, now: float) -> None:
        self._running -= 1
        if self._running % self._slots == 0:
            self._idle.append(now)

    def room(self, now: float) -> float:
        self._end_idle(now)
        new = self._bucket.tokens(now)
        return -self._running % self._slots + self._slots * (len(self._idle) + (new if new == math.inf else int(new)))

    def enter_many(self, now: float, count: int) -> None:
        wanted = self._busy(self._running + count) - self._busy(self._running)
        self._running += count
        idle = min(wanted, len(self._idle))
        for _ in range(idle):
            self._idle.pop()
        if wanted > idle:
            self._create(now, wanted - idle)

    def leave_many(self, now: float, count: int) -> None:
        freed = self._busy(self._running) - self._busy(self._running - count)
        self._running -= count
        self._idle.extend([now] * freed)

    def _busy(self, running: int) -> int:
        """Environments with so many invocations."""
        return -(-running // self._slots)

    def _end_idle(self, now: float) -> None:
        while self._idle and now - self._idle[0] >= self._idle_seconds:
            self._idle.popleft()

    def use(self, function: str, now: float) -> LimitUse:
        self._forget(now)
        return LimitUse(
            "lambda.scaling",
            function,
            len(self._created),
            self._peak,
            self._bucket.burst,
            "environments/10 s",
            self.throttled,
        )

    def _create(self, now: float, count: int = 1) -> None:
        self._bucket.charge(now, count)
        self._forget(now)
        self._created.extend([now] * count)
        self._peak = max(self._peak, len(self._created))

    def _forget(self, now: float) -> None:
        while self._created and now - self._created[0] >= self._window:
            self._created.popleft()


def _times(each: float, most: float) -> float:
    return 0.0 if not most else (math.inf if math.inf in (each, most) else each * most)
