"""Web applications behind API Gateway: ASGI 3 in, proxy events of both versions out.

    handler = asgi_handler(app)

The application's lifespan runs once a process. The response is sent when the application has returned, so that its
background tasks, too, end before Lambda may freeze the process. The deadline cancels the application; a response
that is whole by then is sent all the same. `asgi_handler(app, streaming=True)` sends it as it is made instead.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any

from workers.runtime.asgi_exchange import Message, StreamingExchange, WholeExchange, headers_of
from workers.runtime.context import Context
from workers.runtime.errors import LifespanFailed
from workers.runtime.gateway import GatewayRequest, GatewayResponse
from workers.runtime.lifespan import LifespanHandler
from workers.runtime.streaming import StreamingResponse

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

_ASGI = {"version": "3.0", "spec_version": "2.4"}
_log = logging.getLogger("runtime.asgi")


def asgi_handler(app: Application, *, base_path: str = "", streaming: bool = False) -> AsgiHandler:
    """Make a Lambda handler of `app`.

    `base_path`, such as `/prod`, is a stage or base path mapping that the application should know as its
    `root_path`. The scope holds the event as `aws.event` and the context as `aws.context`. With `streaming` the
    response is sent as it is made, which only function URLs (RESPONSE_STREAM) and REST APIs (STREAM) understand.
    """
    return (StreamingAsgiHandler if streaming else AsgiHandler)(app, base_path=base_path)


class AsgiHandler(LifespanHandler):
    """Turns proxy events into ASGI requests. Without an open lifespan it runs the application without one."""

    def __init__(self, app: Application, *, base_path: str = "") -> None:
        self._app = app
        self._base_path = base_path.rstrip("/")
        self._state: dict[str, Any] = {}

    async def __call__(self, event: Any, context: Context) -> Any:
        """Handle one request. Raises what the application raises before its response is whole."""
        request = GatewayRequest.of(event)
        exchange = WholeExchange(request.body)
        scope = self._scope(request, event, context)
        try:
            await self._app(scope, exchange.receive, exchange.send)
        except (Exception, asyncio.CancelledError):
            if not exchange.complete:
                raise
            _log.exception("application_failed", extra={"reason": "after its response was whole"})
        return exchange.response().proxy_response(request)

    def lifespan(self) -> AbstractAsyncContextManager[None]:
        """Return the application's own lifespan. Raises LifespanFailed."""
        return run_lifespan(self._app, self._state)

    def _scope(self, request: GatewayRequest, event: Any, context: Context) -> dict[str, Any]:
        has_prefix = f"{request.path}/".startswith(f"{self._base_path}/")
        prefix = "" if has_prefix else self._base_path
        return {
            "type": "http",
            "asgi": _ASGI,
            "http_version": "1.1",
            "method": request.method,
            "scheme": request.scheme,
            "path": prefix + request.path,
            "raw_path": prefix.encode() + request.raw_path,
            "query_string": request.query,
            "root_path": self._base_path,
            "headers": request.headers,
            "client": (request.source_ip, 0) if request.source_ip else None,
            "server": request.server,
            "state": self._state.copy(),
            "aws.event": event,
            "aws.context": context,
        }


class StreamingAsgiHandler(AsgiHandler):
    """Returns a stream whose prelude is the response's head."""

    async def __call__(self, event: Any, context: Context) -> StreamingResponse:
        """Begin one request. Raises what the application raises before its response begins."""
        request = GatewayRequest.of(event)
        run = partial(self._app, self._scope(request, event, context))
        start, body = await StreamingExchange(request.body).start(run)
        head = GatewayResponse(start["status"], headers_of(start), b"").head(request)
        return StreamingResponse(body, prelude=head if request.version == "1.0" else {"cookies": [], **head})


@asynccontextmanager
async def run_lifespan(app: Application, state: dict[str, Any]) -> AsyncIterator[None]:
    """Start the application up, and shut it down at the end; one without lifespan support is left alone.

    The application fills `state`, of which every request gets a copy. Raises LifespanFailed.
    """
    lifespan = _Lifespan()
    scope: Scope = {"type": "lifespan", "asgi": _ASGI, "state": state}
    task = asyncio.create_task(lifespan.run(app, scope))
    try:
        await lifespan.run_phase("startup")
        yield
        await lifespan.run_phase("shutdown")
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class _Lifespan:
    """The events `lifespan.startup` and `lifespan.shutdown`, and how the application took them."""

    def __init__(self) -> None:
        self._events: asyncio.Queue[str] = asyncio.Queue()
        self._failures: asyncio.Queue[str | None] = asyncio.Queue()
        """One for each event; None: it was completed."""
        self._supported = True

    async def run(self, app: Application, scope: Scope) -> None:
        try:
            await app(scope, self._receive, self._send)
        except Exception as error:  # noqa: BLE001  # ASGI: an application that raises here has no lifespan
            _log.info("lifespan_skipped", extra={"reason": repr(error)})
        finally:
            self._supported = False
            self._failures.put_nowait(None)

    async def run_phase(self, phase: str) -> None:
        if not self._supported:
            return
        self._events.put_nowait(f"lifespan.{phase}")
        failure = await self._failures.get()
        if failure:
            raise LifespanFailed(f"the application's {phase} failed: {failure}")

    async def _receive(self) -> Message:
        return {"type": await self._events.get()}

    async def _send(self, message: Message) -> None:
        failed = message["type"].endswith(".failed")
        self._failures.put_nowait((message.get("message") or "no reason given") if failed else None)
