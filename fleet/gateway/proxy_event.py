"""Events that API Gateway's REST APIs make, payload format 1.0.

Source: API Gateway, "Lambda proxy integrations" (input format) and "Input to an API Gateway Lambda authorizer". Header
names are in lower case here, as HTTP/2 clients send them; API Gateway's own headers keep its spelling.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

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
_TEXT = (
    "text/",
    "application/json",
    "application/x-www-form-urlencoded",
    "application/xml",
    "application/problem+json",
)


@dataclass(frozen=True, slots=True)
class Api:
    """The API that a gateway plays."""

    api_id: str
    stage: str
    account: str
    region: str

    def method_arn(self, request: GatewayRequest) -> str:
        """ARN of the method that a request calls, against which an authorizer's policy is evaluated."""
        resource = f"{self.stage}/{request.method}{request.raw_path}"
        return f"arn:aws:execute-api:{self.region}:{self.account}:{self.api_id}/{resource}"


def proxy_event(
    api: Api, request: GatewayRequest, match: Match, authorizer: Mapping[str, Any] | None, body: bytes
) -> dict[str, Any]:
    """The event for the function behind a route."""
    text, encoded = _body(request.header("content-type"), body)
    event = _common(api, request, match)
    if authorizer is not None:
        event["requestContext"]["authorizer"] = dict(authorizer)
    event["body"] = text
    event["isBase64Encoded"] = encoded
    return event


def authorizer_event(api: Api, request: GatewayRequest, match: Match) -> dict[str, Any]:
    """The event for a REQUEST authorizer: the request without its body."""
    return {"type": "REQUEST", "methodArn": api.method_arn(request), **_common(api, request, match)}


def _common(api: Api, request: GatewayRequest, match: Match) -> dict[str, Any]:
    added = _added(request)
    own = {name.lower() for name, _ in added}
    headers = _multi([*(pair for pair in request.headers if pair[0] not in own), *added])
    query = _multi(parse_qsl(request.query, keep_blank_values=True))
    return {
        "resource": match.route.path,
        "path": request.raw_path,
        "httpMethod": request.method,
        "headers": _last(headers),
        "multiValueHeaders": headers,
        "queryStringParameters": _last(query) or None,
        "multiValueQueryStringParameters": query or None,
        "pathParameters": match.parameters or None,
        "stageVariables": None,
        "requestContext": _context(api, request, match),
    }


def _added(request: GatewayRequest) -> list[tuple[str, str]]:
    """The gateway's own headers; they replace the client's of the same name."""
    forwarded = request.header("x-forwarded-for")
    port = request.host.rpartition(":")[2]
    return [
        ("X-Amzn-Trace-Id", request.trace_id),
        ("X-Forwarded-For", f"{forwarded}, {request.source_ip}" if forwarded else request.source_ip),
        ("X-Forwarded-Port", port if port.isdigit() else "80"),
        ("X-Forwarded-Proto", "http"),
    ]


def _context(api: Api, request: GatewayRequest, match: Match) -> dict[str, Any]:
    return {
        "accountId": api.account,
        "apiId": api.api_id,
        "domainName": request.host,
        "domainPrefix": request.host.partition(".")[0],
        "extendedRequestId": request.request_id,
        "httpMethod": request.method,
        "identity": {**_NO_IDENTITY, "sourceIp": request.source_ip, "userAgent": request.header("user-agent") or None},
        "path": request.raw_path,
        "protocol": request.protocol,
        "requestId": request.request_id,
        "requestTime": request.received.strftime("%d/%b/%Y:%H:%M:%S +0000"),
        "requestTimeEpoch": int(request.received.timestamp() * 1000),
        "resourceId": "local",
        "resourcePath": match.route.path,
        "stage": api.stage,
    }


def _multi(pairs: list[tuple[str, str]]) -> dict[str, list[str]]:
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        values.setdefault(name, []).append(value)
    return values


def _last(values: dict[str, list[str]]) -> dict[str, str]:
    return {name: several[-1] for name, several in values.items()}


def _body(content_type: str, body: bytes) -> tuple[str | None, bool]:
    if not body:
        return None, False
    if not content_type or content_type.lower().startswith(_TEXT):
        try:
            return body.decode(), False
        except UnicodeDecodeError:
            pass
    return base64.b64encode(body).decode(), True
