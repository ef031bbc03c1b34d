"""The poll loops: concurrency, deadlines, leaks, refusals, lost connections, drains."""

import asyncio
import json
import logging
import re
import sys
import threading
from contextlib import suppress
from contextvars import ContextVar
from typing import Any

import pytest
from runtime_slots import LEAKY_MARGIN, cut_off, eventually, running_slots, soon, start_slots

from workers.runtime.context import Context, current_context
from workers.runtime.errors import Failure, ShutDown
from workers.runtime.protocol import Endpoint
from workers.runtime.settings import SlotsSettings
from workers.runtime.slots import Execution, Outcome
from workers.runtime.testing import FakeRuntimeApi


async def echo(event: Any, context: Context) -> Any:
    """Return the event: the simplest handler."""
    return event


async def test_an_invocation_is_run_and_posted(api: FakeRuntimeApi) -> None:
    """The handler's response is posted under the invocation's id, with its nonce."""
    async with running_slots(api, echo) as running:
        invocation = api.invoke({"a": 1}, request_id="r-1", headers={"Lambda-Runtime-Invocation-Id": "nonce"})
        posted = await invocation
    assert (posted.kind, posted.json()) == ("response", {"a": 1})
    assert posted.request.path == "/2018-06-01/runtime/invocation/r-1/response"
    assert posted.request.headers["lambda-runtime-invocation-id"] == "nonce"
    assert posted.request.headers["content-type"] == "application/json"
    assert running.slots.statistics.succeeded == 1


@pytest.mark.parametrize(("chunked", "cut"), [(False, None), (True, 1), (False, 7)])
async def test_any_framing_of_next(chunked: bool, cut: int | None) -> None:
    """Chunked or with a length, in one portion or many, behind a path of its own."""
    async with FakeRuntimeApi(chunked=chunked, cut=cut, prefix="/.rt/f/1") as api, running_slots(api, echo):
        assert (await api.invoke({"é": "x" * 3000})).json() == {"é": "x" * 3000}
    assert {request.path.partition("/2018-06-01/")[0] for request in api.requests} == {"/.rt/f/1"}


async def test_large_payloads(api: FakeRuntimeApi) -> None:
    """Six megabytes, Lambda's limit, go through in both directions."""
    event = "x" * (6 * 1024 * 1024 - 2)
    async with running_slots(api, echo):
        assert (await api.invoke(event)).json() == event


async def test_slots_run_together(api: FakeRuntimeApi) -> None:
    """As many invocations as slots run at once, each with its own context; one more waits."""
    inside: list[str] = []
    all_inside, leave = asyncio.Event(), asyncio.Event()

    async def handler(event: int, context: Context) -> str:
        inside.append(context.aws_request_id)
        if len(inside) == 8:
            all_inside.set()
        await leave.wait()
        current = current_context.get()
        assert current is context
        return current.aws_request_id

    async with running_slots(api, handler, slots=8) as running:
        invocations = [api.invoke(number) for number in range(9)]
        await all_inside.wait()
        assert running.slots.statistics.running == 8
        assert (api.idle, invocations[8].taken.is_set()) == (0, False)
        leave.set()
        responses = [(await invocation).json() for invocation in invocations]
    assert responses == [invocation.request_id for invocation in invocations]
    assert current_context.get() is None


async def test_first_poller_first(api: FakeRuntimeApi) -> None:
    """One slot asks before the others connect: that tells Lambda that the function is ready."""
    counts: list[int] = []
    match = api._match

    def counting() -> None:
        counts.append(api.connections)
        match()

    api._match = counting  # type: ignore[method-assign]
    async with running_slots(api, echo, slots=5):
        pass
    assert counts[0] == 1
    assert max(counts) == 5


async def test_sync_handlers_run_together(api: FakeRuntimeApi) -> None:
    """Each slot has a thread, so blocking handlers block nobody; the context is theirs, too."""
    barrier = threading.Barrier(4, timeout=30)

    def handler(event: Any, context: Context) -> str:
        barrier.wait()
        current = current_context.get()
        assert current is not None
        return current.aws_request_id

    async with running_slots(api, handler, slots=4):
        invocations = [api.invoke() for _ in range(4)]
        assert [(await i).json() for i in invocations] == [i.request_id for i in invocations]


