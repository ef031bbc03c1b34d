import asyncio

import pytest

from fleet.environments.environment import Environment, InvalidState, State, TooLate, UnknownRequest
from fleet.environments.invocation import Call, Invocation


def environment(slots: int = 1) -> Environment:
    """Return a new environment."""
    return Environment("e1", slots, 0.0)


def invocation(request_id: str = "r1") -> Invocation:
    """Return an invocation."""
    return Invocation(Call(b"{}", request_id=request_id), 0.0, asyncio.get_running_loop().create_future())


async def test_the_first_poll_makes_an_environment_ready():
    """Before it nothing is free; after it one slot is, and the others are expected."""
    env = environment(slots=3)
    assert (env.state, env.free) == (State.STARTING, 0)
    env.poll(1.0)
    assert (env.state, env.free, env.expected_polls(1.0)) == (State.READY, 1, 2)
    assert env.expected_polls(100.0) == 0


async def test_an_answered_slot_is_expected_back_for_a_moment():
    """The pool waits for it instead of starting another environment, but not for ever."""
    env = environment()
    env.poll(0.0)
    env.assign(invocation(), 0.0)
    env.finish("r1", None, 1.0)
    assert env.expected_polls(1.1) == 1
    assert env.expected_polls(2.0) == 0
    env.poll(1.1)
    assert env.expected_polls(1.1) == 0


async def test_the_slot_that_waited_longest_gets_the_invocation():
    """Pollers are served first come, first served."""
    env = environment(slots=2)
    first, second = env.poll(0.0), env.poll(0.0)
    given = invocation()
    env.assign(given, 0.0)
    assert first.result() is given
    assert not second.done()


async def test_a_slot_that_left_gets_nothing():
    """Its place in the queue is gone, and its long poll ends with None."""
    env = environment(slots=2)
    gone, here = env.poll(0.0), env.poll(0.0)
    env.leave(gone)
    env.assign(invocation(), 0.0)
    assert gone.result() is None
    assert here.done()


async def test_more_polls_than_slots_do_not_make_more_slots():
    """At most `slots` invocations run at once, whatever the process asks for."""
    env = environment(slots=1)
    env.poll(0.0)
    env.poll(0.0)
    env.assign(invocation(), 0.0)
    assert env.free == 0


async def test_an_answer_counts_once():
    """The second answer to the same invocation is an unknown request."""
    env = environment()
    env.poll(0.0)
    env.assign(invocation(), 0.0)
    env.finish("r1", None, 0.0)
    with pytest.raises(UnknownRequest):
        env.finish("r1", None, 0.0)


async def test_an_answer_after_the_time_is_too_late():
    """410, not 400: the process may go on."""
    env = environment()
    env.poll(0.0)
    env.assign(invocation(), 0.0)
    env.expire("r1")
    with pytest.raises(TooLate):
        env.finish("r1", None, 0.0)


async def test_a_late_answer_is_not_matched_to_a_retry_with_the_same_request_id():
    """The invocation id tells the attempts apart."""
    env = environment(slots=2)
    env.poll(0.0)
    first = invocation()
    env.assign(first, 0.0)
    env.expire("r1")
    env.poll(0.0)
    second = invocation()
    env.assign(second, 0.0)
    with pytest.raises(TooLate):
        env.finish("r1", first.nonce, 0.0)
    assert env.finish("r1", second.nonce, 0.0) is second


async def test_an_init_error_is_for_environments_that_start():
    """403 once it was ready, and for the second report."""
    env = environment()
    env.fail_init(b"{}")
    with pytest.raises(InvalidState):
        env.fail_init(b"{}")
    with pytest.raises(InvalidState):
        env.poll(0.0)
    ready = environment()
    ready.poll(0.0)
    with pytest.raises(InvalidState):
        ready.fail_init(b"{}")


async def test_draining_waits_for_what_runs():
    """It is drained when the last invocation is answered."""
    env = environment()
    env.poll(0.0)
    env.assign(invocation(), 0.0)
    env.drain()
    assert not env.drained.is_set()
    env.finish("r1", None, 0.0)
    assert env.drained.is_set()


async def test_the_end_hands_back_what_was_running_and_frees_every_poller():
    """Nobody waits for a process that is gone."""
    env = environment(slots=2)
    env.poll(0.0)
    waiting = env.poll(0.0)
    running = invocation()
    env.assign(running, 0.0)
    assert env.end() == [running]
    assert waiting.result() is None
