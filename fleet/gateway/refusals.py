"""Why a request does not pass, and the gateway's own responses to it.

Sources: API Gateway, "Gateway response types for API Gateway" (statuses of REST APIs), "Gateway responses for REST APIs
in API Gateway" (their shapes), "Create routes for HTTP APIs" (Not Found), "Troubleshooting issues with HTTP API Lambda
integrations" (Internal Server Error); RFC 9457 for what a stack shapes. What the pages do not give is taken from what
people publish of the service's responses; docs/reference/gateway.md says what is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from fleet.gateway.responses import header_value
from fleet.http.asgi import JSON, SAFE, Headers, Response
from shoebox.stack.gateway import GatewayResponse


class Refusal(Exception):
    """The request may not pass: a gateway response type, and the authorizer's context to fill it in.

    `fault` names what happened more closely than the type does, where AWS's own responses differ.
    """

    def __init__(self, kind: str, context: Mapping[str, Any] | None = None, *, fault: str = "") -> None:
        super().__init__(kind)
        self.kind = kind
        self.context = context
        self.fault = fault or kind


@dataclass(frozen=True, slots=True)
class Fault:
    """AWS's response to a fault; `error_type` is a REST API's `x-amzn-errortype`, "" if unknown and for HTTP APIs."""

    status: int
    body: bytes
    error_type: str = ""


def _rest(status: int, message: str | None, error_type: str, *, key: str = "message") -> Fault:
    return Fault(status, orjson.dumps({key: message}), error_type)


def _http(status: int, message: str) -> Fault:
    return Fault(status, orjson.dumps({"message": message}))


_DENIED = "User is not authorized to access this resource"
_INTERNAL = "InternalServerErrorException"
REST_FAULTS = {
    "BAD_REQUEST": _rest(400, "Bad Request", "BadRequestException"),
    "IDENTITY_REPEATED": _rest(400, "Bad Request", "BadRequestException"),
    "UNAUTHORIZED": _rest(401, "Unauthorized", "UnauthorizedException"),
    "ACCESS_DENIED": _rest(403, f"{_DENIED} with an explicit deny", "AccessDeniedException", key="Message"),
    "IMPLICIT_DENY": _rest(403, _DENIED, "AccessDeniedException", key="Message"),
    "MISSING_AUTHENTICATION_TOKEN": _rest(403, "Missing Authentication Token", "MissingAuthenticationTokenException"),
    "REQUEST_TIMEOUT": _rest(408, "Request Timeout", ""),
    "REQUEST_TOO_LARGE": _rest(413, "Request Too Long", ""),
    "URI_TOO_LONG": _rest(414, "Request URI too long", ""),
    "THROTTLED": _rest(429, "Too Many Requests", "TooManyRequestsException"),
    "HEADERS_TOO_LARGE": _rest(431, "Request Header Fields Too Large", ""),
    "AUTHORIZER_FAILURE": _rest(500, None, "AuthorizerConfigurationException"),
    "AUTHORIZER_CONFIGURATION_ERROR": _rest(500, None, "AuthorizerConfigurationException"),
    "API_CONFIGURATION_ERROR": _rest(500, "Internal server error", _INTERNAL),
    "INTEGRATION_THROTTLED": _rest(500, "Internal server error", _INTERNAL),
    "INTEGRATION_FAILURE": _rest(502, "Internal server error", _INTERNAL),
    "TOO_MANY_CONNECTIONS": _rest(503, "Service Unavailable", ""),
    "INTEGRATION_TIMEOUT": _rest(504, "Endpoint request timed out", _INTERNAL),
    "DEFAULT_5XX": _rest(500, "Internal server error", _INTERNAL),
}
HTTP_FAULTS = {
    "BAD_REQUEST": _http(400, "Bad Request"),
    "IDENTITY_REPEATED": _http(400, "Bad Request"),
    "UNAUTHORIZED": _http(401, "Unauthorized"),
    "ACCESS_DENIED": _http(403, "Forbidden"),
    "IMPLICIT_DENY": _http(403, "Forbidden"),
    "MISSING_AUTHENTICATION_TOKEN": _http(404, "Not Found"),
    "REQUEST_TIMEOUT": _http(408, "Request Timeout"),
    "REQUEST_TOO_LARGE": _http(413, "Request Entity Too Large"),
    "URI_TOO_LONG": _http(414, "Request-URI Too Long"),
    "THROTTLED": _http(429, "Too Many Requests"),
    "HEADERS_TOO_LARGE": _http(431, "Request Header Fields Too Large"),
    "AUTHORIZER_FAILURE": _http(500, "Internal Server Error"),
    "AUTHORIZER_CONFIGURATION_ERROR": _http(500, "Internal Server Error"),
    "API_CONFIGURATION_ERROR": _http(500, "Internal Server Error"),
    "INTEGRATION_THROTTLED": _http(503, "Service Unavailable"),
    "INTEGRATION_FAILURE": _http(500, "Internal Server Error"),
    "TOO_MANY_CONNECTIONS": _http(503, "Service Unavailable"),
    "INTEGRATION_TIMEOUT": _http(503, "Service Unavailable"),
    "DEFAULT_5XX": _http(500, "Internal Server Error"),
}

_CONTEXT = re.compile(r"\$context\.authorizer\.(\w+)")
_UNNAMED = {  # AWS has no response types for these; where a stack shapes its responses, these are shaped too
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


class GatewayResponses:
    """The gateway's own responses by API Gateway's response types; the stack shapes those of REST APIs."""

    def __init__(self, shapes: Mapping[str, GatewayResponse], faults: Mapping[str, Fault] = REST_FAULTS) -> None:
        self._shapes = {**_UNNAMED, **shapes} if shapes else {}
        self._faults = faults

    def refuse(
        self, kind: str, instance: str = "", context: Mapping[str, Any] | None = None, *, fault: str = ""
    ) -> Response:
        """Return the response of type `kind` about the path `instance`, filled in from an authorizer's context.

        A type without a shape has that of DEFAULT_4XX or DEFAULT_5XX. Where there is none either, the response is in
        AWS's words, of which `fault` may choose some more closely than the type does.
        """
        own = self._faults.get(fault or kind) or self._faults["DEFAULT_5XX"]
        error_type: Headers = [(b"x-amzn-errortype", own.error_type.encode())] if own.error_type else []
        shape = self._shapes.get(kind) or self._shapes.get(f"DEFAULT_{own.status // 100}XX")
        if shape is None:
            return Response(own.status, own.body, [*JSON, *error_type, *SAFE])
        status = shape.status or own.status
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
        headers: Headers = [(b"content-type", b"application/problem+json"), *error_type]
        if status == 401:
            headers.append((b"www-authenticate", b"Bearer"))
        shaped = [(name.lower().encode(), header_value(value)) for name, value in shape.headers.items()]
        named = {name for name, _ in shaped}
        headers += [*shaped, *(pair for pair in SAFE if pair[0] not in named)]
        return Response(status, orjson.dumps(problem), headers)


def _fill(text: str, context: Mapping[str, Any] | None) -> str:
    if "$" not in text:
        return text
    return _CONTEXT.sub(lambda found: str((context or {}).get(found[1], "")), text)