async def test_object_with_async_call(api: FakeRuntimeApi) -> None:
    """A handler may be an object."""

    class Handler:
        async def __call__(self, event: Any, context: Context) -> Any:
            await asyncio.sleep(0)
            return [event]

    async with running_slots(api, Handler()):
        assert (await api.invoke(1)).json() == [1]


async def test_sync_function_that_returns_a_coroutine(api: FakeRuntimeApi) -> None:
    """A decorator that hides `async def` costs a thread, nothing else."""

    def handler(event: Any, context: Context) -> Any:
        return echo(event, context)

    async with running_slots(api, handler):
        assert (await api.invoke(1)).json() == 1


@pytest.mark.parametrize("kind", ["async", "sync"])
async def test_an_error_is_reported_in_lambdas_shape(api: FakeRuntimeApi, kind: str) -> None:
    """Type, message, the user's frames; the slot goes on."""

    def fails(event: Any, context: Context) -> Any:
        raise LookupError("no such photo")

    async def fails_async(event: Any, context: Context) -> Any:
        fails(event, context)

    async with running_slots(api, fails if kind == "sync" else fails_async) as running:
        for _ in range(2):
            posted = await api.invoke(request_id="r-1")
            body = posted.json()
            assert posted.kind == "error"
            assert posted.request.path == "/2018-06-01/runtime/invocation/r-1/error"
            assert posted.request.headers["lambda-runtime-function-error-type"] == "Function.LookupError"
            cause = json.loads(posted.request.headers["lambda-runtime-function-xray-error-cause"])
            assert cause["paths"] == [__file__]
            assert (body["errorType"], body["errorMessage"]) == ("LookupError", "no such photo")
            assert body["requestId"] == "r-1"
            assert "/workers/runtime/" not in "".join(body["stackTrace"])
            assert 'raise LookupError("no such photo")' in body["stackTrace"][-1]
    assert running.slots.statistics.failed == 2


@pytest.mark.parametrize(
    ("sent", "error_type"),
    [
        ({"body": b"{"}, "Runtime.UnmarshalError"),
        ({"headers": {"Lambda-Runtime-Client-Context": "{"}}, "Runtime.LambdaContextUnmarshalError"),
        ({"headers": {"Lambda-Runtime-Cognito-Identity": "7"}}, "Runtime.LambdaContextUnmarshalError"),
    ],
)
async def test_unreadable_invocations_fail_alone(api: FakeRuntimeApi, sent: dict[str, Any], error_type: str) -> None:
    """A fault in what Lambda sends fails that invocation under AWS's name."""
    async with running_slots(api, echo):
        assert (await api.invoke(**sent)).json()["errorType"] == error_type
        assert (await api.invoke("next")).json() == "next"


async def test_responses_that_are_no_json(api: FakeRuntimeApi) -> None:
    """A set is no JSON; the failure has AWS's name."""

    async def handler(event: Any, context: Context) -> Any:
        return {1}

    async with running_slots(api, handler):
        posted = await api.invoke()
    assert posted.json()["errorType"] == "Runtime.MarshalError"
    assert posted.request.headers["lambda-runtime-function-error-type"] == "Runtime.MarshalError"


async def test_cancelled_before_the_deadline(api: FakeRuntimeApi) -> None:
    """A handler that waits too long is cancelled, told to clean up, and reported with the place where it was."""
    begun, cleaned = asyncio.Event(), asyncio.Event()

    async def handler(event: Any, context: Context) -> None:
        if event == "quick":
            return
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            cleaned.set()

    async with running_slots(api, handler):
        posted = await cut_off(api, begun)
        assert cleaned.is_set()
        assert posted.json()["errorType"] == "Runtime.DeadlineExceeded"
        assert re.fullmatch(r"Task timed out after \d+\.\d\d seconds", posted.json()["errorMessage"])
        assert "await asyncio.Event().wait()" in "".join(posted.json()["stackTrace"])
        assert (await api.invoke("quick")).kind == "response"


