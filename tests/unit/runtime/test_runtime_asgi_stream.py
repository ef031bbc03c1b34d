"""ASGI applications that stream: the prelude is the response's head, each body message a part."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from runtime_slots import cut_off, running_slots

from workers.runtime.asgi import Application, Receive, Scope, Send, asgi_handler
from workers.runtime.testing import FakeRuntimeApi, Posted

V1 = {"httpMethod": "GET", "path": "/photos"}
V2 = {"version": "2.0", "rawPath": "/photos", "requestContext": {"http": {"method": "GET", "sourceIp": "::1"}}}
HEADERS = [(b"content-type", b"text/event-stream"), (b"set-cookie", b"a=1"), (b"vary", b"x"), (b"vary", b"y")]


def start(status: int = 200) -> dict[str, Any]:
    """Make the first message of a response."""
    return {"type": "http.response.start", "status": status, "headers": HEADERS}


def body(part: bytes, more: bool = True) -> dict[str, Any]:
    """Make a part of a body."""
    return {"type": "http.response.body", "body": part, "more_body": more}


def streaming(app: Application) -> Callable[[Any, Any], Any]:
    """Make a streaming handler of the application."""
    return asgi_handler(app, streaming=True)


def read(posted: Posted) -> tuple[dict[str, Any], bytes]:
    """Prelude and body of a streamed HTTP response."""
    prelude, _, rest = posted.request.body.partition(bytes(8))
    return json.loads(prelude), rest


@pytest.mark.parametrize(
    ("event", "head"),
    [
        (
            V1,
            {
                "statusCode": 200,
                "multiValueHeaders": {
                    "content-type": ["text/event-stream"],
                    "set-cookie": ["a=1"],
                    "vary": ["x", "y"],
                },
            },
        ),
        (
            V2,
            {
                "statusCode": 200,
                "headers": {"content-type": "text/event-stream", "vary": "x, y"},
                "cookies": ["a=1"],
            },
        ),
    ],
    ids=["1.0", "2.0"],
)
async def test_parts_leave_as_they_are_sent(api: FakeRuntimeApi, event: Any, head: dict[str, Any]) -> None:
    """The head has the form of the event's version; the second part waits for nobody but the application."""
    go_on = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        await send(body(b"data: 1\n\n"))
        await go_on.wait()
        await send(body(b"data: 2\n\n", more=False))

    async with running_slots(api, streaming(app)):
        pending = api.invoke(event)
        assert [await pending.parts.get() for _ in range(3)][1:] == [bytes(8), b"data: 1\n\n"]
        go_on.set()
        posted = await pending
    assert posted.request.headers["content-type"] == "application/vnd.awslambda.http-integration-response"
    assert read(posted) == (head, b"data: 1\n\ndata: 2\n\n")


async def test_an_empty_body(api: FakeRuntimeApi) -> None:
    """Status and headers alone are a response."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start(204))
        await send(body(b"", more=False))

    async with running_slots(api, streaming(app)):
        prelude, rest = read(await api.invoke(V1))
    assert (prelude["statusCode"], rest) == (204, b"")


async def failing(scope: Scope, receive: Receive, send: Send) -> None:
    """Fails at once."""
    raise LookupError("no such photo")


async def silent(scope: Scope, receive: Receive, send: Send) -> None:
    """Return without a response."""


async def failing_half_way(scope: Scope, receive: Receive, send: Send) -> None:
    """Fails after a part."""
    await send(start())
    await send(body(b"part"))
    raise LookupError("lost")


async def breaking_off(scope: Scope, receive: Receive, send: Send) -> None:
    """Return after a part."""
    await send(start())
    await send(body(b"part"))


@pytest.mark.parametrize(
    ("app", "message"),
    [(failing, "no such photo"), (silent, "the ASGI application returned without a whole response")],
    ids=["raises", "returns"],
)
async def test_failures_before_the_response(api: FakeRuntimeApi, app: Application, message: str) -> None:
    """No client has seen anything: an ordinary failure."""
    async with running_slots(api, streaming(app)):
        posted = await api.invoke(V1)
    assert (posted.kind, posted.json()["errorMessage"]) == ("error", message)


@pytest.mark.parametrize(
    ("app", "message"),
    [(failing_half_way, "lost"), (breaking_off, "the ASGI application returned without a whole response")],
    ids=["raises", "returns"],
)
async def test_failures_half_way(api: FakeRuntimeApi, app: Application, message: str) -> None:
    """The trailers say why the body is not whole."""
    async with running_slots(api, streaming(app)):
        posted = await api.invoke(V1)
    assert posted.request.parts[2:] == (b"part",)
    assert posted.failure["errorMessage"] == message


async def test_a_failure_after_the_response_is_logged(api: FakeRuntimeApi, caplog: pytest.LogCaptureFixture) -> None:
    """What is whole stays whole, as without streaming."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        await send(body(b"whole", more=False))
        raise LookupError("in the background")

    async with running_slots(api, streaming(app)):
        posted = await api.invoke(V1)
    assert (posted.failure, read(posted)[1]) == (None, b"whole")
    assert "application_failed" in caplog.messages


async def test_the_deadline_cancels_the_application(api: FakeRuntimeApi) -> None:
    """In the middle of a body; the application may clean up."""
    begun, cleaned = asyncio.Event(), asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        await send(body(b"part"))
        begun.set()
        try:
            await receive()
            await receive()
        finally:
            cleaned.set()

    async with running_slots(api, streaming(app)):
        posted = await cut_off(api, begun, V1)
    assert posted.failure["errorType"] == "Runtime.DeadlineExceeded"
    assert cleaned.is_set()


async def test_send_waits_for_the_part_before(api: FakeRuntimeApi) -> None:
    """At most one part is kept: a receiver that stops stops the application."""
    sent = 0

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal sent
        await send(start())
        for _ in range(400):
            await send(body(bytes(64 * 1024)))
            sent += 1
        await send(body(b"", more=False))

    async with running_slots(api, streaming(app)):
        pending = api.invoke(V1)
        await pending.parts.get()
        pending.reading.clear()
        before = -1
        while before != sent:
            before = sent
            for _ in range(1000):
                await asyncio.sleep(0)
        assert sent < 400
        pending.reading.set()
        assert len(read(await pending)[1]) == 400 * 64 * 1024
