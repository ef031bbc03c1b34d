"""What the gateway answers: functions' answers of format 1.0 mapped to HTTP, and its own refusals.

Sources: API Gateway, "Output format of a Lambda function for proxy integration", "Gateway responses for REST APIs in
API Gateway"; RFC 9457 for the refusals that a stack shapes.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any

import orjson

from fleet.gateway.faults import REST_FAULTS, Fault
from fleet.gateway.response_headers import MalformedResponse, header_value, sent_headers
from fleet.http.asgi import JSON, SAFE, Headers, Response
from shoebox.stack.gateway import GatewayResponse

__all__ = ["GatewayResponses", "MalformedResponse", "UndecodableBody", "proxy_response"]

_CONTEXT = re.compile(r"\$context\.authorizer\.(\w+)")
_FIELDS = frozenset({"body", "headers", "isBase64Encoded", "multiValueHeaders", "statusCode"})
"""An answer with others is malformed (seen: sst #2760, `cookies` in an answer to a REST API)."""
_UNNAMED = {  # AWS has no response types for these; where a stack shapes its answers, they are shaped too
    "BAD_REQUEST": GatewayResponse(
        code="bad_request",
        title="Bad Request",
        detail="The request is malformed, or can be read in more ways than one.",
    ),
    "IDENTITY_REPEATED": GatewayResponse(
        code="identity_repeated", title="Bad Request", detail="What says who you are was sent more than once."
    ),
    "REQUEST_TIMEOUT": GatewayResponse(
        code="request_timeout", title="Request Timeout", detail="The request took too long to arrive."
    ),
    "TOO_MANY_CONNECTIONS": GatewayResponse(
        code="too_many_connections", title="Service Unavailable", detail="Too many connections are open; try again."
    ),
    "HEADERS_TOO_LARGE": GatewayResponse(
        code="headers_too_large",
        title="Request Header Fields Too Large",
        detail="A request's headers may have 10,240 bytes.",
    ),
    "URI_TOO_LONG": GatewayResponse(
        code="uri_too_long", title="URI Too Long", detail="A request's address may have 10,240 characters."
    ),
}
_UNREASONED = {  # stands in where an authorizer gives no reason
    "ACCESS_DENIED": ("access_denied", "Access to this address is denied."),
}


class UndecodableBody(MalformedResponse):
    """A body that should be Base64 is not: a REST API with binary media types answers API_CONFIGURATION_ERROR."""


class GatewayResponses:
    """The gateway's own answers, by API Gateway's response types; the stack shapes those of REST APIs."""

    def __init__(self, described: Mapping[str, GatewayResponse], faults: Mapping[str, Fault] = REST_FAULTS) -> None:
        self._described = {**_UNNAMED, **described} if described else {}
        self._faults = faults

    def refuse(
        self, kind: str, instance: str = "", context: Mapping[str, Any] | None = None, *, fault: str = ""
    ) -> Response:
        """The answer of type `kind` about the path `instance`, if it is known, filled in from an authorizer's context.

        A type that is not shaped is answered as DEFAULT_4XX or DEFAULT_5XX is, and if that is not shaped either, in
        AWS's words, of which `fault` may choose some more closely than the type does.
        """
        own = self._faults.get(fault or kind) or self._faults["DEFAULT_5XX"]
        marks: Headers = [(b"x-amzn-errortype", own.error_type.encode())] if own.error_type else []
        shape = self._described.get(kind) or self._described.get(f"DEFAULT_{own.status // 100}XX")
        if shape is None:
            return Response(own.status, own.body, [*JSON, *marks, *SAFE])
        return _shaped(shape, kind, shape.status or own.status, instance, context, marks)


def _shaped(
    shape: GatewayResponse,
    kind: str,
    status: int,
    instance: str,
    context: Mapping[str, Any] | None,
    marks: Headers,
) -> Response:
    code, detail = _UNREASONED.get(kind, (shape.code, shape.detail))
    problem = {
        "type": "about:blank",
        "title": shape.title,
        "status": status,
        "detail": _fill(shape.detail, context) or detail,
        "code": _fill(shape.code, context) or code,
    }
    if instance:
        problem["instance"] = instance
    headers: Headers = [(b"content-type", b"application/problem+json"), *marks]
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    own = [(name.lower().encode(), header_value(value)) for name, value in shape.headers.items()]
    named = {name for name, _ in own}
    headers += [*own, *(pair for pair in SAFE if pair[0] not in named)]
    return Response(status, orjson.dumps(problem), headers)


def proxy_response(payload: bytes, *, decode: bool = True) -> Response:
    """The HTTP answer that a function gave in format 1.0; `decode`: Base64 becomes bytes, else it stays text.

    Raises:
        MalformedResponse: it lacks a status code, has what the format has not, or holds what HTTP cannot carry.
    """
    answer = read_answer(payload)
    if not isinstance(answer, dict):
        raise MalformedResponse("not an object")
    if unknown := answer.keys() - _FIELDS:
        raise MalformedResponse(f"not of the format: {', '.join(sorted(unknown))}")
    return Response(status_of(answer), body_of(answer, decode=decode), _headers(answer))


def read_answer(payload: bytes) -> Any:
    """An answer's JSON.

    Raises:
        MalformedResponse: it is none.
    """
    try:
        return orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        raise MalformedResponse("not JSON") from error


def status_of(answer: Mapping[str, Any]) -> int:
    """An answer's `statusCode`, a number or a string of digits.

    Raises:
        MalformedResponse: it is no final HTTP status.
    """
    status = answer.get("statusCode")
    number = int(status) if isinstance(status, int) or (isinstance(status, str) and status.isdecimal()) else 0
    if isinstance(status, bool) or not 200 <= number <= 599:
        raise MalformedResponse("statusCode is not an HTTP status")
    return number


def body_of(answer: Mapping[str, Any], *, decode: bool) -> bytes:
    """An answer's body on the wire.

    Raises:
        MalformedResponse: it is not a string.
        UndecodableBody: it should be Base64, and is not.
    """
    body = answer.get("body")
    if body is None:
        return b""
    if not isinstance(body, str):
        raise MalformedResponse("body is not a string")
    if not decode or not answer.get("isBase64Encoded"):
        return body.encode()
    try:
        return base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError) as error:
        raise UndecodableBody("body is not Base64") from error


def headers_in(answer: Mapping[str, Any], key: str = "headers") -> dict[str, Any]:
    """An answer's headers, which may be missing or null.

    Raises:
        MalformedResponse: they are not an object.
    """
    headers = answer.get(key)
    if headers is None:
        return {}
    if not isinstance(headers, dict):
        raise MalformedResponse(f"{key} are not an object")
    return headers


def _headers(answer: Mapping[str, Any]) -> Headers:
    """Headers of both maps; where both name a header, `multiValueHeaders` counts."""
    single, several = headers_in(answer), headers_in(answer, "multiValueHeaders")
    if not all(isinstance(values, list) for values in several.values()):
        raise MalformedResponse("multiValueHeaders are not lists")
    lists = {name.lower() for name in several}
    pairs = [(name, value) for name, value in single.items() if name.lower() not in lists]
    return sent_headers([*pairs, *((name, value) for name, values in several.items() for value in values)])


def _fill(text: str, context: Mapping[str, Any] | None) -> str:
    if "$" not in text:
        return text
    return _CONTEXT.sub(lambda found: str((context or {}).get(found[1], "")), text)