async def test_a_response_after_the_cancel_counts(api: FakeRuntimeApi) -> None:
    """A handler may use its last moments to return what it has."""

    begun = asyncio.Event()

    async def handler(event: Any, context: Context) -> str:
        begun.set()
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        return "what I have"

    async with running_slots(api, handler):
        posted = await cut_off(api, begun)
    assert (posted.kind, posted.json()) == ("response", "what I have")


async def test_a_handler_that_ignores_its_cancel_is_leaked(
    api: FakeRuntimeApi, caplog: pytest.LogCaptureFixture
) -> None:
    """Its invocation is reported before the deadline, its slot goes on, and its end is logged."""
    begun, release = asyncio.Event(), asyncio.Event()

    async def handler(event: Any, context: Context) -> Any:
        begun.set()
        while event == "stubborn" and not release.is_set():
            with suppress(asyncio.CancelledError):
                await release.wait()
        return event

    async with running_slots(api, handler, margin=LEAKY_MARGIN) as running:
        posted = await cut_off(api, begun, "stubborn", margin=LEAKY_MARGIN, request_id="r-leaked")
        assert posted.json()["errorType"] == "Runtime.HandlerLeaked"
        assert (await api.invoke("next")).json() == "next"
        assert running.slots.statistics.leaked == 1
        release.set()
        await eventually(lambda: running.slots.statistics.leaked == 0)
    ends = [record for record in caplog.records if record.getMessage() == "leaked_handler_ended"]
    assert [record.__dict__["requestId"] for record in ends] == ["r-leaked"]


async def test_a_sync_handler_past_its_deadline(api: FakeRuntimeApi) -> None:
    """A thread cannot be stopped: it is left alone, and the slot gets another."""
    begun, release = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def handler(event: Any, context: Context) -> Any:
        loop.call_soon_threadsafe(begun.set)
        if event == "slow":
            release.wait(60)
        return event

    async with running_slots(api, handler, margin=LEAKY_MARGIN) as running:
        posted = await cut_off(api, begun, "slow", margin=LEAKY_MARGIN)
        assert posted.json()["errorType"] == "Runtime.HandlerLeaked"
        assert (await api.invoke("next")).json() == "next"
        assert running.slots.statistics.leaked == 1
        release.set()


async def test_relative_deadlines_of_emulators_kill_nothing(api: FakeRuntimeApi) -> None:
    """600000 is not the year 1970."""

    async def handler(event: Any, context: Context) -> int:
        await asyncio.sleep(0.01)
        return context.get_remaining_time_in_millis()

    async with running_slots(api, handler):
        assert 890_000 < (await api.invoke(deadline_ms=600_000)).json() <= 900_000


async def test_a_handler_that_cancels_itself(api: FakeRuntimeApi) -> None:
    """A stray CancelledError fails its invocation, not the slot."""

    async def handler(event: Any, context: Context) -> Any:
        if event == "cancel":
            raise asyncio.CancelledError
        return event

    async with running_slots(api, handler):
        assert (await api.invoke("cancel")).json()["errorType"] == "CancelledError"
        assert (await api.invoke("next")).json() == "next"


