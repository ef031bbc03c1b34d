"""The runtime as a process: start, signals, exits, logs."""

import asyncio
import json
import signal
import socket
import time
from typing import Any

import pytest
from runtime_processes import runtime_process

from workers.runtime.testing import FakeRuntimeApi

EXITS = [
    (3, 3, "Runtime exited with error: exit status 3"),
    ("bye", 1, "Runtime exited with error: exit status 1"),
    (0, 1, "Runtime exited without providing a reason"),
]
WEB = {"httpMethod": "GET", "path": "/photos"}


async def test_drain_on_sigterm(api: FakeRuntimeApi) -> None:
    """SIGTERM: no new `next`, the running invocation ends and its response is posted, resources close, exit 0."""
    async with runtime_process(api, "runtime_functions.wait", variables={"AWS_LAMBDA_MAX_CONCURRENCY": "2"}) as process:
        await api.wait_idle(2)
        running = api.invoke("wait")
        await process.line("waiting")
        process.signal()
        drained = await process.logged("process_drained")
        assert await process.ended() == 0
        assert (await running).json() == "wait"
        later = api.invoke("later")
    assert not later.taken.is_set()
    assert (drained["succeeded"], drained["slots"], drained["running"]) == (1, 2, 0)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_idle_process_ends_at_once(api: FakeRuntimeApi, number: signal.Signals) -> None:
    """Without invocations there is nothing to wait for; Ctrl-C is as good as SIGTERM."""
    variables = {"RUNTIME_DRAIN_S": "600"}
    async with runtime_process(api, "runtime_functions.with_resource", variables=variables) as process:
        await api.wait_idle(1)
        assert (await api.invoke()).json() == "resource"
        process.signal(number)
        assert await asyncio.wait_for(process.ended(), 60) == 0
    printed = [line for line in process.lines if not line.startswith("{")]
    assert printed == ["opened", "closed"]


async def test_web_application(api: FakeRuntimeApi) -> None:
    """An ASGI application starts up before the first `next` and shuts down at the end."""
    async with runtime_process(api, "runtime_functions.web") as process:
        response = (await api.invoke(WEB)).json()
        process.signal()
        assert await process.ended() == 0
    assert (response["statusCode"], response["body"]) == (201, "/photos")
    assert [line for line in process.lines if line.startswith("lifespan")] == ["lifespan.startup", "lifespan.shutdown"]


async def test_resources_that_do_not_open(api: FakeRuntimeApi) -> None:
    """A failing lifespan is an init error."""
    async with runtime_process(api, "runtime_functions.without_resource") as process:
        request = await api.init_error
        assert await process.ended() == 1
    assert (request.json()["errorType"], request.json()["errorMessage"]) == ("OSError", "no such table")
    assert request.headers["lambda-runtime-function-error-type"] == "Function.OSError"
    assert not api.ready.is_set()


async def test_init_error_that_another_worker_has_reported(api: FakeRuntimeApi) -> None:
    """403 to init/error is no news."""
    api.init_error.cancel()
    async with runtime_process(api, "runtime_functions.nothing") as process:
        assert await process.ended() == 1
    assert [request.path for request in api.requests] == ["/2018-06-01/runtime/init/error"]
    assert "init error refused" not in "".join(process.lines)


async def test_sigterm_while_resources_open(api: FakeRuntimeApi) -> None:
    """A start that is no longer wanted is given up, and cleans up."""
    async with runtime_process(api, "runtime_functions.never_ready") as process:
        await process.line("opening")
        process.signal()
        assert await process.ended() == 0
    assert "given up" in process.lines
    assert api.requests == []


async def test_resources_that_do_not_close(api: FakeRuntimeApi) -> None:
    """A drain that cannot close its resources is not a clean one."""
    async with runtime_process(api, "runtime_functions.closes_badly") as process:
        await api.wait_idle(1)
        process.signal()
        logged = await process.logged("resources_close_failed")
        assert await process.ended() == 1
    assert logged["errorMessage"] == "cannot close"


