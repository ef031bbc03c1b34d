"""The authorizer: API Gateway's question whether a request may pass, decided by its token alone.

A REQUEST authorizer of a REST API ("Output from an API Gateway Lambda authorizer"). It imports neither the web
framework nor an AWS client, so that it starts quickly; a test holds it to that. An allowed token is allowed on the
whole stage: the gateway keeps the answer for every path, and scopes are the API's business. When the keys cannot be
had it fails, and does not deny: the gateway keeps denials, and a fault of ours must not outlive itself.
"""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from api.tenant_keys import KeyCachePolicy, TenantKeys
from shoebox.config import AuthorizerSettings
from shoebox.errors import Unauthorized
from shoebox.telemetry import configure_logging, get_logger, log_context
from shoebox.tenants.key_source import open_key_source
from shoebox.tenants.tokens import Identity, read_token, verify_token
from workers.runtime.context import Context
from workers.runtime.lifespan import with_lifespan

_BEARER = re.compile(r"bearer +([^ ]+)", re.IGNORECASE)  # RFC 9110, 11.4: scheme in any case, then spaces
_METHOD_ARN = re.compile(r"(arn:[a-z-]+:execute-api:[a-z0-9-]*:\d*:[A-Za-z0-9-]+/[^/*?]+)/.*", re.DOTALL)
_log = get_logger()


class Authorizer:
    """Judges requests by their token; `now` gives epoch seconds."""

    def __init__(self, keys: TenantKeys, *, now: Callable[[], float] = time.time) -> None:
        self._keys = keys
        self._now = now

    async def authorize(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """Return the response to a request event: a policy and a flat context of strings.

        Allow carries `tenant`, `user`, `scope` and `expires_at`; Deny carries `code` and `detail` for the caller.

        Raises:
            Unavailable: the tenant's keys cannot be had; the gateway sends 500 and keeps nothing.
            ValueError: the event is none of a REST API's.
        """
        stage = _stage_arn(event)
        try:
            identity = await self._identify(_bearer_token(event))
        except Unauthorized as refused:
            _log.info("request_denied", code=refused.code)
            return _response("Deny", "nobody", stage, {"code": refused.code, "detail": refused.detail})
        return _response("Allow", f"{identity.tenant}/{identity.user}", stage, _context(identity))

    async def _identify(self, text: str) -> Identity:
        token = read_token(text)
        key = await self._keys.key(token.tenant, token.key_id)
        return verify_token(token, key, now=self._now())


def _bearer_token(event: Mapping[str, Any]) -> str:
    values = _header(event, "authorization")
    if not any(value.strip() for value in values):
        raise Unauthorized("Send a token: Authorization: Bearer <JWT>.", code="token_missing")
    if len(values) > 1:
        raise Unauthorized("Send one Authorization header.", code="token_malformed")
    found = _BEARER.fullmatch(values[0].strip(" \t"))
    if not found:
        raise Unauthorized("The header must read: Authorization: Bearer <JWT>.", code="token_malformed")
    return found[1]


def _header(event: Mapping[str, Any], name: str) -> list[str]:
    """Return every value of a header, whatever its case; an event has them as single values and as lists."""
    several = event.get("multiValueHeaders") or {key: [value] for key, value in (event.get("headers") or {}).items()}
    return [value for key, values in several.items() if key.lower() == name for value in values]


def _stage_arn(event: Mapping[str, Any]) -> str:
    found = _METHOD_ARN.fullmatch(str(event.get("methodArn")))
    if not found:
        raise ValueError("the event has no methodArn of a REST API")
    return f"{found[1]}/*"


def _context(identity: Identity) -> dict[str, str]:
    return {
        "tenant": identity.tenant,
        "user": identity.user,
        "scope": " ".join(identity.scopes),
        "expires_at": str(identity.expires_at),
    }


def _response(effect: str, principal: str, resource: str, context: dict[str, str]) -> dict[str, Any]:
    statement = {"Action": "execute-api:Invoke", "Effect": effect, "Resource": resource}
    return {
        "principalId": principal,
        "policyDocument": {"Version": "2012-10-17", "Statement": [statement]},
        "context": context,
    }


@asynccontextmanager
async def open_authorizer() -> AsyncIterator[Authorizer]:
    """Open everything the authorizer needs, once a process."""
    configure_logging()
    settings = AuthorizerSettings.from_environment()
    async with open_key_source(settings.keys_url) as source:
        yield Authorizer(TenantKeys(source, KeyCachePolicy(ttl=settings.keys_ttl)))


@with_lifespan(open_authorizer)
async def handler(event: Mapping[str, Any], context: Context, authorizer: Authorizer) -> dict[str, Any]:
    """Lambda handler: a REST API's REQUEST authorizer event; return a policy with context."""
    with log_context(request_id=context.aws_request_id):
        return await authorizer.authorize(event)
