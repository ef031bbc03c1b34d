import asyncio
from collections.abc import Callable

import pytest
from fleet_fakes import until

from fleet.async_events import AsyncEvents, AsyncRetry, AsyncStatistics
from fleet.environments.invocation import Call, InvokeResult, failure
from fleet.errors import Throttled


class Time:
    """A clock that sleeping moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        """Move the clock."""
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)


def runner(*answers: InvokeResult | Exception) -> Callable[[str, Call], object]:
    """A function that answers so, the last answer for ever."""
    left = list(answers)

    async def run(function: str, call: Call) -> InvokeResult:
        answer = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    return run


async def deliver(time: Time, *answers: InvokeResult | Exception) -> AsyncStatistics:
    """Deliver one event to a function that answers so."""
    run = runner(*answers)
    async with AsyncEvents(run, sleep=time.sleep, clock=lambda: time.now) as events:  # type: ignore[arg-type]
        events.submit("f", Call(b"{}"))
        await until(lambda: not events.statistics().pending)
        return events.statistics()


GOOD, BAD = InvokeResult(b"{}"), failure("r", "E", "no")


async def test_an_event_runs_once_when_all_is_well():
    """No wait, no retry."""
    time = Time()
    assert await deliver(time, GOOD) == AsyncStatistics(0, 1, 0)
    assert time.slept == []


async def test_errors_are_tried_twice_more_after_one_and_two_minutes():
    """Then the event is given up."""
    time = Time()
    assert await deliver(time, BAD) == AsyncStatistics(0, 0, 1)
    assert time.slept == [60, 120]


async def test_throttles_do_not_count_as_errors():
    """They wait longer and longer, for six hours at most."""
    time = Time()
    throttled = Throttled("x")
    assert await deliver(time, throttled, throttled, BAD, GOOD) == AsyncStatistics(0, 1, 0)
    assert time.slept == [1, 2, 60]
    time = Time()
    assert await deliver(time, throttled) == AsyncStatistics(0, 0, 1)
    assert max(time.slept) == 300
    assert sum(time.slept) <= 6 * 3600


async def test_the_queue_is_bounded():
    """Beyond it the caller gets a 429."""
    never = asyncio.Event()

    async def run(function: str, call: Call) -> InvokeResult:
        await never.wait()
        return GOOD

    async with AsyncEvents(run, most=1) as events:
        events.submit("f", Call(b"{}"))
        with pytest.raises(Throttled):
            events.submit("f", Call(b"{}"))


def test_retry_rules_are_awss():
    """Attempts: three in all."""
    retry = AsyncRetry()
    assert [retry.after_error(n) for n in (1, 2, 3)] == [60, 120, None]