async def test_exit_inside_a_handler(api: FakeRuntimeApi) -> None:
    """`sys.exit(3)` is reported as Lambda's Runtime.ExitError and ends the process with 3."""
    async with runtime_process(api, "runtime_functions.leave") as process:
        posted = await api.invoke()
        assert await process.ended() == 3
    assert posted.json()["errorType"] == "Runtime.ExitError"


async def test_exit_inside_a_handlers_task(api: FakeRuntimeApi) -> None:
    """asyncio lets `sys.exit` in a task through the loop: no report is possible, but the exit is a failure."""
    async with runtime_process(api, "runtime_functions.leave_in_a_task") as process:
        api.invoke()
        assert await process.ended() == 1
    assert "Runtime.ExitError" in "".join(process.lines)


@pytest.mark.parametrize("function", ["stuck", "stuck_in_a_thread"])
async def test_a_thread_that_never_ends_does_not_hold_the_process(api: FakeRuntimeApi, function: str) -> None:
    """Python waits for threads at its exit; the runtime does not wait for ever."""
    variables = {"RUNTIME_DRAIN_S": "600", "AWS_LAMBDA_MAX_CONCURRENCY": "2"}
    async with runtime_process(api, f"runtime_functions.{function}", variables=variables) as process:
        posted = await api.invoke(deadline_ms=int((time.time() + 0.5) * 1000))
        assert posted.json()["errorType"] in ("Runtime.HandlerLeaked", "Runtime.DeadlineExceeded")
        process.signal()
        assert await asyncio.wait_for(process.ended(), 60) == 0
    assert "process_killed" in "".join(process.lines)


async def test_a_signal_that_does_not_wake_the_main_thread(api: FakeRuntimeApi) -> None:
    """Python handles signals in the main thread alone, and not before a wait for a lock that had just begun."""
    async with runtime_process(api, "aws_handlers.signalled_elsewhere") as process:
        assert (await api.invoke()).json() == "soon"
        assert await asyncio.wait_for(process.ended(), 10) == 0


@pytest.mark.parametrize("function", ["aws_handlers.stuck", "runtime_functions.stuck_shielded"])
async def test_a_lone_handler_that_overruns_takes_its_process_along(api: FakeRuntimeApi, function: str) -> None:
    """Lambda kills it at its deadline; where nobody does, it is reported after it, and nothing runs beside it."""
    async with runtime_process(api, function) as process:
        deadline = time.time() + 1.0
        invocation = api.invoke(deadline_ms=int(deadline * 1000))
        await process.line("stuck")
        later = api.invoke()
        posted = await invocation
        assert time.time() > deadline
        assert posted.json()["errorType"] == "Runtime.HandlerLeaked"
        assert await asyncio.wait_for(process.ended(), 60) == 1
    assert not later.taken.is_set()


async def test_a_lone_synchronous_handler_has_its_time_to_the_end(api: FakeRuntimeApi) -> None:
    """Nothing can cancel it, so nothing is gained by failing it before its deadline."""
    variables = {"RUNTIME_DEADLINE_MARGIN_MS": "60000"}
    async with runtime_process(api, "aws_handlers.wait", variables=variables):
        posted = await api.invoke(0.1, deadline_ms=int((time.time() + 59) * 1000))
    assert posted.json() == 0.1


async def test_drain_of_the_main_thread(api: FakeRuntimeApi) -> None:
    """SIGTERM while a synchronous handler runs: it ends and its response is posted, then the process, with 0."""
    async with runtime_process(api, "aws_handlers.wait") as process:
        running = api.invoke(0.3)
        await process.line("waiting")
        process.signal()
        assert await asyncio.wait_for(process.ended(), 60) == 0
        assert (await running).json() == 0.3


@pytest.mark.parametrize(("status", "code", "reason"), EXITS)
async def test_exit_inside_a_synchronous_handler(api: FakeRuntimeApi, status: Any, code: int, reason: str) -> None:
    """Reported in Lambda's words, and the process ends with a failure, also after `sys.exit(0)`."""
    async with runtime_process(api, "aws_handlers.leave") as process:
        posted = await api.invoke(status, request_id="r-1")
        assert await asyncio.wait_for(process.ended(), 60) == code
    assert posted.json()["errorType"] == "Runtime.ExitError"
    assert posted.json()["errorMessage"] == f"RequestId: r-1 Error: {reason}"


