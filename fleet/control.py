"""What the control port serves: the Runtime API, Invoke, metrics, quotas, and the fleet's health."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import asdict

from fleet.environments.runtime_api import PREFIX as RUNTIME
from fleet.http.asgi import JSON, App, Receive, Response, Scope, Send, json_response, respond
from fleet.invoke import PREFIX as INVOKE
from fleet.invoke import STREAM_PREFIX as INVOKE_STREAM
from fleet.limit_registry import LimitRegistry
from fleet.metrics import METRICS_TYPE, Metrics
from fleet.queues.depths import Depths
from fleet.statistics import FleetStatistics


class Control:
    """The control port's application."""

    def __init__(
        self,
        *,
        runtime: App,
        invoke: App,
        metrics: Metrics,
        statistics: Callable[[], FleetStatistics],
        limits: LimitRegistry,
        depths: Depths | None = None,
    ) -> None:
        self._runtime = runtime
        self._invoke = invoke
        self._metrics = metrics
        self._statistics = statistics
        self._limits = limits
        self._depths = depths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        # The server refuses web pages: none may invoke functions on its reader's machine (fleet.http.guard).
        path: str = scope["path"]
        if path.startswith(RUNTIME):
            await self._runtime(scope, receive, send)
        elif path.startswith((INVOKE, INVOKE_STREAM)):
            await self._invoke(scope, receive, send)
        else:
            await respond(send, await self._respond(path))

    async def _respond(self, path: str) -> Response:
        match path:
            case "/quotas":
                return Response(200, await self._limits.document(), JSON)
            case "/metrics":
                refreshing = [self._limits.refresh(), *([self._depths.refresh()] if self._depths else [])]
                await asyncio.gather(*refreshing)
                return Response(200, self._metrics.exposition(), [METRICS_TYPE])
            case "/healthz":
                # 200 while the fleet runs; `degraded` when a mapping cannot reach its queue.
                statistics = self._statistics()
                degraded = any(mapping.last_error for mapping in statistics.mappings)
                return json_response(200, {"status": "degraded" if degraded else "ok", **asdict(statistics)})
        return json_response(404, {"message": "Not found"})
