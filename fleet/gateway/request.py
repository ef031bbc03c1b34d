"""An HTTP request as the gateway handles it, read from ASGI."""

from __future__ import annotations

import base64
import os
from dataclasses import dataclass, field
from datetime import UTC, datetime

from fleet.http.asgi import Scope, header
from fleet.http.trace import trace_id_of

# "Amazon API Gateway quotas"
MAX_HEADER_BYTES = 10_240  # of all headers together; with an HTTP API the request line counts as well
MAX_URL_CHARACTERS = 10_240  # of a regional REST API's URL
MAX_BODY_BYTES = 10 * 1024 * 1024  # payload size


def new_request_id() -> str:
    """Return an id in the form of a version 4 UUID, as REST APIs give."""
    # `uuid.uuid4` costs three times as much.
    digits = os.urandom(16).hex()
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"


def new_extended_id() -> str:
    """Return an id in the form of `JKJaXmPLvHcESHA=`: a REST API's extended request id, an HTTP API's request id."""
    return base64.b64encode(os.urandom(11)).decode()


@dataclass(frozen=True, slots=True)
class GatewayRequest:
    """One request: `path` percent-decoded, `raw_path` as it came; header names in lower case, in their order."""

    method: str
    path: str
    raw_path: str
    query: str
    headers: list[tuple[str, str]]
    source_ip: str
    host: str
    protocol: str
    trace_id: str
    request_id: str = field(default_factory=new_request_id)
    received: datetime = field(default_factory=lambda: datetime.now(UTC))
    extended_id: str = field(default_factory=new_extended_id)
    _first: dict[str, str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_first", dict(reversed(self.headers)))

    def header(self, name: str) -> str:
        """Return a header's first value, or ""; `name` in lower case."""
        return self._first.get(name, "")

    @property
    def header_bytes(self) -> int:
        """Size of all headers, names and values."""
        return sum([len(name) + len(value) for name, value in self.headers])

    @property
    def line_bytes(self) -> int:
        """Size of the request line: method, target, protocol, and the blanks between."""
        return len(self.method) + self.url_characters + len(self.protocol) + 2

    @property
    def url_characters(self) -> int:
        """Length of the path and query, as they came."""
        return len(self.raw_path) + (len(self.query) + 1 if self.query else 0)


def request_of(scope: Scope, kind: str = "rest") -> GatewayRequest:
    """Read the request of an ASGI scope; `kind` is the flavour of the API, rest or http, whose ids it gets."""
    client = scope.get("client") or ("127.0.0.1", 0)
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
    extended_id = new_extended_id()
    return GatewayRequest(
        method=scope["method"],
        path=scope["path"],
        raw_path=scope["raw_path"].decode("latin-1"),
        query=scope["query_string"].decode("latin-1"),
        headers=headers,
        source_ip=client[0],
        host=header(scope, b"host"),
        protocol=f"HTTP/{scope['http_version']}",
        trace_id=trace_id_of(header(scope, b"x-amzn-trace-id")),
        request_id=new_request_id() if kind == "rest" else extended_id,
        extended_id=extended_id,
    )


def oversize(request: GatewayRequest, kind: str) -> str | None:
    """Return the response type of a request that is too large before its body, or None."""
    # AWS speaks of "header values"; names count here as well.
    if kind == "http":
        return "HEADERS_TOO_LARGE" if request.line_bytes + request.header_bytes > MAX_HEADER_BYTES else None
    if request.url_characters > MAX_URL_CHARACTERS:
        return "URI_TOO_LONG"
    return "HEADERS_TOO_LARGE" if request.header_bytes > MAX_HEADER_BYTES else None
