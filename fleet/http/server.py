"""uvicorn inside our own loop: no signal handlers, a socket that is already bound, an end that waits for nobody."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

import uvicorn

from fleet.http.asgi import App

_OPTIONS: dict[str, Any] = {
    "lifespan": "off",
    "http": "httptools",  # h11 drops trailers, in which a streaming runtime says that it has failed
    "ws": "none",
    "log_config": None,
    "access_log": False,
    "server_header": False,
    "date_header": False,
    "proxy_headers": False,
    "timeout_keep_alive": 75,  # seconds; clients and environments reuse their connections
    "backlog": 2048,
}


class _Uvicorn(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """The program that runs the fleet handles signals."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()


class Server:
    """Serves `app` on `sock`; an async context manager. At its end open requests have `seconds` to finish."""

    def __init__(self, app: App, sock: socket.socket, *, seconds: float = 1) -> None:
        self._sock = sock
        self._config = uvicorn.Config(app, **_OPTIONS, timeout_graceful_shutdown=max(1, round(seconds)))
        self._server = _Uvicorn(self._config)
        self._task: asyncio.Task[None] | None = None

    async def also_serve(self, app: App, sock: socket.socket) -> asyncio.Server:
        """Serve another application on another socket, until the caller closes what this returns."""
        config = uvicorn.Config(app, **_OPTIONS)
        config.load()
        loop = asyncio.get_running_loop()
        state = self._server.server_state

        def connect() -> asyncio.Protocol:
            make: Any = config.http_protocol_class
            protocol: asyncio.Protocol = make(config=config, server_state=state, app_state={}, _loop=loop)
            return protocol

        return await loop.create_server(connect, sock=sock)

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
