"""Events of payload format 1.0: what REST APIs send, and HTTP APIs that are asked to.

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
from fleet.gateway.identity import route_key
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
_OWN = frozenset({"x-amzn-trace-id", "x-forwarded-for", "x-forwarded-port", "x-forwarded-proto"})
# The connection's own, and what "Important notes" says is dropped on the way to a function.
_DROPPED = _OWN | {
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
_IDS = {"deployment": "local", "resource": "local"}


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
        """ARN of the method that a request calls, against which an authorizer's policy is evaluated."""
        path = request.raw_path if self.kind == "rest" else request.path
        where = f"{self.region}:{self.account}:{self.api_id}/{self.stage}"
        return f"arn:aws:execute-api:{where}/{request.method}{path}"


def proxy_event(
    api: Api, request: GatewayRequest, match: Match, authorizer: Mapping[str, Any] | None, body: bytes
) -> dict[str, Any]:
    """The event for the function behind a route."""
    event = request_parts(api, request, match)
    if authorizer is not None:
        event["requestContext"]["authorizer"] = authorizer
    event["body"], event["isBase64Encoded"] = event_body(
        api.bodies, request.header("content-type"), request.header("content-encoding"), body
    )
    return event


def request_parts(api: Api, request: GatewayRequest, match: Match, empty: object = None) -> dict[str, Any]:
    """What events for functions and for authorizers share; what is not there is `empty`."""
    headers, several = _headers(request, _added(request) if api.kind == "rest" else forwarded(request))
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
        "requestContext": _context(api, request, match),
    }
    return parts if api.kind == "rest" else {"version": "1.0", **parts}


def forwarded(request: GatewayRequest) -> list[tuple[str, str]]:
    """The gateway's own headers, as HTTP APIs spell them; they replace the client's of the same name."""
    before = request.header("x-forwarded-for")
    port = request.host.rpartition(":")[2]
    return [
        ("x-amzn-trace-id", request.trace_id),
        ("x-forwarded-for", f"{before}, {request.source_ip}" if before else request.source_ip),
        ("x-forwarded-port", port if port.isdigit() else "80"),
        ("x-forwarded-proto", "http"),
    ]


def passes(name: str) -> bool:
    """Whether a client's header reaches the function."""
    return name not in _DROPPED


@lru_cache(maxsize=4)
def request_time(second: int) -> str:
    """A second since 1970 as the events write it, in the Common Log Format."""
    return strftime("%d/%b/%Y:%H:%M:%S +0000", gmtime(second))


def _added(request: GatewayRequest) -> list[tuple[str, str]]:
    spelling = ("X-Amzn-Trace-Id", "X-Forwarded-For", "X-Forwarded-Port", "X-Forwarded-Proto")
    return [(name, value) for name, (_, value) in zip(spelling, forwarded(request), strict=True)]


def _headers(request: GatewayRequest, own: list[tuple[str, str]]) -> tuple[dict[str, str], dict[str, list[str]]]:
    """The last value of each header, and all of them."""
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
    for name, value in own:
        one[name], several[name] = value, [value]
    return one, several


def _query(query: str) -> tuple[dict[str, str], dict[str, list[str]]]:
    several: dict[str, list[str]] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        several.setdefault(name, []).append(value)
    return {name: values[-1] for name, values in several.items()}, several


def _context(api: Api, request: GatewayRequest, match: Match) -> dict[str, Any]:
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
        "requestTime": request_time(int(epoch)),
        "requestTimeEpoch": int(epoch * 1000),
        "resourceId": _IDS["resource"] if rest else route_key(match),
        "resourcePath": match.route.resource,
        "stage": api.stage,
    }
    if rest:
        context["deploymentId"] = _IDS["deployment"]
    return context
