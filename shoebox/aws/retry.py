"""The retry policy of calls to AWS: how often, after which pauses, and for how long.

`run` is for a call that raises `AwsError`: it is called again while its error is `retryable` (`shoebox.aws.errors`).
`each_attempt` is for a loop that decides by itself what has failed, such as a batch of which the service has done a
part. Source: "Exponential Backoff And Jitter" (AWS Architecture Blog).
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Self, TypeVar

from shoebox.aws.errors import AwsError

T = TypeVar("T")

_MAX_DOUBLINGS = 64  # 2.0 ** 1024 is an OverflowError, and a loop that retries for hours gets there


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """At most `attempts`, none of them begun later than `max_seconds` after the first one.

    The longest pause after the n-th is `first_pause` · 2^n seconds, and `max_pause` at most; the share `jitter` of it
    is random. `chance` gives numbers between 0 and 1, `clock` seconds.
    """

    attempts: int = 4
    first_pause: float = 0.05
    max_pause: float = 20.0
    max_seconds: float = float("inf")
    jitter: float = 1.0
    chance: Callable[[], float] = field(default=random.random, repr=False, compare=False)
    clock: Callable[[], float] = field(default=time.monotonic, repr=False, compare=False)
    sleep: Callable[[float], Awaitable[None]] = field(default=asyncio.sleep, repr=False, compare=False)

    def pause_after(self, attempt: int, seconds: float = 0.0) -> float | None:
        """Return the pause after the `attempt`-th (1, 2, …), `seconds` after the first began; None to give up."""
        if attempt >= self.attempts or seconds >= self.max_seconds:
            return None
        longest = min(self.first_pause * 2.0 ** min(attempt, _MAX_DOUBLINGS), self.max_pause)
        return longest * (1.0 - self.jitter * self.chance())

    def each_attempt(self) -> Attempts:
        """Return the numbers of the attempts, 1, 2, …, to be looped over with `async for`; it pauses between them."""
        return Attempts(self)

    async def run(self, call: Callable[[], Awaitable[T]]) -> T:
        """Return what `call` returns; call it again where its error is retryable.

        Raises:
            AwsError: that of the last attempt.
        """
        started = self.clock()
        attempt = 1
        while True:
            try:
                return await call()
            except AwsError as error:
                pause = self.pause_after(attempt, self.clock() - started) if error.retryable else None
                if pause is None:
                    raise
            await self.sleep(pause)
            attempt += 1


class Attempts:
    """The attempts that a policy allows."""

    # Not an async generator: one that is left by `return` costs the loop a task to close it.
    def __init__(self, policy: RetryPolicy) -> None:
        self._policy = policy
        self._started = policy.clock()
        self._attempt = 0

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> int:
        if self._attempt:
            pause = self._policy.pause_after(self._attempt, self._policy.clock() - self._started)
            if pause is None:
                raise StopAsyncIteration
            await self._policy.sleep(pause)
        self._attempt += 1
        return self._attempt
