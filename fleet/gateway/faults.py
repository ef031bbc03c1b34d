"""What API Gateway answers by itself, unless the stack shapes it: status, body and error type of each fault.

Source: API Gateway, "Gateway response types for API Gateway" (statuses of REST APIs), "Create routes for HTTP APIs"
(Not Found), "Troubleshooting issues with HTTP API Lambda integrations" (Internal Server Error). What the pages do not
give is taken from what people publish of the service's answers; docs/reference/gateway.md says what is.
"""

from __future__ import annotations

from dataclasses import dataclass

import orjson


@dataclass(frozen=True, slots=True)
class Fault:
    """An answer; `error_type` is a REST API's `x-amzn-errortype`, empty where it is not known, and for HTTP APIs."""

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
