"""What differs between Lambda authorizers: by flavour of the API, by type, and by payload format.

| | REST TOKEN | REST REQUEST | HTTP 1.0 | HTTP 2.0 |
|---|---|---|---|---|
| event | token, method ARN | request | request, identity | request, identity |
| answer | policy | policy | policy | policy or simple |
| context | strings | strings | flat | any JSON |
| missing identity is 401 | always | where answers are kept | always | always |
| seconds to answer | 29 | 29 | 10 | 10 |

AWS names no time for REST APIs' authorizers; it is the integration's here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from fleet.gateway.authorizer_event import (
    AuthorizerEvent,
    authorizer_event,
    http_event_1,
    http_event_2,
    token_event,
)
from fleet.gateway.authorizer_policy import Authorization, parse_http_1, parse_http_2, parse_output, parse_simple
from shoebox.stack.gateway import Gateway, GatewayAuthorizer


def flat_context(answer: Authorization, latency: int) -> dict[str, Any]:
    """As payload format 1.0 shows an authorization to the function; latency in milliseconds."""
    return {"principalId": answer.principal, "integrationLatency": latency, **answer.context}


def lambda_context(answer: Authorization, latency: int) -> dict[str, Any]:
    """As payload format 2.0 shows it."""
    return {"lambda": dict(answer.context)}


@dataclass(frozen=True, slots=True)
class AuthorizerRules:
    """How an authorizer is asked and understood; `seconds` is how long it may take, `validation` a token's pattern."""

    event: AuthorizerEvent
    parse: Callable[[bytes], Authorization]
    passed: Callable[[Authorization, int], dict[str, Any]] = flat_context
    always_needs_identity: bool = True
    seconds: float = 29
    validation: re.Pattern[str] | None = None


REST_REQUEST = AuthorizerRules(authorizer_event, parse_output, always_needs_identity=False)
REST_TOKEN = AuthorizerRules(token_event, parse_output)
HTTP_1 = AuthorizerRules(http_event_1, parse_http_1, seconds=10)
HTTP_2 = AuthorizerRules(http_event_2, parse_http_2, seconds=10)


def rules_of(gateway: Gateway, described: GatewayAuthorizer) -> AuthorizerRules:
    """The rules of a described gateway's authorizer."""
    if gateway.kind == "rest" and described.type == "REQUEST":
        return REST_REQUEST
    if gateway.kind == "rest":
        return replace(REST_TOKEN, validation=re.compile(described.validation) if described.validation else None)
    rules = HTTP_1 if described.payload == "1.0" else HTTP_2
    return replace(
        rules,
        parse=parse_simple if described.simple else rules.parse,
        passed=flat_context if gateway.payload == "1.0" else lambda_context,
    )
