"""Events for functions: payload format 1.0 of REST APIs (HTTP APIs can send it, too), and 2.0 of HTTP APIs.

Sources: API Gateway, "Lambda proxy integrations for REST APIs" (Input format), "Create AWS Lambda proxy integrations
for HTTP APIs" (Payload format version), "Input to an API Gateway Lambda authorizer". Header names are in lower case
here, as HTTP/2 clients send them; a REST API's own headers keep its spelling. A REST API passes the path as it came, an
HTTP API percent-decoded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from time import gmtime, strftime
from typing import Any, Literal
from urllib.parse import parse_qsl

from fleet.gateway.binary import Bodies, MediaTypes, event_body
from fleet.gateway.request import GatewayRequest
from fleet.gateway.routes import Match

_NO_IDENTITY = dict.fromkeys(
    (
        "accessKey",
        "accountId",
        "caller",
        "cognitoAuthenticationProvider",
        "cognitoAuthenticationType",
        "cognitoIdentityId",
        "cognitoIdentityPoolId",
        "principalOrgId",
        "user",
        "userArn",
    )
)
_REST_SPELLING = {
    "x-amzn-trace-id": "X-Amzn-Trace-Id",
    "x-forwarded-for": "X-Forwarded-For",
    "x-forwarded-port": "X-Forwarded-Port",
    "x-forwarded-proto": "X-Forwarded-Proto",
}
# A client's headers that do not reach the function: those that the gateway sets itself, the connection's own, and what
# "Important notes" says is dropped.
_DROPPED = _REST_SPELLING.keys() | {
    "connection",
    "content-md5",
    "expect",
    "keep-alive",
    "max-forwards",
    "proxy-authenticate",
    "server",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "www-authenticate",
}
_ID = "local"  # of a deployment, and of a resource


@dataclass(frozen=True, slots=True)
class Api:
    """The API that a gateway plays: `kind` is its flavour, `bodies` how bodies pass, `variables` are the stage's."""

    api_id: str
    stage: str
    account: str
    region: str
    kind: Literal["rest", "http"] = "rest"
    bodies: Bodies = MediaTypes(())  # noqa: RUF009  # never changed
    variables: Mapping[str, str] | None = None

    def method_arn(self, request: GatewayRequest) -> str:
        """Return the ARN of the method that a request calls, against which an authorizer's policy is evaluated."""
        path = request.raw_path if self.kind == "rest" else request.path
        where = f"{self.region}:{self.account}:{self.api_id}/{self.stage}"
        return f"arn:aws:execute-api:{where}/{request.method}{path}"


def event_1(
    api: Api, request: GatewayRequest, match: Match, authorizer: Mapping[str, Any] | None, body: bytes
) -> dict[str, Any]:
    """Return the event of format 1.0 for the function behind a route."""
    event = request_parts_1(api, request, match)
    if authorizer is not None:
        event["requestContext"]["authorizer"] = authorizer
    event["body"], event["isBase64Encoded"] = event_body(
        api.bodies, request.header("content-type"), request.header("content-encoding"), body
    )
    return event


def request_parts_1(api: Api, request: GatewayRequest, match: Match, empty: object = None) -> dict[str, Any]:
    """Return what events of format 1.0 for functions and for authorizers share; what is not there is `empty`."""
    headers, several = _headers_1(api, request)
    query, queries = _query(request.query) if request.query else (empty, empty)
    parts = {
        "resource": match.route.resource,
        "path": request.raw_path if api.kind == "rest" else request.path,
        "httpMethod": request.method,
        "headers": headers,
        "multiValueHeaders": several,
        "queryStringParameters": query,
        "multiValueQueryStringParameters": queries,
        "pathParameters": match.parameters or empty,
        "stageVariables": api.variables or empty,
        "requestContext": _context_1(api, request, match),
    }
    return parts if api.kind == "rest" else {"version": "1.0", **parts}


def _headers_1(api: Api, request: GatewayRequest) -> tuple[dict[str, str], dict[str, list[str]]]:
    """Return the last value of each header, and all of them."""
    one: dict[str, str] = {}
    several: dict[str, list[str]] = {}
    for name, value in request.headers:
        if name in _DROPPED:
            continue
        if name in one:
            several[name].append(value)
        else:
            several[name] = [value]
        one[name] = value
    for name, value in _own_headers(request):
        spelling = _REST_SPELLING[name] if api.kind == "rest" else name
        one[spelling], several[spelling] = value, [value]
    return one, several


