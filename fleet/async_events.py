"""Asynchronous invocations: accepted at once, run later, tried twice more after an error of the function.

Rules: AWS Lambda, "How Lambda handles errors and retries with asynchronous invocation".
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Self

from fleet.environments.invocation import Call, InvokeResult
from fleet.errors import Throttled
from shoebox.telemetry import get_logger

_log = get_logger(action="fleet.async_events")


@dataclass(frozen=True, slots=True)
class AsyncRetry:
    """When an event is tried again: one and two minutes after errors; after throttles 1 s, doubling to 5 minutes."""

    errors: tuple[float, ...] = (60.0, 120.0)
    throttle_first: float = 1.0
    throttle_most: float = 300.0
    give_up_after: float = 6 * 3600.0

    def after_error(self, errors: int) -> float | None:
        """Seconds until the next attempt when `errors` attempts have failed; None: no more."""
        return self.errors[errors - 1] if errors <= len(self.errors) else None

    def after_throttle(self, throttles: int, age: float) -> float | None:
        """Seconds until the next attempt when `throttles` in a row were refused, for an event of this age."""
        delay = min(self.throttle_first * 2.0 ** (throttles - 1), self.throttle_most)
        return delay if age + delay <= self.give_up_after else None


@dataclass(frozen=True, slots=True)
class AsyncStatistics:
    """Events that wait or run, and what became of the others."""

    pending: int
    succeeded: int
    given_up: int


class AsyncEvents:
    """The queue of asynchronous invocations; at its end what has not run is dropped, as its log says."""

    def __init__(
        self,
        run: Callable[[str, Call], Awaitable[InvokeResult]],
        *,
        retry: AsyncRetry | None = None,
        most: int = 10_000,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._run = run
        self._retry = retry or AsyncRetry()
        self._most = most
        self._sleep = sleep
        self._clock = clock or asyncio.get_running_loop().time
        self._tasks: set[asyncio.Task[None]] = set()
        self._succeeded = 0
        self._given_up = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        if self._tasks:
            _log.warning("dropped events", count=len(self._tasks))
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def statistics(self) -> AsyncStatistics:
        """The queue as it is now."""
        return AsyncStatistics(len(self._tasks), self._succeeded, self._given_up)

    def submit(self, function: str, call: Call) -> None:
        """Accept an event.

        Raises:
            Throttled: too many wait already.
        """
        if len(self._tasks) >= self._most:
            raise Throttled("CallerRateLimitExceeded")
        task = asyncio.create_task(self._deliver(function, call))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _deliver(self, function: str, call: Call) -> None:
        born, errors, throttles = self._clock(), 0, 0
        while True:
            delay: float | None
            try:
                result = await self._run(function, call)
            except Throttled:
                throttles += 1
                delay = self._retry.after_throttle(throttles, self._clock() - born)
            else:
                if result.function_error is None:
                    self._succeeded += 1
                    return
                errors, throttles = errors + 1, 0
                delay = self._retry.after_error(errors)
            if delay is None:
                self._given_up += 1
                _log.error("event given up", function=function, request_id=call.request_id, errors=errors)
                return
            await self._sleep(delay)
