"""What the gateway answers: functions' answers mapped to HTTP, and its own refusals as problem details.

Sources: API Gateway, "Output format of a Lambda function for proxy integration", "Gateway responses"; RFC 9457.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any

import orjson

from fleet.http.asgi import Headers, Response
from shoebox.stack import GatewayResponse

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.6.2
_VALUE = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*")
_CONTEXT = re.compile(r"\$context\.authorizer\.(\w+)")
# API Gateway, "Important notes": these are renamed, or are the connection's own.
_REMAPPED = {"content-length", "date", "server", "www-authenticate"}
_DROPPED = {"connection", "transfer-encoding", "keep-alive", "upgrade"}

_DEFAULTS = {
    "HEADERS_TOO_LARGE": GatewayResponse(
        status=431,
        code="headers_too_large",
        title="Request Header Fields Too Large",
        detail="A request's line and headers may have 10,240 bytes.",
    ),
    "ACCESS_DENIED": GatewayResponse(
        status=403, code="access_denied", title="Forbidden", detail="Access to this address is denied."
    ),
    "DEFAULT_5XX": GatewayResponse(
        status=500, code="internal", title="Internal Server Error", detail="Something went wrong here; try again."
    ),
}


class MalformedResponse(ValueError):
    """A function's answer is not a proxy integration's; the gateway answers 502."""


class GatewayResponses:
    """The gateway's own answers, by API Gateway's response types; the stack shapes them."""

    def __init__(self, described: Mapping[str, GatewayResponse]) -> None:
        self._described = {**_DEFAULTS, **described}

    def refuse(self, kind: str, instance: str, context: Mapping[str, Any] | None = None) -> Response:
        """The answer of type `kind` about the path `instance`, filled in from an authorizer's context."""
        shape = self._described.get(kind) or self._described["DEFAULT_5XX"]
        spare = _DEFAULTS.get(kind, shape)
        problem = {
            "type": "about:blank",
            "title": shape.title,
            "status": shape.status,
            "detail": _fill(shape.detail, context) or spare.detail,
            "code": _fill(shape.code, context) or spare.code,
            "instance": instance,
        }
        headers: Headers = [(b"content-type", b"application/problem+json")]
        if shape.status == 401:
            headers.append((b"www-authenticate", b"Bearer"))
        return Response(shape.status, orjson.dumps(problem), headers)


def proxy_response(payload: bytes) -> Response:
    """The HTTP answer that a function gave.

    Raises:
        MalformedResponse: it lacks a status code or holds what HTTP cannot carry.
    """
    try:
        answer = orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        raise MalformedResponse("not JSON") from error
    if not isinstance(answer, dict):
        raise MalformedResponse("not an object")
    return Response(_status(answer), _body(answer), _headers(answer))


def _status(answer: dict[str, Any]) -> int:
    status = answer.get("statusCode")
    number = int(status) if isinstance(status, int) or (isinstance(status, str) and status.isdigit()) else 0
    if isinstance(status, bool) or not 200 <= number <= 599:
        raise MalformedResponse("statusCode is not an HTTP status")
    return number


def _body(answer: dict[str, Any]) -> bytes:
    body = answer.get("body")
    if body is None:
        return b""
    if not isinstance(body, str):
        raise MalformedResponse("body is not a string")
    if not answer.get("isBase64Encoded"):
        return body.encode()
    try:
        return base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError) as error:
        raise MalformedResponse("body is not Base64") from error


def _headers(answer: dict[str, Any]) -> Headers:
    """Headers of both maps; where both name a header, `multiValueHeaders` counts."""
    single, several = ({} if answer.get(key) is None else answer[key] for key in ("headers", "multiValueHeaders"))
    if not isinstance(single, dict) or not isinstance(several, dict):
        raise MalformedResponse("headers are not an object")
    if not all(isinstance(values, list) for values in several.values()):
        raise MalformedResponse("multiValueHeaders are not lists")
    lists = {name.lower(): values for name, values in several.items()}
    merged = {**{name.lower(): [value] for name, value in single.items()}, **lists}
    merged.setdefault("content-type", ["application/json"])
    return [_header(name, value) for name, values in merged.items() if name not in _DROPPED for value in values]


def _header(name: str, value: object) -> tuple[bytes, bytes]:
    if isinstance(value, bool):
        value = str(value).lower()
    text = str(value)
    if not isinstance(value, str | int | float) or not _NAME.fullmatch(name) or not _VALUE.fullmatch(text):
        raise MalformedResponse("a header cannot be sent")
    return (f"x-amzn-remapped-{name}" if name in _REMAPPED else name).encode(), text.encode()


def _fill(text: str, context: Mapping[str, Any] | None) -> str:
    return _CONTEXT.sub(lambda found: str((context or {}).get(found[1], "")), text)
