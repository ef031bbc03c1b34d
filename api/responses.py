"""What routes send: JSON from models, compressed for who can read that, with the ETags that go with it."""

from __future__ import annotations

import re
from typing import Any

import orjson
from fastapi import Request
from fastapi.responses import Response
from starlette.datastructures import Headers
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import Receive, Scope, Send

MIN_COMPRESSED = 1400  # bytes: less fits into one packet as it is
# `./run bench compression`: 50 files are 163,480 bytes; level 3 makes 16,026 of them in 0.4 ms of CPU, level 6 makes
# 13,979 in 1.0 ms, level 9 makes 13,867 in 1.2 ms.
COMPRESSION_LEVEL = 6
_GZIP_REFUSED = re.compile(r"\bgzip\s*;\s*q=0(\.0*)?\s*(,|$)", re.IGNORECASE)


class Json(Response):
    """A response from a model, by orjson."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """Return the body of `content`, a model."""
        return orjson.dumps(content.model_dump())


class Compression(GZipMiddleware):
    """gzip for whoever accepts it; a weight of 0 means "not acceptable" (RFC 9110, 12.4.2), which Starlette ignores."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] == "http" and _GZIP_REFUSED.search(Headers(scope=scope).get("accept-encoding", "")):
            scope["headers"] = [pair for pair in scope["headers"] if pair[0] != b"accept-encoding"]
        await super().__call__(scope, receive, send)


def weak_etag(version: str) -> str:
    """Return the ETag of a content that is sent compressed or not.

    Two forms of one content may share a weak one only (RFC 9110, 8.8.3.3).
    """
    return f'W/"{version}"'


def not_modified(request: Request, headers: dict[str, str]) -> Response | None:
    """Return 304 with `headers` if the caller has what their `etag` names, by weak comparison (RFC 9110, 13.1.2)."""
    tags = [tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")]
    if headers["etag"].removeprefix("W/") not in tags and "*" not in tags:
        return None
    return Response(status_code=304, headers={**headers, "vary": "Accept-Encoding"})
