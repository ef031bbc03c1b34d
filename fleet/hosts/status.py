"""What a host serves about itself: /healthz for its container's health check, /metrics for Prometheus."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from fleet.hosts.host import Host
from fleet.http.asgi import Receive, Response, Scope, Send, json_response, respond
from fleet.metrics import METRICS_TYPE, environments_exposition


class HostStatus:
    """The application of a host's own port."""

    def __init__(self, host: Host, metrics_dir: Path) -> None:
        self._host = host
        self._metrics_dir = metrics_dir

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        await respond(send, self._answer(scope["path"]))

    def _answer(self, path: str) -> Response:
        match path:
            case "/healthz":
                state = self._host.state
                return json_response(200 if state.ready else 503, asdict(state))
            case "/metrics":
                return Response(200, environments_exposition(self._metrics_dir), [METRICS_TYPE])
        return json_response(404, {"message": "Not found"})
