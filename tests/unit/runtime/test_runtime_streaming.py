"""Responses in parts ("Building a custom runtime for AWS Lambda", response streaming), and the prelude of HTTP ones."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from runtime_slots import LEAKY_MARGIN, cut_off, eventually, running_slots, soon, start_slots_at

from workers.runtime.context import Context, current_context
from workers.runtime.lifespan import with_lifespan
from workers.runtime.streaming import HTTP_INTEGRATION, StreamingResponse
from workers.runtime.testing import FakeRuntimeApi

BLOCK = bytes(64 * 1024)


async def three(event: Any, context: Context) -> AsyncIterator[bytes | str]:
    """Yield bytes, nothing, text."""
    yield b"one"
    yield b""
    yield "två"


async def test_a_generator_is_streamed(api: FakeRuntimeApi) -> None:
    """The mode's header, a chunk for each part, declared trailers, the nonce; no length."""
    async with running_slots(api, three) as running:
        posted = await api.invoke(request_id="r-1", headers={"Lambda-Runtime-Invocation-Id": "nonce"})
    assert (posted.kind, posted.request.parts) == ("response", (b"one", "två".encode()))
    assert posted.request.path == "/2018-06-01/runtime/invocation/r-1/response"
    headers = posted.request.headers
    assert headers["lambda-runtime-function-response-mode"] == "streaming"
    assert headers["transfer-encoding"] == "chunked"
    assert headers["trailer"] == "Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body"
    assert headers["content-type"] == "application/octet-stream"
    assert headers["lambda-runtime-invocation-id"] == "nonce"
    assert "content-length" not in headers
    assert (posted.request.trailers, posted.failure) == ({}, None)
    assert running.slots.statistics.succeeded == 1


async def test_parts_leave_as_they_are_made(api: FakeRuntimeApi) -> None:
    """The first part arrives while the handler still works on the second, with its own context."""
    go_on = asyncio.Event()

    async def handler(event: Any, context: Context) -> AsyncIterator[str]:
        yield "first"
        await go_on.wait()
        assert current_context.get() is context
        yield "second"

    async with running_slots(api, handler):
        pending = api.invoke()
        assert await pending.parts.get() == b"first"
        assert not pending.posted.done()
        go_on.set()
        assert (await pending).request.parts == (b"first", b"second")


async def test_the_connection_is_closed_afterwards(api: FakeRuntimeApi) -> None:
    """AWS: close the connection when the response is written; the slot polls over a new one."""
    async with running_slots(api, three):
        for _ in range(3):
            await api.invoke()
            await api.wait_idle(1)
            await eventually(lambda: api.connections == 1)


@pytest.mark.parametrize("kind", ["async", "sync"])
async def test_a_handler_may_return_its_stream(api: FakeRuntimeApi, kind: str) -> None:
    """An async iterator or a StreamingResponse, from `async def` or from `def`; others are posted whole."""

    def sync(event: Any, context: Context) -> Any:
        if event == "typed":
            return StreamingResponse(three(event, context), "text/plain; charset=utf-8")
        return three(event, context) if event == "stream" else event

    async def handler(event: Any, context: Context) -> Any:
        return sync(event, context)

    async with running_slots(api, handler if kind == "async" else sync):
        assert (await api.invoke("stream")).request.body == "onetvå".encode()
        typed = await api.invoke("typed")
        assert typed.request.headers["content-type"] == "text/plain; charset=utf-8"
        assert (await api.invoke("whole")).json() == "whole"


async def test_a_stream_with_resources(api: FakeRuntimeApi) -> None:
    """`with_lifespan` takes generators, too."""

    @asynccontextmanager
    async def resources() -> AsyncIterator[str]:
        yield "resource"

    @with_lifespan(resources)
    async def handler(event: Any, context: Context, resource: str) -> AsyncIterator[str]:
        yield resource

    async with handler.lifespan(), running_slots(api, handler):
        assert (await api.invoke()).request.body == b"resource"


@pytest.mark.parametrize("parts", [["<p>", "</p>"], []], ids=["body", "empty"])
async def test_an_http_response_has_a_prelude(api: FakeRuntimeApi, parts: list[str]) -> None:
    """JSON, eight NULs, body: what function URLs and API Gateway take apart ("Response streaming")."""

    async def handler(event: Any, context: Context) -> StreamingResponse:
        async def body() -> AsyncIterator[str]:
            for part in parts:
                yield part

        return StreamingResponse.http(body(), 201, {"Content-Type": "text/html", "x": "\0"}, ["a=1"])

    async with running_slots(api, handler):
        posted = await api.invoke()
    prelude, _, body = posted.request.body.partition(bytes(8))
    assert posted.request.headers["content-type"] == HTTP_INTEGRATION
    assert json.loads(prelude) == {
        "statusCode": 201,
        "headers": {"Content-Type": "text/html", "x": "\0"},
        "cookies": ["a=1"],
    }
    assert body == "".join(parts).encode()


