"""Events of payload format 2.0, which HTTP APIs send.

Source: API Gateway, "Create AWS Lambda proxy integrations for HTTP APIs" (Payload format version): header names are in
lower case, values of a repeated header or parameter are joined by commas, cookies are a list of their own. What a
request does not have is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from fleet.gateway.binary import event_body
from fleet.gateway.identity import route_key
from fleet.gateway.proxy_event import Api, forwarded, passes, request_time
from fleet.gateway.request import GatewayRequest
from fleet.gateway.routes import Match


def proxy_event_2(
    api: Api, request: GatewayRequest, match: Match, authorizer: Mapping[str, Any] | None, body: bytes
) -> dict[str, Any]:
    """The event for the function behind a route."""
    event = request_parts_2(api, request, match)
    if authorizer is not None:
        event["requestContext"]["authorizer"] = authorizer
    text, encoded = event_body(api.bodies, request.header("content-type"), request.header("content-encoding"), body)
    if text is not None:
        event["body"] = text
    event["isBase64Encoded"] = encoded
    return event


def request_parts_2(api: Api, request: GatewayRequest, match: Match) -> dict[str, Any]:
    """What events for functions and for authorizers share."""
    headers, cookies = _headers(request)
    key = route_key(match)
    parts: dict[str, Any] = {
        "version": "2.0",
        "routeKey": key,
        "rawPath": request.path,
        "rawQueryString": request.query,
        "headers": headers,
        "requestContext": _context(api, request, key),
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


def _headers(request: GatewayRequest) -> tuple[dict[str, str], list[str]]:
    kept, cookies = [], []
    for name, value in request.headers:
        if name == "cookie":
            cookies += [cookie.strip() for cookie in value.split(";") if cookie.strip()]
        elif passes(name):
            kept.append((name, value))
    return _joined([*kept, *forwarded(request)]), cookies


def _joined(pairs: list[tuple[str, str]]) -> dict[str, str]:
    joined: dict[str, str] = {}
    for name, value in pairs:
        joined[name] = f"{joined[name]},{value}" if name in joined else value
    return joined


def _context(api: Api, request: GatewayRequest, key: str) -> dict[str, Any]:
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
        "time": request_time(int(epoch)),
        "timeEpoch": int(epoch * 1000),
    }
