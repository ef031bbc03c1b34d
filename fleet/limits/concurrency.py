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
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Protocol

from fleet.limits.bucket import TokenBucket
from fleet.limits.quotas import LambdaQuotas, QuotasError
from fleet.limits.rate_limit import RateLimit, admit
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


class LambdaLimits:
    """All of Lambda's limits on one account; a refused invocation uses up nothing of any of them.

    `reserved` is the reserved concurrency, and `slots` those of an environment, by the functions' names. `now` is in
    seconds of the caller's clock.

    Raises:
        QuotasError: more is reserved than AWS lets an account reserve.
    """

    def __init__(self, quotas: LambdaQuotas, reserved: Mapping[str, float], slots: Mapping[str, int]) -> None:
        _check_reservations(quotas, reserved)
        self._requests = _RequestRate(quotas, reserved)
        self._limits: tuple[_InvocationLimit, ...] = (
            _Concurrency(quotas.concurrency, reserved),
            self._requests,
            _ScalingRate(quotas, reserved, slots),
        )

    def enter(self, function: str, now: float, *, synchronous: bool = True) -> ThrottleReason | None:
        """Admit an invocation, which holds its place until `leave`; or return why it is refused."""
        for limit in self._limits:
            if limit.room(function, now, synchronous=synchronous) < 1:
                return limit.refuse(function, 1)
        for limit in self._limits:
            limit.enter(function, now, 1, synchronous=synchronous)
        return None

    def enter_many(self, function: str, now: float, count: int, *, synchronous: bool = True) -> int:
        """Return how many of `count` simultaneous invocations may run: the same as so many calls of `enter`.

        Nothing changes after the first refusal, so one limit, the first of the narrowest, refuses all of the rest.
        """
        admitted = count
        narrowest: _InvocationLimit | None = None
        for limit in self._limits:
            if (room := limit.room(function, now, synchronous=synchronous)) < admitted:
                admitted, narrowest = max(0, math.floor(room)), limit
        if narrowest:
            narrowest.refuse(function, count - admitted)
        for limit in self._limits if admitted else ():
            limit.enter(function, now, admitted, synchronous=synchronous)
        return admitted

    def leave(self, function: str, now: float, count: int = 1) -> None:
        """Give back the places of so many invocations."""
        for limit in self._limits:
            limit.leave(function, now, count)

    def follow(self, function: str, now: float, count: int) -> int:
        """Return how many of `count` synchronous invocations may run, each in the place of one that ends.

        Only the rate of requests can refuse them. Where it does, the place is not given back.
        """
        return self._requests.follow(function, now, count)

    def uses(self, now: float) -> Iterable[LimitUse]:
        """Yield every limit with its use."""
        for limit in self._limits:
            yield from limit.uses(now)


class _InvocationLimit(Protocol):
    """One of the limits that an invocation must all pass: it enters only when every one has room."""

    def room(self, function: str, now: float, *, synchronous: bool) -> float:
        """Return how many it would allow now, one after the other; to be rounded down, and negative in debt."""

    def refuse(self, function: str, count: int) -> ThrottleReason:
        """Count invocations for which there was no room; return the reason of their refusal."""

    def enter(self, function: str, now: float, count: int, *, synchronous: bool) -> None:
        """Note that so many run."""

    def leave(self, function: str, now: float, count: int) -> None:
        """Note that so many have ended."""

    def uses(self, now: float) -> Iterable[LimitUse]:
        """Yield how the limit is used."""


def _check_reservations(quotas: LambdaQuotas, reserved: Mapping[str, float]) -> None:
    """Refuse a reservation that leaves less than 100 for functions without one, as AWS does (PutFunctionConcurrency).

    Raises:
        QuotasError: so much is reserved.
    """
    total = sum(reserved.values())
    if total and quotas.concurrency - total < quotas.unreserved_min:
        names = ", ".join(f"{function} {count:,.0f}" for function, count in reserved.items() if count)
        raise QuotasError(
            f"Of the account's concurrency of {quotas.concurrency:,.0f} at least {quotas.unreserved_min:,.0f} must "
            f"stay unreserved, and {total:,.0f} are reserved ({names}). Reserve less, or raise the quota."
        )


class _Concurrency:
    """Account concurrency, less what is reserved; a function with reserved concurrency uses only its own."""

    def __init__(self, account: float, reserved: Mapping[str, float]) -> None:
        self._limits = {_ACCOUNT: account - sum(reserved.values()), **reserved}
        self._running: Counter[str] = Counter()
        self._peaks: Counter[str] = Counter()
        self._throttled: Counter[str] = Counter()

    def room(self, function: str, now: float, *, synchronous: bool) -> float:
        pool = _pool_of(function, self._limits)
        limit = self._limits[pool]
        # Scaled limits may be fractions: 2.5 allow a third invocation while two run.
        return limit if limit == math.inf else math.ceil(limit - self._running[pool])

    def refuse(self, function: str, count: int) -> ThrottleReason:
        pool = _pool_of(function, self._limits)
        self._throttled[pool] += count
        return ThrottleReason.ACCOUNT if pool == _ACCOUNT else ThrottleReason.RESERVED

    def enter(self, function: str, now: float, count: int, *, synchronous: bool) -> None:
        pool = _pool_of(function, self._limits)
        self._running[pool] += count
        if self._running[pool] > self._peaks[pool]:
            self._peaks[pool] = self._running[pool]

    def leave(self, function: str, now: float, count: int) -> None:
        self._running[_pool_of(function, self._limits)] -= count

    def uses(self, now: float) -> Iterable[LimitUse]:
        """Yield the account's unreserved concurrency, and each reserved one."""
        for pool, limit in self._limits.items():
            name = "lambda.concurrency" if pool == _ACCOUNT else "lambda.reserved_concurrency"
            running, peak, throttled = self._running[pool], self._peaks[pool], self._throttled[pool]
            yield LimitUse(name, pool, running, peak, limit, "invocations", throttled)