async def test_an_empty_stream_is_a_response(api: FakeRuntimeApi) -> None:
    """No part, but a response all the same."""

    async def handler(event: Any, context: Context) -> AsyncIterator[bytes]:
        for part in ():
            yield part

    async with running_slots(api, handler):
        posted = await api.invoke()
    assert (posted.kind, posted.request.body) == ("response", b"")


async def test_a_failure_before_the_first_part_is_an_ordinary_one(api: FakeRuntimeApi) -> None:
    """Nothing was sent yet, so it goes to the error path; an HTTP client sees no 200."""

    async def handler(event: Any, context: Context) -> AsyncIterator[bytes]:
        raise LookupError("no such album")
        yield b""

    async with running_slots(api, handler) as running:
        posted = await api.invoke(request_id="r-1")
    assert posted.request.path.endswith("/r-1/error")
    assert posted.json()["errorMessage"] == "no such album"
    assert running.slots.statistics.failed == 1


@pytest.mark.parametrize(
    ("bad", "error_type", "message"),
    [
        (LookupError("lost"), "Function.LookupError", "lost"),
        (7, "Runtime.MarshalError", "Unable to marshal response: a part of a stream is a int, not bytes or str"),
    ],
    ids=["raises", "no bytes"],
)
async def test_a_failure_half_way_is_told_in_trailers(
    api: FakeRuntimeApi, bad: Any, error_type: str, message: str
) -> None:
    """Type, and body in base64, after the parts that went well; the slot goes on."""

    async def handler(event: Any, context: Context) -> AsyncIterator[Any]:
        yield b"good"
        if isinstance(bad, Exception):
            raise bad
        yield bad

    async with running_slots(api, handler) as running:
        posted = await api.invoke(request_id="r-1")
        assert (posted.kind, posted.request.parts) == ("response", (b"good",))
        assert posted.request.trailers["lambda-runtime-function-error-type"] == error_type
        assert (posted.failure["errorMessage"], posted.failure["requestId"]) == (message, "r-1")
        assert (await api.invoke()).failure is not None
    assert running.slots.statistics.failed == 2


async def test_a_stream_past_its_deadline(api: FakeRuntimeApi) -> None:
    """The handler is cancelled in the middle, cleans up, and the trailers say so in time."""
    begun, cleaned = asyncio.Event(), asyncio.Event()

    async def handler(event: Any, context: Context) -> AsyncIterator[bytes]:
        try:
            yield b"begun"
            begun.set()
            await asyncio.Event().wait()
        finally:
            cleaned.set()

    async with running_slots(api, handler):
        posted = await cut_off(api, begun)
    assert cleaned.is_set()
    assert posted.failure["errorType"] == "Runtime.DeadlineExceeded"


async def test_a_leaked_stream_sends_nothing_more(api: FakeRuntimeApi) -> None:
    """A generator that swallows its cancel is cut off; later parts do not end up in the next invocation's response."""
    begun, release = asyncio.Event(), asyncio.Event()

    async def handler(event: Any, context: Context) -> AsyncIterator[bytes]:
        yield b"begun"
        begun.set()
        while event == "stubborn" and not release.is_set():
            with suppress(asyncio.CancelledError):
                await release.wait()
        yield b"late"

    async with running_slots(api, handler, margin=LEAKY_MARGIN) as running:
        posted = await cut_off(api, begun, "stubborn", margin=LEAKY_MARGIN)
        assert (posted.request.parts, posted.failure["errorType"]) == ((b"begun",), "Runtime.HandlerLeaked")
        await api.wait_idle(1)
        release.set()
        await eventually(lambda: running.slots.statistics.leaked == 0)
        assert (await api.invoke("next")).request.parts == (b"begun", b"late")


async def test_a_handler_that_leaks_before_its_first_part(api: FakeRuntimeApi) -> None:
    """It was reported as an error; what it yields later goes nowhere."""
    begun, release = asyncio.Event(), asyncio.Event()

    async def handler(event: Any, context: Context) -> AsyncIterator[bytes]:
        begun.set()
        while event == "stubborn" and not release.is_set():
            with suppress(asyncio.CancelledError):
                await release.wait()
        yield b"late"

    async with running_slots(api, handler, margin=LEAKY_MARGIN) as running:
        posted = await cut_off(api, begun, "stubborn", margin=LEAKY_MARGIN)
        assert (posted.kind, posted.json()["errorType"]) == ("error", "Runtime.HandlerLeaked")
        release.set()
        await eventually(lambda: running.slots.statistics.leaked == 0)
        assert (await api.invoke("next")).request.parts == (b"late",)
    assert sum("/response" in request.path for request in api.requests) == 1