def _query(query: str) -> tuple[dict[str, str], dict[str, list[str]]]:
    several: dict[str, list[str]] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        several.setdefault(name, []).append(value)
    return {name: values[-1] for name, values in several.items()}, several


def _context_1(api: Api, request: GatewayRequest, match: Match) -> dict[str, Any]:
    epoch = request.received.timestamp()
    rest = api.kind == "rest"
    context = {
        "accountId": api.account,
        "apiId": api.api_id,
        "domainName": request.host,
        "domainPrefix": request.host.partition(".")[0],
        "extendedRequestId": request.extended_id,
        "httpMethod": request.method,
        "identity": {**_NO_IDENTITY, "sourceIp": request.source_ip, "userAgent": request.header("user-agent") or None},
        "path": f"/{api.stage}{request.raw_path}" if rest else request.path,
        "protocol": request.protocol,
        "requestId": request.request_id,
        "requestTime": _request_time(int(epoch)),
        "requestTimeEpoch": int(epoch * 1000),
        "resourceId": _ID if rest else match.route_key,
        "resourcePath": match.route.resource,
        "stage": api.stage,
    }
    if rest:
        context["deploymentId"] = _ID
    return context


def event_2(
    api: Api, request: GatewayRequest, match: Match, authorizer: Mapping[str, Any] | None, body: bytes
) -> dict[str, Any]:
    """Return the event of format 2.0 for the function behind a route.

    Values of a repeated header or parameter are joined by commas, cookies are a list of their own, and what a request
    does not have is left out.
    """
    event = request_parts_2(api, request, match)
    if authorizer is not None:
        event["requestContext"]["authorizer"] = authorizer
    text, encoded = event_body(api.bodies, request.header("content-type"), request.header("content-encoding"), body)
    if text is not None:
        event["body"] = text
    event["isBase64Encoded"] = encoded
    return event


def request_parts_2(api: Api, request: GatewayRequest, match: Match) -> dict[str, Any]:
    """Return what events of format 2.0 for functions and for authorizers share."""
    headers, cookies = _headers_2(request)
    key = match.route_key
    parts: dict[str, Any] = {
        "version": "2.0",
        "routeKey": key,
        "rawPath": request.path,
        "rawQueryString": request.query,
        "headers": headers,
        "requestContext": _context_2(api, request, key),
    }
    if cookies:
        parts["cookies"] = cookies
    if request.query:
        parts["queryStringParameters"] = _joined(parse_qsl(request.query, keep_blank_values=True))
    if match.parameters:
        parts["pathParameters"] = match.parameters
    if api.variables:
        parts["stageVariables"] = api.variables
    return parts


def _headers_2(request: GatewayRequest) -> tuple[dict[str, str], list[str]]:
    kept, cookies = [], []
    for name, value in request.headers:
        if name == "cookie":
            cookies += [cookie.strip() for cookie in value.split(";") if cookie.strip()]
        elif name not in _DROPPED:
            kept.append((name, value))
    return _joined([*kept, *_own_headers(request)]), cookies


def _joined(pairs: list[tuple[str, str]]) -> dict[str, str]:
    joined: dict[str, str] = {}
    for name, value in pairs:
        joined[name] = f"{joined[name]},{value}" if name in joined else value
    return joined


def _context_2(api: Api, request: GatewayRequest, key: str) -> dict[str, Any]:
    epoch = request.received.timestamp()
    return {
        "accountId": api.account,
        "apiId": api.api_id,
        "domainName": request.host,
        "domainPrefix": request.host.partition(".")[0],
        "http": {
            "method": request.method,
            "path": request.path,
            "protocol": request.protocol,
            "sourceIp": request.source_ip,
            "userAgent": request.header("user-agent"),
        },
        "requestId": request.request_id,
        "routeKey": key,
        "stage": api.stage,
        "time": _request_time(int(epoch)),
        "timeEpoch": int(epoch * 1000),
    }


def _own_headers(request: GatewayRequest) -> list[tuple[str, str]]:
    """Return the headers that the gateway sets itself in place of the client's."""
    before = request.header("x-forwarded-for")
    port = request.host.rpartition(":")[2]
    return [
        ("x-amzn-trace-id", request.trace_id),
        ("x-forwarded-for", f"{before}, {request.source_ip}" if before else request.source_ip),
        ("x-forwarded-port", port if port.isdigit() else "80"),
        ("x-forwarded-proto", "http"),
    ]


@lru_cache(maxsize=4)
def _request_time(second: int) -> str:
    """Return a second since 1970 in the Common Log Format."""
    return strftime("%d/%b/%Y:%H:%M:%S +0000", gmtime(second))
