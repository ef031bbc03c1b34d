"""Functions that do nothing, for whatever lies around them to be measured."""

from __future__ import annotations

from typing import Any

_ANSWER = {"statusCode": 200, "headers": {"content-type": "application/json"}, "body": '{"ok":true}'}


async def noop(event: Any, context: Any) -> dict[str, Any]:
    """Answer at once."""
    return _ANSWER


async def authorize(event: Any, context: Any) -> dict[str, Any]:
    """Allow everything."""
    statement = {"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": "*"}
    return {
        "principalId": "bench",
        "policyDocument": {"Version": "2012-10-17", "Statement": [statement]},
        "context": {"tenant": "demo", "user": "you", "scopes": "files:read files:write"},
    }
