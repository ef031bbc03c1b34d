"""Functions' responses as they are sent on: payload format 1.0 of REST APIs, and 2.0 of HTTP APIs.

Sources: API Gateway, "Output format of a Lambda function for proxy integration", "Create AWS Lambda proxy integrations
for HTTP APIs" (Lambda function response format), "Amazon API Gateway important notes": some headers are renamed to
`X-Amzn-Remapped-…`, some are dropped, and every response has a content type. The same table serves HTTP APIs, for which
AWS has none.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

import orjson

from fleet.http.asgi import JSON, Headers, Response

_FIELDS_1 = frozenset({"body", "headers", "isBase64Encoded", "multiValueHeaders", "statusCode"})
"""A response of format 1.0 with others is malformed (seen: sst #2760, `cookies` in a response to a REST API)."""
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.6.2
_VALUE = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*")
_REMAPPED = frozenset(
    {
        "authorization",
        "content-length",
        "content-md5",
        "date",
        "max-forwards",
        "server",
        "user-agent",
        "www-authenticate",
    }
)
_DROPPED = frozenset(
    {
        "connection",
        "expect",
        "host",
        "keep-alive",
        "proxy-authenticate",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)


class MalformedResponse(ValueError):
    """A function's response is not what its integration sends on: 502 from a REST API, 500 from an HTTP API."""


class UndecodableBody(MalformedResponse):
    """A body that should be Base64 is not: a REST API with binary media types responds API_CONFIGURATION_ERROR."""


def response_1(payload: bytes, *, decode: bool = True) -> Response:
    """Return the HTTP response that a function gave in format 1.0; `decode`: Base64 becomes bytes, else it stays text.

    Where both maps name a header, `multiValueHeaders` counts.

    Raises:
        MalformedResponse: it lacks a status code, has what the format has not, or holds what HTTP cannot carry.
    """
    content = _parse(payload)
    if not isinstance(content, dict):
        raise MalformedResponse("not an object")
    if unknown := content.keys() - _FIELDS_1:
        raise MalformedResponse(f"not of the format: {', '.join(sorted(unknown))}")
    status, body = _status_of(content), _body_of(content, decode=decode)
    single, several = _headers_in(content, "headers"), _headers_in(content, "multiValueHeaders")
    if not all(isinstance(values, list) for values in several.values()):
        raise MalformedResponse("multiValueHeaders are not lists")
    lists = {name.lower() for name in several}
    pairs = [(name, value) for name, value in single.items() if name.lower() not in lists]
    pairs += [(name, value) for name, values in several.items() for value in values]
    return Response(status, body, sent_headers(pairs))


def response_2(payload: bytes, *, decode: bool = True) -> Response:
    """Return the HTTP response that a function gave in format 2.0, or meant.

    JSON without a status code is the body of a 200: a string as it is, anything else as JSON, null as well. Each cookie
    is a Set-Cookie of its own.

    Raises:
        MalformedResponse: it is not JSON, or holds what HTTP cannot carry.
    """
    content = _parse(payload)
    if not (isinstance(content, dict) and "statusCode" in content):
        return Response(200, content.encode() if isinstance(content, str) else orjson.dumps(content), JSON)
    status, body = _status_of(content), _body_of(content, decode=decode)
    cookies = content.get("cookies") or []
    if not isinstance(cookies, list):
        raise MalformedResponse("cookies are not a list")
    headers = sent_headers(_headers_in(content, "headers").items())
    headers += [(b"set-cookie", header_value(cookie)) for cookie in cookies]
    return Response(status, body, headers)


def _parse(payload: bytes) -> Any:
    try:
        return orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        raise MalformedResponse("not JSON") from error


def _status_of(content: Mapping[str, Any]) -> int:
    """Return the `statusCode`, which is a number or a string of digits."""
    status = content.get("statusCode")
    number = int(status) if isinstance(status, int) or (isinstance(status, str) and status.isdecimal()) else 0
    if isinstance(status, bool) or not 200 <= number <= 599:
        raise MalformedResponse("statusCode is not an HTTP status")
    return number


def _body_of(content: Mapping[str, Any], *, decode: bool) -> bytes:
    body = content.get("body")
    if body is None:
        return b""
    if not isinstance(body, str):
        raise MalformedResponse("body is not a string")
    if not decode or not content.get("isBase64Encoded"):
        return body.encode()
    try:
        return base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError) as error:
        raise UndecodableBody("body is not Base64") from error


def _headers_in(content: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Return one of the maps of headers, which may be missing or null."""
    headers = content.get(key)
    if headers is None:
        return {}
    if not isinstance(headers, dict):
        raise MalformedResponse(f"{key} are not an object")
    return headers


def sent_headers(pairs: Iterable[tuple[str, object]]) -> Headers:
    """Return headers as they are sent, in lower case.

    Raises:
        MalformedResponse: a name or value that HTTP cannot carry.
    """
    headers: Headers = []
    typed = False
    for name, value in pairs:
        sent = _sent_name(name)
        if sent is None:
            continue
        typed = typed or sent == b"content-type"
        headers.append((sent, header_value(value)))
    return headers if typed else [*headers, *JSON]


def header_value(value: object) -> bytes:
    """Return a string, number or boolean as a header's value.

    Raises:
        MalformedResponse: it is none of them, or HTTP cannot carry it.
    """
    if isinstance(value, str):
        text = value
    elif isinstance(value, bool):
        text = str(value).lower()
    elif isinstance(value, int | float):
        text = str(value)
    else:
        raise MalformedResponse("a header's value is not a string, number or boolean")
    if not _VALUE.fullmatch(text):
        raise MalformedResponse("a header's value cannot be sent")
    return text.encode()


@lru_cache(maxsize=512)
def _sent_name(name: str) -> bytes | None:
    """Return a header's name as it is sent; None if it is dropped."""
    if not _NAME.fullmatch(name):
        raise MalformedResponse("a header's name cannot be sent")
    lower = name.lower()
    if lower in _DROPPED:
        return None
    return (f"x-amzn-remapped-{lower}" if lower in _REMAPPED else lower).encode()