@pytest.mark.parametrize("status", [400, 410, 413, 500])
async def test_refused_posts_are_logged_and_never_fatal(
    api: FakeRuntimeApi, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    """A late response, among others, is no reason to stop."""
    entered, leave = asyncio.Event(), asyncio.Event()

    async def handler(event: Any, context: Context) -> Any:
        entered.set()
        await leave.wait()
        return event

    async with running_slots(api, handler):
        api.invoke("late", request_id="r-late")
        await entered.wait()
        api.refusals.append(status)
        leave.set()
        assert (await api.invoke("next")).json() == "next"
    (warning,) = [record.__dict__ for record in caplog.records if record.levelno == logging.WARNING]
    assert (warning["message"], warning["post"], warning["status"]) == ("post_refused", "response", status)


async def test_timed_out_invocation(api: FakeRuntimeApi) -> None:
    """The fake's own 410, as after a time-out, leaves the slot polling."""

    async def handler(event: Any, context: Context) -> Any:
        if event == "late":
            pending.timed_out = True
        return event

    async with running_slots(api, handler):
        pending = api.invoke("late")
        assert (await api.invoke("next")).json() == "next"
        assert not pending.posted.done()


async def test_connection_lost_between_request_and_response(api: FakeRuntimeApi) -> None:
    """The response goes out over a new connection."""
    entered, leave = asyncio.Event(), asyncio.Event()

    async def handler(event: Any, context: Context) -> Any:
        entered.set()
        await leave.wait()
        return event

    async with running_slots(api, handler):
        invocation = api.invoke("kept")
        await entered.wait()
        await api.drop_connections()
        leave.set()
        assert (await invocation).json() == "kept"


async def test_connection_lost_under_the_response(api: FakeRuntimeApi) -> None:
    """A server that hangs up on a kept connection gets the response again, over a new one."""

    async def handler(event: Any, context: Context) -> Any:
        api.refusals.append(None)
        return event

    async with running_slots(api, handler):
        assert (await api.invoke("kept")).json() == "kept"
    posts = [request for request in api.requests if request.method == "POST"]
    assert [post.body for post in posts] == [b'"kept"', b'"kept"']


async def test_the_runtime_api_comes_back(api: FakeRuntimeApi) -> None:
    """A restart of the other side is survived by every slot."""
    async with running_slots(api, echo, slots=3):
        await api.stop()
        await api.start()
        await api.wait_idle(3)
        assert (await api.invoke(1)).json() == 1


async def test_the_runtime_api_stays_away(api: FakeRuntimeApi, caplog: pytest.LogCaptureFixture) -> None:
    """After the bounded time the slots end by themselves, as a failure, and say why."""
    running = start_slots(api, echo, slots=2, reconnect=0.2)
    await api.wait_idle(2)
    await api.stop()
    await running.task
    assert running.drain.exit_code == 1
    lost = [record.__dict__["errorMessage"] for record in caplog.records if record.message == "runtime_api_lost"]
    assert [reason.startswith("cannot connect to 127.0.0.1") for reason in lost] == [True, True]


async def test_a_refused_next_is_tried_again(api: FakeRuntimeApi) -> None:
    """One bad response to `next` is a passing fault."""
    api.refusals.extend([500, 503])
    async with running_slots(api, echo):
        assert (await api.invoke(1)).json() == 1


async def test_only_failures_in_a_row_count(api: FakeRuntimeApi) -> None:
    """A `next` that fails now and then never adds up to giving up; its log line belongs to no invocation."""
    noted: list[Context | None] = []

    class Note(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.getMessage() == "next_failed":
                noted.append(current_context.get())

    async def handler(event: Any, context: Context) -> Any:
        await asyncio.sleep(0.15)
        api.refusals.extend([202, 500])
        return event

    note = Note()
    logging.getLogger("runtime").addHandler(note)
    running = start_slots(api, handler, reconnect=0.1)
    for _ in range(3):
        await api.wait_idle(1)
        await api.invoke().taken.wait()
        await eventually(lambda: api.idle == 0)
    await api.wait_idle(1)
    await running.stop()
    logging.getLogger("runtime").removeHandler(note)
    assert running.drain.exit_code == 0
    assert noted == [None] * 3


@pytest.mark.parametrize(("error", "code"), [(SystemExit(3), 3), (SystemExit(0), 1), (KeyboardInterrupt(), 1)])
@pytest.mark.parametrize("kind", ["async", "sync"])
async def test_exits_are_reported_and_end_the_process(
    api: FakeRuntimeApi, error: BaseException, code: int, kind: str
) -> None:
    """`sys.exit` in a handler is Runtime.ExitError; the others' invocations end first."""
    leave = threading.Event()

    def exits() -> None:
        raise error

    async def handler(event: Any, context: Context) -> Any:
        if event == "exit":
            exits()
        await asyncio.to_thread(leave.wait, 20)
        return event

    def sync_handler(event: Any, context: Context) -> Any:
        if event == "exit":
            exits()
        leave.wait(20)
        return event

    running = start_slots(api, handler if kind == "async" else sync_handler, slots=2)
    await api.wait_idle(2)
    other = api.invoke("other")
    await other.taken.wait()
    posted = await api.invoke("exit")
    assert posted.json()["errorType"] == "Runtime.ExitError"
    leave.set()
    assert (await other).json() == "other"
    await running.task
    assert running.drain.exit_code == code


async def test_drain_lets_running_invocations_end(api: FakeRuntimeApi) -> None:
    """No slot takes another invocation, and what runs gets its response."""
    entered, leave = asyncio.Event(), asyncio.Event()

    async def handler(event: Any, context: Context) -> Any:
        entered.set()
        await leave.wait()
        return event

    running = start_slots(api, handler, slots=2)
    await api.wait_idle(2)
    first = api.invoke("first")
    await entered.wait()
    running.drain.request()
    await eventually(lambda: api.idle == 0)
    second = api.invoke("second")
    leave.set()
    assert (await first).json() == "first"
    await running.task
    assert not second.taken.is_set()
    assert running.drain.exit_code == 0


async def test_drain_is_bounded(api: FakeRuntimeApi) -> None:
    """Who outlasts the drain is cancelled and reported, so that the invocation comes again elsewhere."""
    entered = asyncio.Event()

    async def handler(event: Any, context: Context) -> None:
        entered.set()
        await asyncio.Event().wait()

    running = start_slots(api, handler, drain=0.05)
    await api.wait_idle(1)
    invocation = api.invoke()
    await entered.wait()
    running.drain.request()
    assert (await invocation).json()["errorType"] == "Runtime.ShutDown"
    await running.task


async def test_drain_before_the_first_connection(api: FakeRuntimeApi) -> None:
    """A drain while the Runtime API is out of reach ends the slots at once."""
    await api.stop()
    running = start_slots(api, echo, slots=2, reconnect=60)
    await asyncio.sleep(0)
    await asyncio.wait_for(running.stop(), 30)
    await api.start()


async def test_context_variables_stay_in_their_invocation(api: FakeRuntimeApi) -> None:
    """What one invocation sets, the slot's next does not see."""
    variable: ContextVar[int] = ContextVar("variable", default=0)

    async def handler(event: int, context: Context) -> int:
        before = variable.get()
        variable.set(event)
        return before

    async with running_slots(api, handler):
        assert [(await api.invoke(number)).json() for number in (1, 2, 3)] == [0, 0, 0]


async def test_unhandled_kinds_of_exceptions(api: FakeRuntimeApi) -> None:
    """StopIteration, which futures refuse, and bare BaseExceptions are reported like all others."""

    class Odd(BaseException):
        pass

    def handler(event: str, context: Context) -> None:
        raise StopIteration if event == "stop" else Odd("odd")

    async with running_slots(api, handler):
        assert "StopIteration" in (await api.invoke("stop")).json()["errorMessage"]
        assert (await api.invoke("odd")).json()["errorType"] == "Odd"


async def test_group_failures_name_their_parts(api: FakeRuntimeApi) -> None:
    """The caller of a handler with a task group sees what failed in it."""

    async def part() -> None:
        raise OSError("disk full")

    async def handler(event: Any, context: Context) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(part())

    async with running_slots(api, handler):
        body = (await api.invoke()).json()
    assert body["errorType"] == "ExceptionGroup"
    assert "OSError: disk full" in body["errorMessage"]
    assert sys.exc_info() == (None, None, None)


async def test_a_deadline_in_the_past(api: FakeRuntimeApi) -> None:
    """An invocation that comes too late is cancelled before its handler begins, and reported; the slot goes on."""
    begun: list[Any] = []

    async def handler(event: Any, context: Context) -> Any:
        begun.append(event)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return event

    async with running_slots(api, handler):
        posted = await api.invoke("late", deadline_ms=soon(-5, margin=0))
        assert posted.json()["errorType"] == "Runtime.DeadlineExceeded"
        assert (await api.invoke("next")).json() == "next"


async def test_stopped_before_it_began() -> None:
    """A handler's task that is cancelled at once has an outcome at once, and leaves no coroutine behind."""

    async def call() -> Outcome:
        raise AssertionError("never begun")

    settings = SlotsSettings(Endpoint("127.0.0.1", 9001), margin=120)
    execution = Execution(call, Context(), settings, on_leak=lambda _: None)
    execution.cancel(ShutDown("over"))
    async with asyncio.timeout(30):
        outcome = await execution.wait()
    assert isinstance(outcome, Failure)
    assert outcome.error_type == "Runtime.ShutDown"
