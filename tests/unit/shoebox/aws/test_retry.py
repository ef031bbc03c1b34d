"""The retry policy: how often, after which pauses, and for how long."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from shoebox.aws.errors import AwsError, AwsRefused, ConnectionLost
from shoebox.aws.retry import RetryPolicy


@dataclass
class Clock:
    """A clock that only pauses move."""

    now: float = 0.0
    pauses: list[float] = field(default_factory=list)

    async def sleep(self, seconds: float) -> None:
        """Note a pause."""
        self.pauses.append(seconds)
        self.now += seconds

    def policy(self, **options: Any) -> RetryPolicy:
        """Return a policy whose pauses are as long as they may be."""
        return RetryPolicy(**options, chance=lambda: 0.0, clock=lambda: self.now, sleep=self.sleep)


def failing(*errors: AwsError) -> Callable[[], Awaitable[str]]:
    """Return a call that raises these, one each time, and then succeeds."""
    left = list(errors)

    async def call() -> str:
        if left:
            raise left.pop(0)
        return "done"

    return call


@pytest.mark.parametrize(
    ("attempt", "chance", "jitter", "pause"),
    [(1, 0.0, 1.0, 0.1), (2, 0.0, 1.0, 0.2), (2, 0.5, 1.0, 0.1), (2, 1.0, 1.0, 0.0), (2, 1.0, 0.5, 0.1)],
)
def test_pauses_grow_and_are_random(attempt: int, chance: float, jitter: float, pause: float) -> None:
    """The longest doubles with each attempt; `jitter` is the share of it that chance decides."""
    assert RetryPolicy(first_pause=0.05, jitter=jitter, chance=lambda: chance).pause_after(attempt) == pause


def test_no_pause_is_longer_than_allowed() -> None:
    """However many attempts there were."""
    assert RetryPolicy(attempts=100, max_pause=20.0, chance=lambda: 0.0).pause_after(99) == 20.0


def test_a_policy_may_have_any_number_of_attempts() -> None:
    """2.0 ** 1024 would overflow."""
    assert RetryPolicy(attempts=10_000, max_pause=20.0, chance=lambda: 0.0).pause_after(9_999) == 20.0


def test_the_last_attempt_is_followed_by_none() -> None:
    """By number, or by the time since the first."""
    policy = RetryPolicy(attempts=3, max_seconds=10.0)
    assert policy.pause_after(2, 9.9) is not None
    assert policy.pause_after(3) is None
    assert policy.pause_after(1, 10.0) is None


async def test_a_retryable_error_is_tried_again() -> None:
    """With a pause before each further attempt."""
    clock = Clock()
    lost = ConnectionLost("closed")
    assert await clock.policy(attempts=3).run(failing(lost, lost)) == "done"
    assert clock.pauses == [0.1, 0.2]


@pytest.mark.parametrize(
    ("error", "options", "pauses"),
    [
        (AwsRefused("AccessDenied", "", 403), {}, 0),
        (AwsRefused("SlowDown", "", 503), {"attempts": 3}, 2),
        (AwsRefused("SlowDown", "", 503), {"attempts": 9, "max_seconds": 0.25}, 2),
    ],
    ids=["not retryable", "attempts used up", "time used up"],
)
async def test_an_error_that_stays_is_raised(error: AwsError, options: dict[str, Any], pauses: int) -> None:
    """A refusal at once, others after the last attempt."""
    clock = Clock()
    with pytest.raises(AwsRefused) as caught:
        await clock.policy(**options).run(failing(*[error] * 9))
    assert caught.value is error
    assert len(clock.pauses) == pauses


async def test_other_errors_are_never_tried_again() -> None:
    """A mistake of ours does not pass."""

    async def wrong() -> None:
        raise KeyError

    clock = Clock()
    with pytest.raises(KeyError):
        await clock.policy().run(wrong)
    assert clock.pauses == []


async def test_a_loop_makes_its_own_rule_of_what_failed() -> None:
    """It pauses before each further round, and ends with the last one."""
    clock = Clock()
    assert [number async for number in clock.policy(attempts=3).each_attempt()] == [1, 2, 3]
    assert clock.pauses == [0.1, 0.2]


async def test_a_loop_that_is_left_pauses_no_more() -> None:
    """What succeeded costs no time."""
    clock = Clock()
    async for _ in clock.policy().each_attempt():
        break
    assert clock.pauses == []
