"""Parts of the day simulator: its clock, the queue's cohorts, and invocations that hold places."""

from __future__ import annotations

from collections import Counter, deque
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.limits.quotas import AWS_QUOTAS, load_quotas
from load_tests.simulator.backlog import Backlog, Cohort, first
from load_tests.simulator.clock import Clock
from load_tests.simulator.invocations import Invocations
from load_tests.simulator.limits import API, Limits
from load_tests.simulator.tally import at_rank
from shoebox.stack.model import load_stack

STACK = load_stack(Path(__file__).parents[3] / "stack.yaml")


@pytest.mark.parametrize("seconds", [0.5, 0.6, 0.73, 1.0, 1.49])
def test_the_clock_is_right_on_the_average(seconds: float) -> None:
    """Each time is a whole number of ticks of half a second; a hundred in a row take a hundred times as long as one."""
    clock, ended = Clock(0.5), []

    def again() -> None:
        ended.append(clock.now)
        if len(ended) < 100:
            clock.after(seconds, again)

    clock.after(seconds, again)
    while not clock.idle:
        clock.run_due()
        clock.forward()

    assert ended[-1] == pytest.approx(100 * seconds, abs=0.5)


def test_the_clock_never_goes_back() -> None:
    """What takes less than a tick is due in the next one."""
    clock, due = Clock(1.0), []
    clock.after(0.001, lambda: due.append(clock.now))
    clock.run_due()
    clock.forward()
    clock.run_due()

    assert due == [1.0]


@given(st.lists(st.integers(1, 30), max_size=8), st.lists(st.integers(0, 40), max_size=8))
def test_the_backlog_is_first_in_first_out(added: list[int], wanted: list[int]) -> None:
    """Whatever is taken of cohorts comes in their order, divided where it must be, and none twice."""
    backlog = Backlog()
    for second, photos in enumerate(added):
        backlog.add(Cohort(0.0, photos, visible=float(second)))
    expected = deque(float(second) for second, photos in enumerate(added) for _ in range(photos))

    for count in wanted:
        taken = backlog.take(min(count, backlog.waiting))
        assert [cohort.visible for cohort in taken for _ in range(cohort.photos)] == [
            expected.popleft() for _ in range(min(count, len(expected)))
        ]
        assert {cohort.received for cohort in taken} <= {1}
    assert backlog.waiting == len(expected)
    assert backlog.age(100.0) == (100.0 - expected[0] if expected else 0.0)


def test_taking_leaves_the_rest_of_a_cohort() -> None:
    """Five of three and four are three and two; two are left."""
    cohorts = deque([Cohort(0.0, 3), Cohort(1.0, 4)])

    assert [cohort.photos for cohort in first(cohorts, 5)] == [3, 2]
    assert cohorts == deque([Cohort(1.0, 2)])


@pytest.mark.parametrize(
    ("seconds", "count", "running"),
    [
        pytest.param(0.1, 20, 4, id="a fifth of a tick: a fifth at once"),
        pytest.param(0.5, 20, 20, id="as long as a tick"),
        pytest.param(1.5, 20, 60, id="three ticks: those of three ticks at once"),
        pytest.param(0.07, 1, 1, id="at least one"),
    ],
)
def test_places_are_held_for_as_long_as_an_invocation_takes(seconds: float, count: int, running: int) -> None:
    """Little's law at the end of ten ticks with so many invocations in each; all of them are counted as requests."""
    clock, limits = Clock(0.5), Limits(STACK, AWS_QUOTAS)
    invocations = Invocations(API, seconds, clock, limits)
    for _ in range(10):
        assert invocations.begin(count) == count
        clock.forward()

    uses = {(use.limit, use.subject): use for use in limits.uses(clock.now)}
    assert (invocations.running, invocations.take_peak()) == (running, running)
    assert uses["lambda.concurrency", "account"].peak == running
    assert uses["lambda.requests", "account"].peak == 2 * count


def test_places_that_are_not_there_refuse_what_would_follow_in_them() -> None:
    """Ten invocations of half a tick want five places; in the two that there are four run, and six are refused."""
    clock, limits = Clock(0.5), Limits(STACK, load_quotas("aws/500"))
    invocations = Invocations(API, 0.25, clock, limits)

    assert invocations.begin(10) == 4
    throttled = {use.limit: use.throttled for use in limits.uses(0.0) if use.throttled}
    assert throttled == {"lambda.concurrency": 6}
    assert ("lambda.concurrency", "account") in limits.refusals.first


@pytest.mark.parametrize(("percent", "seconds"), [(50, 2.0), (99, 9.0), (10, 1.0), (100, 9.0)])
def test_percentiles_are_of_the_nearest_rank(percent: float, seconds: float) -> None:
    """Of five photos."""
    assert at_rank(Counter({9.0: 1, 1.0: 2, 2.0: 2}), percent) == seconds
    assert at_rank(Counter(), percent) is None
