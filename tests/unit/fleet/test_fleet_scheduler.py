from dataclasses import dataclass

import pytest

from fleet.environments.scheduler import Scheduler, State


@dataclass
class View:
    """An environment as a decision sees it."""

    state: State = State.READY
    free: int = 1
    busy: int = 0
    last_used: float = 0.0
    retire_at: float = float("inf")
    coming: int = 0

    def soon(self, now: float) -> int:
        """As told."""
        return self.coming


def scheduler(slots: int = 1, most: int = 10, idle: float = 60.0) -> Scheduler:
    """Rules with defaults."""
    return Scheduler(slots, most, idle)


def test_the_last_used_of_the_idle_environments_is_picked_so_that_others_go_idle():
    """With equal load the warmest one takes the invocation."""
    cold, warm = View(last_used=1), View(last_used=2)
    assert scheduler().pick([cold, warm]) is warm


def test_load_is_spread_before_warmth_counts():
    """An environment that runs less is preferred, for a laptop has several cores."""
    busy, calm = View(busy=1, last_used=2), View(busy=0, last_used=1)
    assert scheduler(slots=2).pick([busy, calm]) is calm


@pytest.mark.parametrize("view", [View(state=State.STARTING), View(state=State.DRAINING), View(free=0)])
def test_only_ready_environments_with_a_free_slot_are_picked(view: View):
    """Starting, draining and full environments get nothing."""
    assert scheduler().pick([view]) is None


@pytest.mark.parametrize(
    ("slots", "waiting", "views", "expected"),
    [
        (1, 3, [], 3),
        (4, 5, [], 2),
        (1, 3, [View(state=State.STARTING)], 2),
        (4, 4, [View(state=State.STARTING)], 0),
        (1, 1, [View(free=0, coming=1)], 0),
        (1, 2, [View(free=0, coming=1)], 1),
        (1, 0, [], 0),
    ],
)
def test_as_many_environments_start_as_the_waiting_need(slots: int, waiting: int, views: list[View], expected: int):
    """Slots that start or are about to ask are counted first."""
    assert scheduler(slots).to_start(waiting, views, 0.0) == expected


def test_a_function_never_has_more_environments_than_allowed():
    """The bound counts those alive; ones that drain are on their way out."""
    views = [View(free=0), View(state=State.STARTING), View(state=State.DRAINING)]
    assert scheduler(most=3).to_start(10, views, 0.0) == 1


def test_idle_environments_retire_after_their_time_and_busy_ones_do_not():
    """Idleness counts from the last invocation; who works is not idle."""
    idle, busy, fresh = View(last_used=0), View(last_used=0, busy=1), View(last_used=50)
    assert scheduler(idle=60).to_retire([idle, busy, fresh], 60.0) == [idle]


def test_an_environment_retires_before_its_credentials_end_even_while_it_works():
    """It takes no more invocations; the ones that run may finish."""
    ending = View(busy=1, last_used=99, retire_at=100)
    assert scheduler().to_retire([ending], 99.9) == []
    assert scheduler().to_retire([ending], 100.0) == [ending]
