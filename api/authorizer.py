"""The Lambda authorizer: allows or denies a request by its token alone.

A REQUEST authorizer of a REST API ("Output from an API Gateway Lambda authorizer"). It imports neither the web
framework nor an AWS client, so that it starts quickly; a test verifies that.
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
from shoebox.tenants.tokens import read_token, verify_token
from workers.runtime.context import Context
from workers.runtime.lifespan import with_lifespan

_BEARER = re.compile(r"bearer +([^ ]+)", re.IGNORECASE)  # RFC 9110, 11.4: scheme in any case, then spaces
_METHOD_ARN = re.compile(r"(arn:[a-z-]+:execute-api:[a-z0-9-]*:\d*:[A-Za-z0-9-]+/[^/*?]+)/.*", re.DOTALL)
_log = get_logger()


class Authorizer:
    """Allows and denies requests by their token; `now` gives epoch seconds."""

    def __init__(self, keys: TenantKeys, *, now: Callable[[], float] = time.time) -> None:
        self._keys = keys
        self._now = now

    async def authorize(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """Return the response to a request event: a policy and a flat context of strings.

        Allow carries `tenant`, `user`, `scope` and `expires_at`; Deny carries `code` and `detail` for the caller.

        Raises:
            Unavailable: the tenant's keys cannot be fetched; the gateway sends 500 and caches nothing.
            ValueError: the event is none of a REST API's.
        """
        found = _METHOD_ARN.fullmatch(str(event.get("methodArn")))
        if not found:
            raise ValueError("the event has no methodArn of a REST API")
        # The whole stage, not this method: the gateway caches the policy and applies it to every path that is called
        # with the same token ("Use API Gateway Lambda authorizers", caching). Scopes are checked by the API.
        stage = f"{found[1]}/*"
        try:
            token = read_token(_bearer_token(event))
            # Unavailable passes through: the gateway does not cache a failed authorizer, but it would cache a Deny.
            key = await self._keys.key(token.tenant, token.key_id)
            identity = verify_token(token, key, now=self._now())
        except Unauthorized as refused:
            _log.info("request_denied", code=refused.code)
            return _response("Deny", "nobody", stage, {"code": refused.code, "detail": refused.detail})
        context = {
            "tenant": identity.tenant,
            "user": identity.user,
            "scope": " ".join(identity.scopes),
            "expires_at": str(identity.expires_at),
        }
        return _response("Allow", f"{identity.tenant}/{identity.user}", stage, context)


def _bearer_token(event: Mapping[str, Any]) -> str:
    # An event may have headers as lists, as single values, or both; names in whatever case the client sent.
    several = event.get("multiValueHeaders") or {name: [value] for name, value in (event.get("headers") or {}).items()}
    values = [value for name, sent in several.items() if name.lower() == "authorization" for value in sent]
    if not any(value.strip() for value in values):
        raise Unauthorized("Send a token: Authorization: Bearer <JWT>.", code="token_missing")
    if len(values) > 1:
        raise Unauthorized("Send one Authorization header.", code="token_malformed")
    found = _BEARER.fullmatch(values[0].strip(" \t"))
    if not found:
        raise Unauthorized("The header must read: Authorization: Bearer <JWT>.", code="token_malformed")
    return found[1]


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
