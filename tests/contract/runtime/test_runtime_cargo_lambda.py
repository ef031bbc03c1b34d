"""Our runtime under a Runtime API that we did not write: cargo-lambda's, with a path in front, and odd deadlines."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from cargo_lambda import CargoLambda, cargo_lambda
from runtime_processes import runtime_process


@pytest.fixture
async def cargo(tmp_path: Path) -> AsyncIterator[CargoLambda]:
    """Run a server for the function `photos`."""
    async with cargo_lambda(tmp_path) as running:
        yield running


def runtime(cargo: CargoLambda, function: str, **variables: str) -> Any:
    """Our runtime, polling cargo-lambda."""
    variables["AWS_LAMBDA_RUNTIME_API"] = cargo.runtime_api
    return runtime_process(None, f"runtime_functions.{function}", variables=variables)


@pytest.mark.parametrize("event", [{"a": [1, "é"]}, "text", None, 7, "x" * 1_000_000], ids=lambda event: str(event)[:9])
async def test_responses(cargo: CargoLambda, event: Any):
    """The event goes in and comes out."""
    async with runtime(cargo, "echo"):
        assert await cargo.invoke(event) == (200, event)


async def test_many_at_once(cargo: CargoLambda):
    """Callers at once, several slots: every caller gets its own response."""
    async with runtime(cargo, "wait", AWS_LAMBDA_MAX_CONCURRENCY="8"):
        responses = await asyncio.gather(*(cargo.invoke(number) for number in range(40)))
    assert responses == [(200, number) for number in range(40)]


async def test_context(cargo: CargoLambda):
    """Request id, ARN and a relative deadline, 600000, of which ours makes one that has not passed."""
    async with runtime(cargo, "describe", AWS_LAMBDA_FUNCTION_TIMEOUT="60"):
        status, described = await cargo.invoke({})
    assert status == 200
    assert len(described["request_id"]) == 36
    assert described["arn"] == "function-arn"
    assert described["seconds"] in (5, 6)


async def test_errors(cargo: CargoLambda):
    """A failure reaches the caller in Lambda's shape, and the runtime goes on."""
    async with runtime(cargo, "fails"):
        for event in ("no photo", "again"):
            status, error = await cargo.invoke(event)
            assert (error["errorType"], error["errorMessage"]) == ("LookupError", event)
            assert status >= 400


async def test_several_processes(cargo: CargoLambda):
    """Slots of several processes are as good as those of one; the invocation of one that dies fails."""
    async with runtime(cargo, "where", AWS_LAMBDA_MAX_CONCURRENCY="4", RUNTIME_PROCESSES="2") as process:
        for _ in range(2):
            await process.logged("worker_started")
        responses = await asyncio.gather(*(cargo.invoke(None) for _ in range(20)))
        assert {status for status, _ in responses} == {200}
        _, error = await cargo.invoke("die")
        assert error["errorType"] == "Runtime.ExitError"
        await process.logged("worker_started")
        assert (await cargo.invoke(None))[0] == 200


async def test_a_stream_reaches_a_browser(cargo: CargoLambda):
    """Through a function URL: status, headers and cookie out of the prelude, then the body."""
    async with runtime(cargo, "stream_page"), cargo.call_url("album") as response:
        body = await response.text()
    assert (response.status, response.headers["content-type"]) == (201, "text/html")
    assert response.cookies["a"].value == "1"
    assert body == "<p>hi"


async def test_an_asgi_application_streams(cargo: CargoLambda):
    """The same, out of an ASGI application and cargo-lambda's own proxy event."""
    async with runtime(cargo, "streaming_web"), cargo.call_url("album") as response:
        body = await response.text()
    assert (response.status, response.headers["content-type"]) == (201, "text/plain")
    assert body.endswith("/album")


async def test_drain(cargo: CargoLambda):
    """SIGTERM while nothing runs: exit 0."""
    async with runtime(cargo, "echo") as process:
        assert json.dumps(await cargo.invoke(1)) == "[200, 1]"
        process.signal()
        assert await process.ended() == 0
