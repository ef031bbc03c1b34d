"""Asks a route's authorizer, once for equal identities, and decides by its policy.

Sources: API Gateway, "Use API Gateway Lambda authorizers", "Configure a Lambda authorizer using the API Gateway
console", "Control access to HTTP APIs with AWS Lambda authorizers". The answer is kept by the values of all identity
sources, for every route: a policy for one method refuses the next one, as on AWS. Equal requests at once share one
call where answers are kept; AWS promises neither that nor the contrary.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

import orjson

from fleet.environments.invocation import InvokeResult
from fleet.errors import InvokeError
from fleet.gateway.authorizer_cache import AuthorizerCache, cache_key
from fleet.gateway.authorizer_policy import Authorization, MalformedPolicy, Verdict
from fleet.gateway.authorizer_rules import REST_REQUEST, AuthorizerRules
from fleet.gateway.identity import RepeatedIdentity, identity_source
from fleet.gateway.proxy_event import Api
from fleet.gateway.refusal import Refusal
from fleet.gateway.request import GatewayRequest
from fleet.gateway.routes import Match
from shoebox.telemetry import get_logger

_ARN_BYTES = 1600  # "Amazon API Gateway quotas": ARN length of a method with authorization
_log = get_logger(action="fleet.authorizer")


class Authorizer:
    """A Lambda authorizer; `identity` names its identity sources, `rules` are those of its type and flavour."""

    def __init__(
        self,
        api: Api,
        *,
        identity: str | Sequence[str],
        ask: Callable[[bytes, str], Awaitable[InvokeResult]],
        cache: AuthorizerCache[Authorization],
        rules: AuthorizerRules = REST_REQUEST,
    ) -> None:
        names = [identity] if isinstance(identity, str) else identity
        self._api = api
        self._sources = [identity_source(name, api.variables) for name in names]
        self._ask = ask
        self._cache = cache
        self._rules = rules
        self._needs_identity = rules.always_needs_identity or cache.keeps
        self._asking: dict[bytes, asyncio.Task[Authorization]] = {}

    async def authorize(self, request: GatewayRequest, match: Match) -> dict[str, Any]:
        """The context for the function behind the route.

        Raises:
            Refusal: no identity, or one that does not fit the pattern (UNAUTHORIZED), several (IDENTITY_REPEATED), a
                policy that does not allow this method (ACCESS_DENIED), an authorizer that failed (AUTHORIZER_FAILURE,
                AUTHORIZER_CONFIGURATION_ERROR), or a method whose ARN is too long (URI_TOO_LONG).
        """
        arn = self._api.method_arn(request)
        if len(arn) > _ARN_BYTES / 4 and len(arn.encode()) > _ARN_BYTES:
            raise Refusal("URI_TOO_LONG")
        identity = self._identity(request, match)
        began = time.monotonic()
        answer = await self._answer(identity, request, match)
        verdict = answer.verdict(arn)
        if verdict is Verdict.ALLOW and request.path != request.raw_path:
            # Routes compare names decoded, so a Deny counts for the decoded path, too: no encoding leads round it.
            decoded = answer.verdict(self._api.method_arn(replace(request, raw_path=request.path)))
            verdict = Verdict.EXPLICIT_DENY if decoded is Verdict.EXPLICIT_DENY else verdict
        if verdict is not Verdict.ALLOW:
            raise Refusal("ACCESS_DENIED", answer.context, fault=_DENIALS[verdict])
        return self._rules.passed(answer, int((time.monotonic() - began) * 1000))

    def _identity(self, request: GatewayRequest, match: Match) -> list[str]:
        try:
            identity = [source(request, match) for source in self._sources]
        except RepeatedIdentity as error:
            raise Refusal("IDENTITY_REPEATED") from error
        if self._needs_identity and not all(identity):
            raise Refusal("UNAUTHORIZED")
        if self._rules.validation and not self._rules.validation.fullmatch(identity[0]):
            raise Refusal("UNAUTHORIZED")
        return identity

    async def _answer(self, identity: list[str], request: GatewayRequest, match: Match) -> Authorization:
        if not self._cache.keeps:
            return await self._call(identity, request, match)
        key = cache_key(*identity)
        if kept := self._cache.get(key):
            return kept
        task = self._asking.get(key)
        if task is None:
            task = self._asking[key] = asyncio.create_task(self._call_and_keep(key, identity, request, match))
            task.add_done_callback(lambda _: self._asking.pop(key, None))
        return await asyncio.shield(task)

    async def _call_and_keep(
        self, key: bytes, identity: list[str], request: GatewayRequest, match: Match
    ) -> Authorization:
        answer = await self._call(identity, request, match)
        self._cache.put(key, answer)
        return answer

    async def _call(self, identity: list[str], request: GatewayRequest, match: Match) -> Authorization:
        event = orjson.dumps(self._rules.event(self._api, request, match, identity))
        try:
            async with asyncio.timeout(self._rules.seconds):
                result = await self._ask(event, request.trace_id)
        except (InvokeError, TimeoutError) as error:
            _log.warning("authorizer not run", error=type(error).__name__, request_id=request.request_id)
            raise Refusal("AUTHORIZER_FAILURE") from error
        if result.function_error:
            raise _failure(result, request)
        try:
            return self._rules.parse(result.payload)
        except MalformedPolicy as error:
            _log.error("authorizer output", reason=str(error), request_id=request.request_id)
            raise Refusal("AUTHORIZER_CONFIGURATION_ERROR") from error


_DENIALS = {Verdict.EXPLICIT_DENY: "ACCESS_DENIED", Verdict.IMPLICIT_DENY: "IMPLICIT_DENY"}


def _failure(result: InvokeResult, request: GatewayRequest) -> Refusal:
    """Raising exactly "Unauthorized" means 401; every other error is a fault of ours."""
    try:
        message = orjson.loads(result.payload).get("errorMessage")
    except (orjson.JSONDecodeError, AttributeError):
        message = None
    if message == "Unauthorized":
        return Refusal("UNAUTHORIZED")
    _log.error("authorizer failed", request_id=request.request_id)
    return Refusal("AUTHORIZER_FAILURE")
