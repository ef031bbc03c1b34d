"""A control port that tells what a test says, over HTTP, as the fleet's does."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

RECORDED = Path(__file__).with_name("recorded")
"""/metrics and /quotas of a stack after twenty photos, as `shoebox up` answered them."""


def limit(name: str = "s3.prefix_writes", subject: str = "photos/originals/", **changes: Any) -> dict[str, Any]:
    """One limit as /quotas tells it."""
    use = {"limit": name, "subject": subject, "used": 0, "peak": 0, "most": 100, "unit": "requests/s", "throttled": 0}
    return use | changes


@dataclass
class Told:
    """What the control port answers; a test changes it between two looks."""

    samples: dict[str, float] = field(default_factory=dict)
    limits: list[dict[str, Any]] = field(default_factory=list)
    metrics: bytes | None = None
    """Instead of the samples."""
    quotas: bytes | None = None
    status: int = 200
    before_answer: Callable[[], None] = lambda: None

    def answer(self, path: str) -> bytes:
        """Return the body for a path."""
        if path == "/quotas":
            return json.dumps({"quotas": {}, "limits": self.limits}).encode() if self.quotas is None else self.quotas
        if self.metrics is not None:
            return self.metrics
        return "".join(f"{name} {value}\n" for name, value in self.samples.items()).encode()


@contextmanager
def control_port(told: Told) -> Iterator[str]:
    """Serve until the end of the block, and yield the address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            told.before_answer()
            body = told.answer(self.path)
            self.send_response(told.status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
