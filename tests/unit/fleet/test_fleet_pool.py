import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
from fleet_fakes import Bench, pool_bench

from fleet.credentials import CredentialsError
from fleet.environments.environment import State
from fleet.environments.invocation import InvokeResult
from fleet.environments.pool import ThrottleLog
from fleet.errors import NoCapacity, Throttled
from fleet.metrics import Metrics

MakeBench = Callable[..., AbstractAsyncContextManager[Bench]]


@pytest.fixture
def bench(tmp_path: Path) -> MakeBench:
    """Return what makes a pool with fakes: `async with bench(slots=2) as b`."""

    @asynccontextmanager
    async def make(**changes: Any) -> AsyncIterator[Bench]:
        made = pool_bench(Metrics(tmp_path), **changes)
        async with made.pool:
            yield made

    return make


def kind(result: InvokeResult) -> str:
    """Return the error's type."""
    return str(orjson.loads(result.payload)["errorType"])


async def test_an_invocation_starts_an_environment_and_gets_its_answer(bench: MakeBench):
    """Cold start: launch, first poll, answer."""
    async with bench() as b:
        task = b.invoke()
        environment, _ = await b.ready()
        invocation = await b.next(environment)
        b.pool.finish(environment, invocation.request_id, invocation.nonce, InvokeResult(b'"done"'))
        assert (await task).payload == b'"done"'
        assert b.pool.statistics().running == 0


async def test_the_next_invocation_waits_for_the_slot_that_just_answered(bench: MakeBench):
    """One environment serves a caller that calls again and again."""
    async with bench() as b:
        task = b.invoke("r1")
        environment, _ = await b.ready()
        await b.next(environment)
        b.pool.finish(environment, "r1", None, InvokeResult(b"1"))
        await task
        again = b.invoke("r2")
        await asyncio.sleep(0)
        await b.next(environment)
        b.pool.finish(environment, "r2", None, InvokeResult(b"2"))
        assert (await again).payload == b"2"
        assert b.launcher.count == 1


async def test_a_slot_that_never_comes_back_is_replaced(bench: MakeBench):
    """The waiting invocation does not wait for it longer than a moment."""
    async with bench(check=0.01) as b:
        task = b.invoke("r1")
        environment, _ = await b.ready()
        await b.next(environment)
        b.pool.finish(environment, "r1", None, InvokeResult(b"1"))
        await task
        waiting = b.invoke("r2")
        await asyncio.sleep(0)
        b.now = 10.0
        other, _ = await b.ready()
        await b.next(other)
        b.pool.finish(other, "r2", None, InvokeResult(b"2"))
        await waiting


async def test_many_slots_share_one_environment(bench: MakeBench):
    """Four invocations, four slots, one start."""
    async with bench(slots=4) as b:
        tasks = [b.invoke(f"r{n}") for n in range(4)]
        environment, _ = await b.ready()
        for _ in range(4):
            invocation = await b.next(environment)
            b.pool.finish(environment, invocation.request_id, None, InvokeResult(b"1"))
        await asyncio.gather(*tasks)
        assert b.launcher.count == 1


async def test_a_crash_fails_what_ran_and_the_next_invocation_gets_a_new_environment(bench: MakeBench):
    """Runtime.ExitError with the signal, and a replacement on demand."""
    async with bench() as b:
        task = b.invoke("r1")
        environment, process = await b.ready()
        await b.next(environment)
        process.end(-9)
        result = await task
        assert (kind(result), result.function_error) == ("Runtime.ExitError", "Unhandled")
        assert b"signal: killed" in result.payload
        again = b.invoke("r2")
        other, _ = await b.ready()
        await b.next(other)
        b.pool.finish(other, "r2", None, InvokeResult(b"1"))
        await again


async def test_an_init_error_is_what_the_invocation_gets(bench: MakeBench):
    """The runtime's own words reach the caller; the environment is ended."""
    async with bench() as b:
        task = b.invoke()
        environment, process = await b.ready()
        environment.fail_init(b'{"errorType":"Runtime.ImportModuleError"}')
        assert kind(await task) == "Runtime.ImportModuleError"
        await process.stopped.wait()


async def test_a_process_that_ends_before_it_is_ready_is_an_exit_error(bench: MakeBench):
    """With its exit status."""
    async with bench() as b:
        task = b.invoke()
        _, process = await b.ready()
        process.end(3)
        result = await task
        assert kind(result) == "Runtime.ExitError"
        assert b"exit status 3" in result.payload


