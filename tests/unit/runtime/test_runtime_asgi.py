"""Web applications behind API Gateway: a bare ASGI one and FastAPI's."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from fastapi import APIRouter, BackgroundTasks, FastAPI, Request, Response
from fastapi.responses import StreamingResponse
from runtime_slots import cut_off, running_slots, soon

from workers.runtime.asgi import AsgiHandler, Receive, Scope, Send, asgi_handler
from workers.runtime.asgi_exchange import Message
from workers.runtime.context import Context
from workers.runtime.errors import LifespanFailed
from workers.runtime.testing import FakeRuntimeApi


def event(
    method: str = "GET", path: str = "/", *, version: int = 1, body: bytes = b"", query: str = ""
) -> dict[str, Any]:
    """Make a proxy event of either version."""
    sent = {"body": base64.b64encode(body).decode(), "isBase64Encoded": True}
    if version == 1:
        parameters: dict[str, list[str]] = {}
        for pair in filter(None, query.split("&")):
            name, _, value = pair.partition("=")
            parameters.setdefault(name, []).append(value)
        many = {"Host": ["shop.example"], "Content-Type": ["application/json"]}
        return {
            "httpMethod": method,
            "path": path,
            "multiValueHeaders": many,
            "multiValueQueryStringParameters": parameters or None,
            "requestContext": {"authorizer": {"tenant": "blue"}},
            **sent,
        }
    return {
        "version": "2.0",
        "rawPath": path,
        "rawQueryString": query,
        "headers": {"host": "shop.example", "content-type": "application/json"},
        "requestContext": {"http": {"method": method}, "authorizer": {"tenant": "blue"}},
        **sent,
    }


router = APIRouter()


@router.get("/items")
async def items(request: Request, tag: str, response: Response) -> dict[str, Any]:
    """Return what a handler can see."""
    response.set_cookie("a", "1")
    response.set_cookie("b", "2")
    return {
        "tags": request.query_params.getlist("tag"),
        "state": request.state.resource,
        "tenant": request.scope["aws.event"]["requestContext"]["authorizer"]["tenant"],
        "request_id": request.scope["aws.context"].aws_request_id,
        "url": str(request.url),
    }


@router.post("/echo")
async def echo(request: Request) -> Response:
    """Return the body."""
    return Response(await request.body(), media_type="application/octet-stream")


@router.get("/stream")
async def stream() -> StreamingResponse:
    """Return a body in parts."""

    async def parts() -> AsyncIterator[bytes]:
        for number in range(3):
            await asyncio.sleep(0)
            yield b"%d," % number

    return StreamingResponse(parts(), media_type="text/csv")


@router.get("/background")
async def background(request: Request, tasks: BackgroundTasks) -> str:
    """Run a task after the response."""
    tasks.add_task(request.app.state.journal.append, "background")
    return "done"


@router.get("/boom")
async def boom() -> None:
    """Raise an error."""
    raise ValueError("boom")


@router.get("/slow")
async def slow() -> None:
    """No response."""
    await asyncio.Event().wait()


@router.get("/stays")
async def stays(request: Request, tasks: BackgroundTasks) -> str:
    """Return a whole response, and run a task without end, which tells that it began."""

    async def stay() -> None:
        request.app.state.staying.set()
        await asyncio.Event().wait()

    tasks.add_task(stay)
    return "whole"


def make_app() -> FastAPI:
    """Make a small application that uses what real ones use."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
        app.state.journal.append("startup")
        yield {"resource": "open"}
        app.state.journal.append("shutdown")

    app = FastAPI(lifespan=lifespan)
    app.state.journal = []
    app.state.staying = asyncio.Event()
    app.include_router(router)
    return app


@pytest.fixture
async def handler() -> AsyncIterator[AsgiHandler]:
    """Return the application with its lifespan open."""
    handler = asgi_handler(make_app())
    async with handler.lifespan():
        yield handler


@pytest.mark.parametrize("version", [1, 2])
async def test_fastapi_request(handler: AsgiHandler, version: int) -> None:
    """Repeated parameters, cookies, lifespan state, event and context all arrive."""
    context = Context(aws_request_id="r-1")
    response = await handler(event("GET", "/items", version=version, query="tag=x&tag=y"), context)
    assert response["statusCode"] == 200
    assert json.loads(response["body"]) == {
        "tags": ["x", "y"],
        "state": "open",
        "tenant": "blue",
        "request_id": "r-1",
        "url": "https://shop.example/items?tag=x&tag=y",
    }
    cookies = response["multiValueHeaders"]["set-cookie"] if version == 1 else response["cookies"]
    assert [cookie.partition(";")[0] for cookie in cookies] == ["a=1", "b=2"]


@pytest.mark.parametrize("version", [1, 2])
async def test_binary_there_and_back(handler: AsgiHandler, version: int) -> None:
    """Bytes that are no text come back as they went."""
    response = await handler(event("POST", "/echo", version=version, body=bytes(range(256))), Context())
    assert response["isBase64Encoded"] is True
    assert base64.b64decode(response["body"]) == bytes(range(256))