class _RequestRate:
    """Ten synchronous requests a second for each unit of concurrency: what limits handlers of less than 100 ms."""

    def __init__(self, quotas: LambdaQuotas, reserved: Mapping[str, float]) -> None:
        limits = {_ACCOUNT: quotas.concurrency - sum(reserved.values()), **reserved}
        each = quotas.requests_per_environment
        # Of a concurrency of 0 it is 0, also where each unit has no limit: 0 × infinity is no number.
        self._rates = {
            pool: RateLimit(TokenBucket(concurrency and each * concurrency)) for pool, concurrency in limits.items()
        }

    def room(self, function: str, now: float, *, synchronous: bool) -> float:
        return self._rates[_pool_of(function, self._rates)].room(now) if synchronous else math.inf

    def refuse(self, function: str, count: int) -> ThrottleReason:
        pool = _pool_of(function, self._rates)
        self._rates[pool].refuse(count)
        return ThrottleReason.RATE if pool == _ACCOUNT else ThrottleReason.RESERVED_RATE

    def enter(self, function: str, now: float, count: int, *, synchronous: bool) -> None:
        if synchronous:
            self._rates[_pool_of(function, self._rates)].take(now, count)

    def leave(self, function: str, now: float, count: int) -> None:
        """Change nothing: requests are counted when they come."""

    def follow(self, function: str, now: float, count: int) -> int:
        return admit((self._rates[_pool_of(function, self._rates)],), now, count)

    def uses(self, now: float) -> Iterable[LimitUse]:
        """Yield requests a second: of all functions without a reservation, and of each with one."""
        for pool, rate in self._rates.items():
            yield rate.use("lambda.requests", pool, now)


class _ScalingRate:
    """So many new environments of a function in ten seconds, refilled continuously, never more than that at once.

    The environments are counted as AWS would have them, by the invocations at once and the slots of each; how many
    processes this machine runs for them is another matter (fleet.environments.scheduler).
    """

    def __init__(self, quotas: LambdaQuotas, reserved: Mapping[str, float], slots: Mapping[str, int]) -> None:
        self._functions = {
            function: _Environments(quotas, count, reserved=function in reserved) for function, count in slots.items()
        }

    def room(self, function: str, now: float, *, synchronous: bool) -> float:
        return self._functions[function].room(now)

    def refuse(self, function: str, count: int) -> ThrottleReason:
        environments = self._functions[function]
        environments.throttled += count
        return ThrottleReason.RESERVED_RATE if environments.reserved else ThrottleReason.RATE

    def enter(self, function: str, now: float, count: int, *, synchronous: bool) -> None:
        self._functions[function].enter(now, count)

    def leave(self, function: str, now: float, count: int) -> None:
        self._functions[function].leave(now, count)

    def uses(self, now: float) -> Iterable[LimitUse]:
        for function, environments in self._functions.items():
            yield environments.use(function, now)


class _Environments:
    """The environments of one function: those at work, and the idle ones by when they fell idle."""

    def __init__(self, quotas: LambdaQuotas, slots: int, *, reserved: bool) -> None:
        self._bucket = TokenBucket(quotas.scaling_environments / quotas.scaling_seconds, quotas.scaling_environments)
        self._slots = slots
        self._idle: deque[float] = deque()
        self._running = 0
        self._created: deque[float] = deque()
        self._window = quotas.scaling_seconds
        self._peak = 0
        self.reserved = reserved
        self.throttled = 0

    def room(self, now: float) -> float:
        """Return the slots that are free, and those of environments that are idle or may be created now."""
        while self._idle and now - self._idle[0] >= _IDLE_SECONDS:
            self._idle.popleft()
        new = self._bucket.tokens(now)
        return -self._running % self._slots + self._slots * (len(self._idle) + (new if new == math.inf else int(new)))

    def enter(self, now: float, count: int) -> None:
        wanted = self._busy(self._running + count) - self._busy(self._running)
        self._running += count
        idle = min(wanted, len(self._idle))
        for _ in range(idle):
            self._idle.pop()
        if created := wanted - idle:
            self._bucket.charge(now, created)
            self._forget(now)
            self._created.extend([now] * created)
            self._peak = max(self._peak, len(self._created))

    def leave(self, now: float, count: int) -> None:
        freed = self._busy(self._running) - self._busy(self._running - count)
        self._running -= count
        self._idle.extend([now] * freed)

    def use(self, function: str, now: float) -> LimitUse:
        """Return how many environments were created in the last ten seconds."""
        self._forget(now)
        created, limit = len(self._created), self._bucket.burst
        return LimitUse("lambda.scaling", function, created, self._peak, limit, "environments/10 s", self.throttled)

    def _busy(self, running: int) -> int:
        """Return how many environments so many invocations need."""
        return -(-running // self._slots)

    def _forget(self, now: float) -> None:
        while self._created and now - self._created[0] >= self._window:
            self._created.popleft()


def _pool_of(function: str, pools: Mapping[str, object]) -> str:
    """Return whose concurrency a function uses: its own, where it is reserved, or the account's."""
    return function if function in pools else _ACCOUNT