async def test_a_runtime_api_that_falls_silent_does_not_hold_the_process() -> None:
    """A post that nobody takes ends with the drain's time."""
    posting = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nLambda-Runtime-Aws-Request-Id: r-1\r\nContent-Length: 2\r\n\r\n{}")
        await reader.readuntil(b"\r\n\r\n")
        posting.set()
        await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    variables = {"AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{port}", "RUNTIME_DRAIN_S": "0"}
    async with runtime_process(None, "runtime_functions.echo", variables=variables) as process:
        await posting.wait()
        process.signal()
        assert await asyncio.wait_for(process.ended(), 60) == 0
    server.close()
    assert "process_killed" in "".join(process.lines)


@pytest.mark.parametrize(("loop", "slots"), [("asyncio", "2"), ("uvloop", "2"), ("uvloop", "1")])
async def test_logs_and_loop(api: FakeRuntimeApi, loop: str, slots: str) -> None:
    """Lines carry the request id; the trace is in the context, and in the environment of a lone slot only."""
    trace = {"Lambda-Runtime-Trace-Id": "Root=1-new", "Lambda-Runtime-Aws-Tenant-Id": "blue"}
    variables = {"RUNTIME_LOOP": loop, "_X_AMZN_TRACE_ID": "Root=1-old", "AWS_LAMBDA_MAX_CONCURRENCY": slots}
    async with runtime_process(api, "runtime_functions.log", variables=variables) as process:
        response = (await api.invoke(request_id="r-1", headers=trace)).json()
        logged = await process.logged("hello")
        assert await process.line("printed") == "printed"
    assert (response["trace"], response["environment"]) == ("Root=1-new", "Root=1-new" if slots == "1" else None)
    assert response["loop"].partition(".")[0] == loop
    expected = {"level": "INFO", "logger": "app", "requestId": "r-1", "tenantId": "blue", "photo": 7}
    assert expected.items() <= logged.items()


async def test_failures_are_logged_as_json(api: FakeRuntimeApi) -> None:
    """A failed invocation's line says what its caller is told."""
    async with runtime_process(api, "runtime_functions.fails") as process:
        await api.invoke("no photo", request_id="r-1")
        logged = await process.logged("invocation_failed")
    assert (logged["level"], logged["requestId"]) == ("ERROR", "r-1")
    assert (logged["errorType"], logged["errorMessage"]) == ("LookupError", "no photo")
    assert "raise LookupError" in logged["stackTrace"][-1]


async def test_wrong_settings() -> None:
    """All problems at once, and no trace back into the runtime."""
    async with runtime_process(None, "a.b", variables={"AWS_LAMBDA_MAX_CONCURRENCY": "many"}) as process:
        assert await process.ended() == 1
    assert process.lines == [
        "workers.runtime: settings:",
        "  AWS_LAMBDA_RUNTIME_API: missing; expected host:port, or host:port/path",
        "  AWS_LAMBDA_MAX_CONCURRENCY: 'many'; expected a whole number from 1 to 1600",
    ]


async def test_nobody_at_the_runtime_api() -> None:
    """After the bounded time the process ends, and says which address it tried."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    variables = {"AWS_LAMBDA_RUNTIME_API": address, "RUNTIME_RECONNECT_S": "1"}
    async with runtime_process(None, "runtime_functions.echo", variables=variables) as process:
        assert await process.ended() == 1
    logged = [json.loads(line) for line in process.lines]
    (lost,) = [fields for fields in logged if fields["message"] == "runtime_api_lost"]
    assert lost["errorMessage"].startswith(f"cannot connect to {address}")


async def test_prefix() -> None:
    """Behind a path of its own the whole interface works."""
    async with (
        FakeRuntimeApi(prefix="/.rt/photos/1") as api,
        runtime_process(api, "runtime_functions.echo") as process,
    ):
        assert (await api.invoke(1)).json() == 1
        process.signal()
        assert await process.ended() == 0
    assert {r.path.partition("/2018-06-01/")[0] for r in api.requests} == {"/.rt/photos/1"}
