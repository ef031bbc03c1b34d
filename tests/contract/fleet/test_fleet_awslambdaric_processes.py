"""AWS's own Python client with several processes under our fleet, and ours beside it: the fleet's slots are AWS's.

"Lambda Managed Instances": AWS_LAMBDA_MAX_CONCURRENCY invocations at once in one environment; AWS's client forks a
process for each.
"""

import asyncio
import json
import os
import signal
import sys
from dataclasses import replace
from typing import Any

import pytest
from fleet_bench import FleetOf, Running, function, stack_of, until

from fleet.settings import AWSLAMBDARIC, SHOEBOX_RUNTIME

SLOTS = 3
PROCESSES = replace(SHOEBOX_RUNTIME, arguments=("env", "RUNTIME_PROCESSES=3", *SHOEBOX_RUNTIME.arguments))
both = pytest.mark.parametrize(
    "runtime",
    [PROCESSES, *([AWSLAMBDARIC] if sys.platform == "linux" else [])],
    ids=["shoebox", "awslambdaric"][: 1 + (sys.platform == "linux")],
)


async def pids(running: Running, name: str, number: int = SLOTS) -> list[int]:
    """Which processes answered so many invocations at once."""
    results = await asyncio.gather(*(running.fleet.invoke(name, b'{"seconds": 0.2}') for _ in range(number)))
    return [json.loads(result.payload) for result in results]


def slots(handler: str, **changes: Any) -> dict[str, Any]:
    """Describe a function of three slots."""
    return function(f"process_handlers.{handler}", slots=SLOTS, **changes)


@both
async def test_each_slot_is_a_process_of_one_environment(fleet_of: FleetOf):
    """Invocations at once run in as many processes; the fleet started one environment."""
    async with fleet_of(stack_of({"pid-fn": slots("pid")})) as running:
        await running.fleet.invoke("pid-fn", b'{"seconds": 0}')
        await until(lambda: free(running, "pid-fn") == SLOTS)
        assert len(set(await pids(running, "pid-fn"))) == SLOTS
        assert running.fleet.statistics().pools[0].started == 1


@both
async def test_results_and_errors(fleet_of: FleetOf):
    """Each caller gets its own answer, good or bad."""
    async with fleet_of(stack_of({"mirror-fn": slots("mirror")})) as running:
        results = await asyncio.gather(
            *(running.fleet.invoke("mirror-fn", json.dumps(number).encode()) for number in range(30))
        )
    for number, result in enumerate(results):
        payload = json.loads(result.payload)
        expected = f"no {number}" if number % 5 == 4 else number
        assert (payload["errorMessage"] if result.function_error else payload) == expected


@both
async def test_a_function_that_cannot_start(fleet_of: FleetOf):
    """Every process fails, the invocation hears of it once, in the runtime's own words."""
    async with fleet_of(stack_of({"broken-fn": function("broken.handler", slots=SLOTS)})) as running:
        result = await asyncio.wait_for(running.fleet.invoke("broken-fn", b"{}"), 60)
    assert (result.function_error, json.loads(result.payload)["errorMessage"]) == ("Unhandled", "no settings")


@both
async def test_a_process_that_is_killed_takes_no_other_with_it(fleet_of: FleetOf):
    """The environment goes on with the healthy ones, whether or not the dead one comes back."""
    async with fleet_of(stack_of({"pid-fn": slots("pid")})) as running:
        await running.fleet.invoke("pid-fn", b'{"seconds": 0}')
        await until(lambda: free(running, "pid-fn") == SLOTS)
        killed, *_ = await pids(running, "pid-fn")
        os.kill(killed, signal.SIGKILL)
        await until(lambda: free(running, "pid-fn") < SLOTS)
        assert killed not in await pids(running, "pid-fn", SLOTS - 1)
        assert running.fleet.statistics().pools[0].started == 1


@pytest.mark.parametrize("runtime", [PROCESSES], ids=["shoebox"])
async def test_ours_comes_back_and_answers_for_the_dead(fleet_of: FleetOf):
    """What AWS's client does not: the invocation in the killed process ends at once, and its slot returns."""
    async with fleet_of(stack_of({"pid-fn": slots("pid", timeout=60)})) as running:
        await running.fleet.invoke("pid-fn", b'{"seconds": 0}')
        await until(lambda: free(running, "pid-fn") == SLOTS)
        result = await asyncio.wait_for(running.fleet.invoke("pid-fn", b'{"die": true}'), 60)
        assert json.loads(result.payload)["errorType"] == "Runtime.ExitError"
        await until(lambda: free(running, "pid-fn") == SLOTS)
        assert len(set(await pids(running, "pid-fn"))) == SLOTS
        assert running.fleet.statistics().pools[0].started == 1


def free(running: Running, name: str) -> int:
    """Slots that ask for an invocation."""
    return running.fleet.pools[name].statistics().free