async def test_what_a_dead_process_never_read_goes_to_another_one(bench: MakeBench):
    """It was handed to a process that was being killed; whatever else runs there has failed."""
    async with bench(slots=2) as b:
        read, unread = b.invoke("read"), b.invoke("unread")
        environment, process = await b.ready()
        await b.next(environment)
        (await b.next(environment)).note_unread()
        process.end(-9)
        assert kind(await read) == "Runtime.ExitError"
        other, _ = await b.ready()
        await b.next(other)
        b.pool.finish(other, "unread", None, InvokeResult(b"1"))
        assert (await unread).payload == b"1"


async def test_what_was_never_read_waits_no_longer_than_others(bench: MakeBench):
    """Where no environment comes, its caller learns that there is no capacity."""
    async with bench(max_environments=1, wait=0.01) as b:
        task = b.invoke("r1")
        environment, process = await b.ready()
        (await b.next(environment)).note_unread()
        process.end(-9)
        with pytest.raises(NoCapacity):
            await task


async def test_after_a_start_that_was_killed_the_invocation_gets_another_one(bench: MakeBench):
    """No handler has seen it; a batch of a queue would stay hidden for the queue's visibility timeout."""
    async with bench() as b:
        task = b.invoke("r1")
        _, process = await b.ready()
        process.end(-9)
        other, _ = await b.ready()
        await b.next(other)
        b.pool.finish(other, "r1", None, InvokeResult(b"1"))
        assert (await task).payload == b"1"


async def test_a_start_that_is_killed_twice_is_an_exit_error(bench: MakeBench):
    """A function that has too little memory to start, say."""
    async with bench() as b:
        task = b.invoke("r1")
        for _ in range(2):
            _, process = await b.ready()
            process.end(-9)
        result = await task
        assert kind(result) == "Runtime.ExitError"
        assert b"signal: killed" in result.payload
        assert b.launcher.count == 2


async def test_an_environment_that_is_not_ready_in_time_is_killed(bench: MakeBench):
    """The init phase has its own limit."""
    async with bench(init=0.01) as b:
        task = b.invoke()
        _, process = await b.ready()
        assert kind(await task) == "Sandbox.Timedout"
        assert await process.ended == -9


@pytest.mark.parametrize("error", [CredentialsError("no role"), FileNotFoundError("no python")])
async def test_an_environment_that_cannot_be_launched_fails_the_invocation(bench: MakeBench, error: Exception):
    """And the pool lives on."""
    async with bench() as b:
        b.launcher.error = error
        result = await b.invoke()
        assert kind(result) == "Runtime.InvalidEntrypoint"
        assert str(error).encode() in result.payload
        b.launcher.error = None
        task = b.invoke("r2")
        environment, _ = await b.ready()
        await b.next(environment)
        b.pool.finish(environment, "r2", None, InvokeResult(b"1"))
        await task


async def test_time_is_up_for_the_caller_and_the_classic_environment_is_ended(bench: MakeBench):
    """AWS's message with the limit; the environment of a single slot is killed with its hanging handler, unasked."""
    async with bench(timeout=0) as b:
        task = b.invoke("r1")
        environment, process = await b.ready()
        await b.next(environment)
        result = await task
        assert json.loads(result.payload) == {
            "errorType": "Sandbox.Timedout",
            "errorMessage": "RequestId: r1 Error: Task timed out after 0.00 seconds",
        }
        assert await process.ended == -9
        assert not process.stopped.is_set()


async def test_with_many_slots_a_timeout_takes_one_slot_only(bench: MakeBench):
    """The environment works on; the slot is back when it asks for more."""
    async with bench(slots=2, timeout=0) as b:
        task = b.invoke("r1")
        environment, process = await b.ready()
        await b.next(environment)
        await task
        assert environment.state is State.READY
        assert not process.stopped.is_set()


async def test_a_refused_invocation_says_why(bench: MakeBench):
    """Throttled with AWS's reason; the place of one that ended is free."""
    async with bench(account=1) as b:
        first = b.invoke("r1")
        environment, _ = await b.ready()
        with pytest.raises(Throttled) as refused:
            await b.invoke("r2")
        assert refused.value.reason == "ConcurrentInvocationLimitExceeded"
        await b.next(environment)
        b.pool.finish(environment, "r1", None, InvokeResult(b"1"))
        await first
        third = b.invoke("r3")
        await asyncio.sleep(0)
        assert b.pool.statistics().waiting == 1
        third.cancel()


