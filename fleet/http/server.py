"""uvicorn inside our own loop: no signal handlers, a socket that is already bound, and a bounded shutdown.

Every server keeps `fleet.http.limits`, and refuses web pages (`fleet.http.guard`) unless it is told otherwise.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from types import TracebackType
from typing import Any, Self

import uvicorn

from fleet.http.asgi import SAFE, App, Response, json_response
from fleet.http.guard import BrowserGuard
from fleet.http.limits import PROGRAMS, RequestLimits
from fleet.http.protocol import (
    BAD_REQUEST,
    HEADERS_TOO_LARGE,
    REQUEST_TIMEOUT,
    TOO_MANY_CONNECTIONS,
    LimitedProtocol,
    Refuse,
)

_OPTIONS: dict[str, Any] = {
    "lifespan": "off",
    "ws": "none",
    "log_config": None,
    "access_log": False,
    "server_header": False,
    "date_header": False,
    "proxy_headers": False,
    "backlog": 2048,
}
_REFUSALS = {
    BAD_REQUEST: json_response(400, {"message": "The request is malformed."}, SAFE),
    REQUEST_TIMEOUT: json_response(408, {"message": "The request took too long to come."}, SAFE),
    HEADERS_TOO_LARGE: json_response(431, {"message": "The request's headers are too large."}, SAFE),
    TOO_MANY_CONNECTIONS: json_response(503, {"message": "Too many connections are open."}, SAFE),
}
_TICKS_PER_SECOND = 10  # of uvicorn's main loop


def refuse(kind: str) -> Response:
    """Return the response to a request that is refused before any application sees it."""
    return _REFUSALS[kind]


def limited(limits: RequestLimits, refuse: Refuse = refuse) -> Any:
    """Return uvicorn's `http`: it makes a protocol for each connection, as a class would."""
    return partial(LimitedProtocol, limits=limits, refuse=refuse)


class LimitedServer(uvicorn.Server):
    """A server of such protocols."""

    async def on_tick(self, counter: int) -> bool:
        """Let a second pass with every tenth call of the main loop, which calls ten times a second."""
        # A loop that was held up counts less, in favour of the clients.
        if counter % _TICKS_PER_SECOND == 0:
            self.tick(1.0)
        return await super().on_tick(counter)

    def tick(self, seconds: float) -> None:
        """Let `seconds` pass for all connections."""
        connections: list[Any] = list(self.server_state.connections)
        for connection in connections:
            connection.tick(seconds)


class _Uvicorn(LimitedServer):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the program that runs the fleet."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()


class Server:
    """Serves `app` on `sock`; an async context manager. At its end open requests have `seconds` to finish.

    `pages`: web pages may use it. `refuse` makes the response to what no application sees.
    """

    def __init__(
        self,
        app: App,
        sock: socket.socket,
        *,
        seconds: float = 1,
        limits: RequestLimits = PROGRAMS,
        refuse: Refuse = refuse,
        pages: bool = False,
    ) -> None:
        self._sock = sock
        self._protocol = limited(limits, refuse)
        guarded = app if pages else BrowserGuard(app, sock.getsockname()[0])
        self._config = self._configure(guarded, timeout_graceful_shutdown=max(1, round(seconds)))
        self._server = _Uvicorn(self._config)
        self._task: asyncio.Task[None] | None = None

    def _configure(self, app: App, **options: Any) -> uvicorn.Config:
        return uvicorn.Config(app, http=self._protocol, **_OPTIONS, **options)

    async def also_serve(self, app: App, sock: socket.socket) -> asyncio.Server:
        """Serve another application on another socket, until the caller closes what this returns; not to web pages."""
        config = self._configure(BrowserGuard(app, sock.getsockname()[0]))
        config.load()
        loop = asyncio.get_running_loop()
        state = self._server.server_state

        def connect() -> asyncio.Protocol:
            make: Any = config.http_protocol_class
            protocol: asyncio.Protocol = make(config=config, server_state=state, app_state={}, _loop=loop)
            return protocol

        return await loop.create_server(connect, sock=sock)

    def tick(self, seconds: float) -> None:
        """Let `seconds` pass for the limits of all connections; it happens by itself once a second."""
        self._server.tick(seconds)

    @property
    def port(self) -> int:
        """The port that it listens on."""
        port: int = self._sock.getsockname()[1]
        return port

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._server.serve(sockets=[self._sock]))
        await self._server.listening.wait()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        assert self._task is not None
        self._server.should_exit = True
        await self._task
        self._sock.close()