async def test_a_slow_receiver_slows_the_handler(api: FakeRuntimeApi) -> None:
    """Back-pressure: what is not taken is not made; 32 MB would else lie in memory."""
    made = 0

    async def handler(event: Any, context: Context) -> AsyncIterator[bytes]:
        nonlocal made
        for _ in range(512):
            made += 1
            yield BLOCK

    async with running_slots(api, handler):
        pending = api.invoke()
        await pending.taken.wait()
        pending.reading.clear()
        await eventually(lambda: made > 1)
        stopped = await settled(lambda: made)
        assert stopped < 400
        pending.reading.set()
        assert len((await pending).request.body) == 512 * len(BLOCK)


async def settled(value: Any, turns: int = 1000) -> int:
    """Return the value when it has not changed for so many turns of the loop."""
    last, same = value(), 0
    while same < turns:
        await asyncio.sleep(0)
        same = same + 1 if value() == last else 0
        last = value()
    return int(last)


async def test_a_receiver_that_reads_no_more_holds_no_handler(api: FakeRuntimeApi) -> None:
    """The deadline cancels a handler that waits for its receiver."""

    async def handler(event: Any, context: Context) -> AsyncIterator[bytes]:
        try:
            while True:
                yield BLOCK
        finally:
            closed.set()

    closed = asyncio.Event()
    async with running_slots(api, handler):
        pending = api.invoke(deadline_ms=soon(2))
        await pending.taken.wait()
        pending.reading.clear()
        await asyncio.wait_for(closed.wait(), 30)
        pending.reading.set()
        assert (await pending).failure["errorType"] == "Runtime.DeadlineExceeded"


async def test_a_connection_lost_half_way_ends_the_handler(
    api: FakeRuntimeApi, caplog: pytest.LogCaptureFixture
) -> None:
    """What was sent cannot be sent again: the handler is closed, the loss is logged, the slot goes on."""
    closed = asyncio.Event()

    async def handler(event: Any, context: Context) -> AsyncIterator[bytes]:
        try:
            while event == "long":
                yield BLOCK
            yield b"next"
        finally:
            closed.set()

    async with running_slots(api, handler):
        pending = api.invoke("long")
        await pending.parts.get()
        await api.drop_connections()
        await closed.wait()
        assert (await api.invoke("next")).request.body == b"next"
    assert ("post_failed", "response") in [(record.message, record.__dict__.get("post")) for record in caplog.records]


async def test_a_refused_stream_is_logged(api: FakeRuntimeApi, caplog: pytest.LogCaptureFixture) -> None:
    """410 at the end of a stream is no reason to stop either."""

    async def handler(event: Any, context: Context) -> AsyncIterator[bytes]:
        if event == "late":
            pending.timed_out = True
        yield b"part"

    async with running_slots(api, handler):
        pending = api.invoke("late")
        assert (await api.invoke("next")).request.body == b"part"
    (warning,) = [record.__dict__ for record in caplog.records if record.levelno == logging.WARNING]
    assert (warning["message"], warning["post"], warning["status"]) == ("post_refused", "response", 410)


async def test_a_server_that_responds_first_and_reads_on() -> None:
    """Some do, with 200 at once: the stream still goes to its end."""
    received = asyncio.get_running_loop().create_future()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if head.startswith(b"GET") and not received.done():
            writer.write(b"HTTP/1.1 200 OK\r\nLambda-Runtime-Aws-Request-Id: r-1\r\nContent-Length: 2\r\n\r\n{}")
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
            responded.set()
            received.set_result(await reader.readuntil(b"0\r\n\r\n"))
        await reader.read()
        writer.close()

    responded = asyncio.Event()

    async def handler(event: Any, context: Context) -> AsyncIterator[bytes]:
        yield b"one"
        await responded.wait()
        for _ in range(3):
            await asyncio.sleep(0.01)  # until the response has come in
            yield b"two"

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    running = start_slots_at(f"127.0.0.1:{port}", handler)
    assert await asyncio.wait_for(received, 30) == b"3\r\none\r\n" + b"3\r\ntwo\r\n" * 3 + b"0\r\n\r\n"
    await running.stop()
    server.close()