async def test_streamed_body_is_collected(handler: AsgiHandler) -> None:
    """A response in parts is one body; waiting for a disconnect does not cut it."""
    assert (await handler(event(path="/stream"), Context()))["body"] == "0,1,2,"


async def test_validation_and_not_found(handler: AsgiHandler) -> None:
    """The application's own errors are responses, not failures."""
    assert (await handler(event(path="/items"), Context()))["statusCode"] == 422
    assert (await handler(event(path="/nowhere"), Context()))["statusCode"] == 404


async def test_background_tasks_end_before_the_response() -> None:
    """Lambda may freeze the process as soon as it has its response."""
    app = make_app()
    handler = asgi_handler(app)
    async with handler.lifespan():
        await handler(event(path="/background"), Context())
        assert app.state.journal == ["startup", "background"]


async def test_failure_after_the_response_is_logged(handler: AsgiHandler, caplog: pytest.LogCaptureFixture) -> None:
    """Starlette responds with 500 and raises again: the client gets the 500."""
    response = await handler(event(path="/boom"), Context())
    assert response["statusCode"] == 500
    assert "application_failed" in caplog.messages


async def test_lifespan_runs_once(api: FakeRuntimeApi) -> None:
    """Startup before the first request, shutdown after the last, and no more."""
    app = make_app()
    handler = asgi_handler(app)
    async with handler.lifespan(), running_slots(api, handler, slots=2):
        for _ in range(3):
            assert (await api.invoke(event(path="/background"))).json()["statusCode"] == 200
    assert app.state.journal == ["startup", *["background"] * 3, "shutdown"]


async def test_deadline_cancels_the_application(api: FakeRuntimeApi) -> None:
    """A request that takes too long ends as the deadline's failure, a whole response is sent all the same."""
    app = make_app()
    handler = asgi_handler(app)
    async with handler.lifespan(), running_slots(api, handler):
        posted = await api.invoke(event(path="/slow"), deadline_ms=soon(0.1))
        assert posted.json()["errorType"] == "Runtime.DeadlineExceeded"
        posted = await cut_off(api, app.state.staying, event(path="/stays"))
        assert (posted.kind, posted.json()["body"]) == ("response", '"whole"')


async def bare_app(scope: Scope, receive: Receive, send: Send) -> None:
    """Show the scope, as an application without lifespan."""
    assert scope["type"] == "http"
    request = await receive()
    shown = f"{scope['method']} {scope['root_path']} {scope['path']} {scope['raw_path'].decode()} {scope['client']}"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": shown.encode(), "more_body": True})
    await send({"type": "http.response.body", "body": request["body"]})
    assert await receive() == {"type": "http.disconnect"}


async def test_no_disconnect_before_the_response() -> None:
    """Who listens for a disconnect while it works, as streaming responses do, must not hear of one."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        listening = asyncio.ensure_future(receive())
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"part", "more_body": True})
        for _ in range(100):
            await asyncio.sleep(0)
        assert not listening.done()
        await send({"type": "http.response.body"})
        assert await listening == {"type": "http.disconnect"}

    assert (await asgi_handler(app)(event(), Context()))["statusCode"] == 200


async def test_application_without_lifespan() -> None:
    """Who raises on the lifespan scope simply has none; the disconnect follows the response."""
    handler = asgi_handler(bare_app)
    async with handler.lifespan():
        response = await handler(event("PUT", "/a/b", body=b"!"), Context())
    assert response["body"] == "PUT  /a/b /a/b None!"


@pytest.mark.parametrize("path", ["/files", "/prod/files"])
async def test_base_path(path: str) -> None:
    """With the stage in the path or without, the application gets both paths as ASGI has them."""
    response = await asgi_handler(bare_app, base_path="/prod")(event(path=path), Context())
    assert response["body"] == "GET /prod /prod/files /prod/files None"


async def test_failed_startup() -> None:
    """The application's reason is the start's failure."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    with pytest.raises(LifespanFailed, match="no database"):
        async with asgi_handler(app).lifespan():
            pass


async def test_failed_shutdown() -> None:
    """A failing shutdown is reported, too."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.failed"})

    with pytest.raises(LifespanFailed, match="shutdown failed: no reason given"):
        async with asgi_handler(app).lifespan():
            pass


@pytest.mark.parametrize(
    "messages",
    [
        [],
        [{"type": "http.response.start", "status": 200}],
        [{"type": "http.response.body"}],
        [{"type": "http.response.start", "status": 200}] * 2,
        [{"type": "websocket.accept"}],
    ],
)
async def test_broken_applications_fail(messages: list[Message]) -> None:
    """Half a response, or messages out of order, are a failure and never an empty 200."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for message in messages:
            await send(message)

    with pytest.raises(RuntimeError, match="ASGI"):
        await asgi_handler(app)(event(), Context())


async def test_error_before_the_response_is_the_handlers() -> None:
    """An application that raises without a response fails its invocation."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise LookupError("nothing here")

    with pytest.raises(LookupError, match="nothing here"):
        await asgi_handler(app)(event(), Context())
