"""An HTTP request as the gateway handles it, read from ASGI."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime

from fleet.http.asgi import Scope, header
from fleet.http.trace import trace_id_of

HEADER_BYTES = 10_240  # API Gateway quotas: total combined size of request line and header values
BODY_BYTES = 10 * 1024 * 1024  # API Gateway quotas: payload size


@dataclass(frozen=True, slots=True)
class GatewayRequest:
    """One request: `path` percent-decoded, `raw_path` as it came; header names in lower case."""

    method: str
    path: str
    raw_path: str
    query: str
    headers: list[tuple[str, str]]
    source_ip: str
    host: str
    protocol: str
    trace_id: str
    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    received: datetime = field(default_factory=lambda: datetime.now(UTC))

    def header(self, name: str) -> str:
        """A header's first value, or ""; `name` in lower case."""
        return next((value for key, value in self.headers if key == name), "")

    @property
    def header_bytes(self) -> int:
        """Size of request line and headers as API Gateway counts it."""
        line = len(self.method) + len(self.raw_path) + len(self.query)
        return line + sum(len(name) + len(value) for name, value in self.headers)


def request_of(scope: Scope) -> GatewayRequest:
    """The request of an ASGI scope."""
    client = scope.get("client") or ("127.0.0.1", 0)
    return GatewayRequest(
        method=scope["method"],
        path=scope["path"],
        raw_path=scope["raw_path"].decode("latin-1"),
        query=scope["query_string"].decode("latin-1"),
        headers=[(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]],
        source_ip=client[0],
        host=header(scope, b"host"),
        protocol=f"HTTP/{scope['http_version']}",
        trace_id=trace_id_of(header(scope, b"x-amzn-trace-id")),
    )