async def test_waiting_for_a_slot_has_an_end(bench: MakeBench):
    """With every environment busy the caller is told to come again, and that it is this machine that is full."""
    async with bench(max_environments=1, wait=0.01) as b:
        first = b.invoke("r1")
        environment, _ = await b.ready()
        await b.next(environment)
        with pytest.raises(NoCapacity, match=r"No environment of api came free in 0\.01 s"):
            await b.invoke("r2")
        assert b.pool.statistics().waiting == 0
        b.pool.finish(environment, "r1", None, InvokeResult(b"1"))
        await first


async def test_a_caller_that_goes_leaves_no_trace_in_the_queue(bench: MakeBench):
    """What waits is dropped, and its place is given back."""
    async with bench(account=1) as b:
        task = b.invoke("r1")
        await b.ready()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert b.pool.statistics().waiting == 0
        again = b.invoke("r2")
        await asyncio.sleep(0)
        assert b.pool.statistics().waiting == 1
        again.cancel()


async def test_an_invocation_that_never_reached_its_slot_is_offered_again_and_first(bench: MakeBench):
    """A poller that vanished between decision and answer loses nothing."""
    async with bench(max_environments=1) as b:
        first, second = b.invoke("r1"), b.invoke("r2")
        environment, _ = await b.ready()
        lost = await b.next(environment)
        b.pool.offer_again(environment, lost)
        for expected in ("r1", "r2"):
            invocation = await b.next(environment)
            assert invocation.request_id == expected
            b.pool.finish(environment, expected, None, InvokeResult(expected.encode()))
        assert [(await task).payload for task in (first, second)] == [b"r1", b"r2"]


async def test_idle_environments_are_ended(bench: MakeBench):
    """After the scheduler's time without an invocation."""
    async with bench() as b:
        task = b.invoke("r1")
        environment, process = await b.ready()
        await b.next(environment)
        b.pool.finish(environment, "r1", None, InvokeResult(b"1"))
        await task
        b.pool.poll(environment)
        b.now = 59.0
        b.pool.retire()
        assert environment.state is State.READY
        b.now = 60.0
        b.pool.retire()
        await process.stopped.wait()


async def test_credentials_that_end_retire_an_environment_but_not_its_work(bench: MakeBench):
    """The invocation that runs is answered; the next one gets another environment."""
    async with bench() as b:
        first = b.invoke("r1")
        environment, process = await b.ready()
        environment.retire_at = 100.0
        await b.next(environment)
        b.now = 100.0
        b.pool.retire()
        second = b.invoke("r2")
        other, _ = await b.ready()
        assert not process.stopped.is_set()
        b.pool.finish(environment, "r1", None, InvokeResult(b"1"))
        assert (await first).payload == b"1"
        await process.stopped.wait()
        await b.next(other)
        b.pool.finish(other, "r2", None, InvokeResult(b"2"))
        await second


async def test_the_end_of_a_pool_ends_everything(bench: MakeBench):
    """Processes that start or run are stopped; whoever waits is told."""
    async with bench(max_environments=1) as b:
        running, waiting = b.invoke("r1"), b.invoke("r2")
        environment, process = await b.ready()
        await b.next(environment)
    assert process.stopped.is_set()
    assert [kind(await task) for task in (running, waiting)] == ["Runtime.ExitError"] * 2


def test_the_first_throttle_is_logged_and_then_one_line_in_ten_seconds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """With how many there were meanwhile; each reason by itself; the metric has them all."""
    now = [0.0]
    metrics = Metrics(tmp_path)
    throttles = ThrottleLog("api", metrics, lambda: now[0])
    for at in (0.0, 1.0, 9.9, 10.0):
        now[0] = at
        throttles.note("A")
    throttles.note("B")
    lines = [line for line in capsys.readouterr().out.splitlines() if "invocations_throttled" in line]
    assert [("reason=A" in line, "count=1" in line, "count=3" in line) for line in lines] == [
        (True, True, False),
        (True, False, True),
        (False, True, False),
    ]
    assert b'fleet_throttles_total{function="api",reason="A"} 4.0' in metrics.exposition()
