import asyncio
import math
from typing import Any

import pytest

from fleet.environments.environment import Environment, State
from fleet.environments.invocation import Call, Invocation
from fleet.environments.scheduler import Scheduler


def environment(
    *,
    state: State = State.READY,
    free: int = 0,
    busy: int = 0,
    expected_polls: int = 0,
    last_used: float = 0.0,
    retire_at: float = math.inf,
) -> Environment:
    """Return an environment with `free` and `busy` slots; `expected_polls` will poll in a moment."""
    made = Environment("e", max(free + busy + expected_polls, 1), 0.0)
    if state is not State.STARTING:
        for _ in range(made.slots):
            made.poll(0.0)
        for number in range(busy + expected_polls):
            call = Call(b"{}", request_id=f"r{number}")
            made.assign(Invocation(call, 0.0, asyncio.get_running_loop().create_future()), 0.0)
        for number in range(expected_polls):
            made.finish(f"r{number}", None, 0.0)
    made.state, made.last_used, made.retire_at = state, last_used, retire_at
    return made


def scheduler(slots: int = 1, max_environments: int = 10, idle: float = 60.0) -> Scheduler:
    """Return rules with defaults."""
    return Scheduler(slots, max_environments, idle)


async def test_the_last_used_of_the_idle_environments_is_picked_so_that_others_go_idle():
    """With equal load the warmest one takes the invocation."""
    cold, warm = environment(free=1, last_used=1), environment(free=1, last_used=2)
    assert scheduler().pick([cold, warm]) is warm


async def test_load_is_spread_before_warmth_counts():
    """An environment that runs less is preferred, for a laptop has several cores."""
    busy, calm = environment(free=1, busy=1, last_used=2), environment(free=1, last_used=1)
    assert scheduler(slots=2).pick([busy, calm]) is calm


@pytest.mark.parametrize(
    ("state", "free"), [(State.STARTING, 0), (State.DRAINING, 1), (State.ENDED, 1), (State.READY, 0)]
)
async def test_only_ready_environments_with_a_free_slot_are_picked(state: State, free: int):
    """Starting, draining, ended and full environments get nothing."""
    assert scheduler().pick([environment(state=state, free=free, busy=1 - free)]) is None


@pytest.mark.parametrize(
    ("slots", "waiting", "alive", "expected"),
    [
        (1, 3, {}, 3),
        (4, 5, {}, 2),
        (1, 3, {"state": State.STARTING}, 2),
        (4, 4, {"state": State.STARTING}, 0),
        (1, 1, {"expected_polls": 1}, 0),
        (1, 2, {"expected_polls": 1}, 1),
        (1, 0, {}, 0),
    ],
)
async def test_as_many_environments_start_as_the_waiting_need(
    slots: int, waiting: int, alive: dict[str, Any], expected: int
):
    """Slots that start or are about to poll are counted first."""
    environments = [environment(**alive)] if alive else []
    assert scheduler(slots).to_start(waiting, environments, 0.0) == expected


async def test_a_function_never_has_more_environments_than_allowed():
    """The bound counts those alive; ones that drain are on their way out."""
    environments = [
        environment(busy=1),
        environment(state=State.STARTING),
        environment(state=State.DRAINING, busy=1),
    ]
    assert scheduler(max_environments=3).to_start(10, environments, 0.0) == 1


async def test_idle_environments_retire_after_their_time_and_busy_ones_do_not():
    """Idleness counts from the last invocation; who works is not idle."""
    idle, busy, fresh = environment(free=1), environment(busy=1), environment(free=1, last_used=50)
    assert scheduler(idle=60).to_retire([idle, busy, fresh], 60.0) == [idle]


async def test_an_environment_retires_before_its_credentials_end_even_while_it_works():
    """It takes no more invocations; the ones that run may finish."""
    ending = environment(busy=1, last_used=99, retire_at=100)
    assert scheduler().to_retire([ending], 99.9) == []
    assert scheduler().to_retire([ending], 100.0) == [ending]
