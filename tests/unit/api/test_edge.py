"""The outer layer and the problems: whatever happens, the response is a problem that says no more than it should."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import httpx
import pytest
import structlog
import structlog.testing
from fastapi import FastAPI
from starlette.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from api.edge import MAX_BODY, Edge
from api.problems import add_handlers, field_errors
from shoebox.aws.errors import AwsRefused
from shoebox.errors import Conflict, Forbidden, Invalid, NotFound, ShoeboxError, Unauthorized, Unavailable
from workers.runtime.context import Context

REQUEST_ID = "7d3a1f0e-7a43-4c35-9c9e-2f9f6f0f8a11"
SECRET = "secret-of-the-house"


class Lambda(httpx.ASGITransport):
    """Requests as the adapter makes them: with a context in the scope."""

    def __init__(self, app: Any) -> None:
        async def with_context(scope: Scope, receive: Receive, send: Send) -> None:
            await app({**scope, "aws.context": Context(aws_request_id=REQUEST_ID)}, receive, send)

        super().__init__(app=with_context)


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return what is logged, as it would be before it becomes text."""
    capture = structlog.testing.LogCapture()
    logger = structlog.wrap_logger(None, processors=[structlog.contextvars.merge_contextvars, capture])
    monkeypatch.setattr("api.edge._log", logger)
    monkeypatch.setattr("api.problems._log", logger)
    return capture.entries


def raising(error: BaseException) -> FastAPI:
    """Return an application whose only route raises."""
    app = FastAPI(openapi_url=None)

    @app.get("/x")
    async def route() -> None:
        raise error

    add_handlers(app, app.routes)
    app.add_middleware(Edge)
    return app


async def ask(app: Any, path: str = "/x", **request: Any) -> httpx.Response:
    """Return the response to one request."""
    async with httpx.AsyncClient(transport=Lambda(app), base_url="http://api.test") as client:
        return await client.request(request.pop("method", "GET"), path, **request)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (NotFound("gone"), 404),
        (Forbidden("no"), 403),
        (Unauthorized("who", code="token_expired"), 401),
        (Invalid("wrong", code="too_many_files"), 422),
        (Conflict("not now"), 409),
        (Unavailable("later"), 503),
    ],
)
async def test_the_domains_errors_become_problems(error: ShoeboxError, status: int) -> None:
    """Code, status and public text of an error are the response, in RFC 9457's form, never cached."""
    response = await ask(raising(error))

    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["cache-control"] == "no-store"
    assert response.json() == {
        "type": "about:blank",
        "title": response.json()["title"],
        "status": status,
        "detail": error.detail,
        "code": error.code,
        "instance": f"urn:uuid:{REQUEST_ID}",
    }
    assert ("retry-after" in response.headers) == (status == 503)
    assert ("www-authenticate" in response.headers) == (status == 401)


@pytest.mark.parametrize(
    "error", [RuntimeError(SECRET), KeyError(SECRET), AwsRefused("AccessDeniedException", SECRET, 400)]
)
async def test_a_fault_of_ours_says_nothing(error: Exception, log: list[Any]) -> None:
    """A bug or a missing permission is a 500 with a request id and no cause; the log has it."""
    response = await ask(raising(error))

    assert (response.status_code, response.json()["code"]) == (500, "internal")
    assert SECRET not in response.text
    assert type(error).__name__ not in response.text
    assert response.json()["instance"] == f"urn:uuid:{REQUEST_ID}"
    assert {entry["request_id"] for entry in log} == {REQUEST_ID}
    assert {entry["log_level"] for entry in log} == {"error", "info"}


async def test_a_passing_fault_behind_us_may_be_tried_again() -> None:
    """Throttles, time-outs and 5xx of AWS, which a store calls Unavailable, are 503 with Retry-After."""
    response = await ask(raising(Unavailable("A part behind the API is busy; try again shortly.")))

    assert (response.status_code, response.json()["code"]) == (503, "unavailable")
    assert response.headers["retry-after"] == "1"


async def test_unknown_addresses_and_methods_are_problems_too() -> None:
    """404 and 405 have the same form, and 405 tells what is allowed."""
    nowhere, method = await ask(raising(NotFound("x")), "/y"), await ask(raising(NotFound("x")), method="PATCH")

    assert (nowhere.status_code, nowhere.json()["code"]) == (404, "not_found")
    assert (method.status_code, method.json()["code"]) == (405, "method_not_allowed")
    assert method.headers["allow"] == "GET, HEAD"


async def test_a_fault_after_the_answer_began_is_not_hidden() -> None:
    """Half a response cannot be taken back: the fault goes on to whoever runs the application."""

    async def half() -> Any:
        yield b"half"
        raise RuntimeError(SECRET)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await StreamingResponse(half())(scope, receive, send)

    with pytest.raises(RuntimeError, match=SECRET):
        await ask(Edge(app))


@pytest.mark.parametrize(("size", "status"), [(0, 200), (MAX_BODY, 200), (MAX_BODY + 1, 413)])
async def test_a_body_is_limited_however_it_comes(size: int, status: int) -> None:
    """At once or in pieces, with a length or without, a byte more than 1 MiB is refused; less arrives whole."""
    arrived: list[bytes] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        message = await receive()
        assert not message["more_body"]
        arrived.append(message["body"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def pieces() -> Any:
        for start in range(0, size, 65_536):
            yield b"x" * min(65_536, size - start)

    for content in (b"x" * size, pieces()):
        response = await ask(Edge(app), method="POST", content=content)
        assert response.status_code == status
    assert arrived == ([b"x" * size] * 2 if status == 200 else [])


async def test_answers_carry_safe_headers_unless_they_have_their_own() -> None:
    """Nothing is sniffed, framed or cached by accident; a page may set its own policy."""

    def app_with(*headers: tuple[bytes, bytes]) -> Callable[..., Any]:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": list(headers)})
            await send({"type": "http.response.body", "body": b""})

        return app

    plain = await ask(Edge(app_with()))
    own = await ask(Edge(app_with((b"cache-control", b"no-cache"))))

    assert plain.headers["x-content-type-options"] == "nosniff"
    assert plain.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert plain.headers["cache-control"] == "no-store"
    assert own.headers.get_list("cache-control") == ["no-cache"]


async def test_a_request_without_a_sound_id_gets_one() -> None:
    """Outside Lambda each response still has its own instance."""
    app = raising(NotFound("x"))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://api.test") as client:
        instances = {(await client.get("/x")).json()["instance"] for _ in range(2)}

    assert len(instances) == 2
    assert all(uuid.UUID(instance.removeprefix("urn:uuid:")) for instance in instances)


async def test_a_lifespan_passes_through() -> None:
    """The edge is for requests only."""
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["type"])

    async def receive() -> Message:
        return {"type": "lifespan.startup"}

    async def send(_: Message) -> None:
        return None

    await Edge(app)({"type": "lifespan"}, receive, send)
    assert seen == ["lifespan"]


def test_field_errors_are_pointers_without_values() -> None:
    """RFC 6901 escapes, half surrogates replaced, and twenty at most."""
    errors = [{"loc": ("body", "a/b~c", 0, "\ud800"), "msg": "wrong"}] * 30
    found = field_errors(errors)

    assert len(found) == 20
    assert (found[0].location, found[0].pointer) == ("body", "/a~1b~0c/0/?")
