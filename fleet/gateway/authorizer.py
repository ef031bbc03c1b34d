"""Asks a route's authorizer, once for equal identities, and decides by its policy.

Sources: API Gateway, "Use API Gateway Lambda authorizers", "Configure a Lambda authorizer using the API Gateway
console", "Control access to HTTP APIs with AWS Lambda authorizers". The authorization is cached by the values of all
identity sources, for every route: a policy for one method refuses the next one, as on AWS. With a cache, equal requests
at once share one call; AWS promises neither that nor the contrary.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson

from fleet.environments.invocation import InvokeResult
from fleet.errors import InvokeError
from fleet.gateway.authorizer_policy import Authorization, MalformedPolicy, Verdict
from fleet.gateway.authorizer_rules import REST_REQUEST, AuthorizerRules, RepeatedIdentity, identity_source
from fleet.gateway.events import Api
from fleet.gateway.refusals import Refusal
from fleet.gateway.request import GatewayRequest
from fleet.gateway.routes import Match
from shoebox.telemetry import get_logger

_MAX_ARN_BYTES = 1600  # "Amazon API Gateway quotas": ARN length of a method with authorization
_FAULTS = {Verdict.EXPLICIT_DENY: "ACCESS_DENIED", Verdict.IMPLICIT_DENY: "IMPLICIT_DENY"}
_log = get_logger(action="fleet.authorizer")


@dataclass(frozen=True, slots=True)
class CacheStatistics:
    """Authorizations that are kept now, and look-ups that found one or did not."""

    size: int
    hits: int
    misses: int


class AuthorizerCache:
    """Keeps authorizations by identity, for `ttl` seconds (0: not at all), and the `max_size` last used of them."""

    def __init__(self, ttl: float, *, max_size: int = 10_000, clock: Callable[[], float]) -> None:
        self._ttl = ttl
        self._max_size = max_size
        self._clock = clock
        self._kept: OrderedDict[bytes, tuple[float, Authorization]] = OrderedDict()
        self._hits = 0
        self._misses = 0

    @property
    def keeps(self) -> bool:
        """Whether authorizations are kept at all."""
        return self._ttl > 0

    def get(self, key: bytes) -> Authorization | None:
        """Return the authorization for a key, unless it is too old."""
        kept = self._kept.get(key)
        if kept is None or self._clock() >= kept[0]:
            self._kept.pop(key, None)
            self._misses += 1
            return None
        self._hits += 1
        self._kept.move_to_end(key)
        return kept[1]

    def put(self, key: bytes, authorization: Authorization) -> None:
        """Keep an authorization; the least recently used one makes room."""
        if self._ttl <= 0:
            return
        self._kept[key] = (self._clock() + self._ttl, authorization)
        self._kept.move_to_end(key)
        if len(self._kept) > self._max_size:
            self._kept.popitem(last=False)

    def statistics(self) -> CacheStatistics:
        """Return the cache's state now."""
        return CacheStatistics(len(self._kept), self._hits, self._misses)


def cache_key(*identity: str) -> bytes:
    """Return the key of an identity, from which a token cannot be read back."""
    # Lengths keep ("a", "bc") and ("ab", "c") apart.
    return hashlib.sha256("".join([f"{len(value)}:{value}" for value in identity]).encode()).digest()


class Authorizer:
    """A Lambda authorizer; `identity` names its identity sources, `rules` are those of its type and flavour."""

    def __init__(
        self,
        api: Api,
        *,
        identity: Sequence[str],
        ask: Callable[[bytes, str], Awaitable[InvokeResult]],
        cache: AuthorizerCache,
        rules: AuthorizerRules = REST_REQUEST,
    ) -> None:
        self._api = api
        self._sources = [identity_source(name, api.variables) for name in identity]
        self._ask = ask
        self._cache = cache
        self._rules = rules
        self._needs_identity = rules.always_needs_identity or cache.keeps
        self._asking: dict[bytes, asyncio.Task[Authorization]] = {}

    async def authorize(self, request: GatewayRequest, match: Match) -> dict[str, Any]:
        """Return the context for the function behind the route.

        Raises:
            Refusal: no identity, or one that does not fit the pattern (UNAUTHORIZED), several (IDENTITY_REPEATED), a
                policy that does not allow this method (ACCESS_DENIED), an authorizer that failed (AUTHORIZER_FAILURE,
                AUTHORIZER_CONFIGURATION_ERROR), or a method whose ARN is too long (URI_TOO_LONG).
        """
        arn = self._api.method_arn(request)
        if len(arn) > _MAX_ARN_BYTES / 4 and len(arn.encode()) > _MAX_ARN_BYTES:
            raise Refusal("URI_TOO_LONG")
        identity = self._identity(request, match)
        began = time.monotonic()
        authorization = await self._authorization(identity, request, match)
        verdict = authorization.verdict(arn)
        if verdict is Verdict.ALLOW and request.path != request.raw_path:
            # Routes compare names decoded, so a Deny counts for the decoded path, too: no encoding leads round it.
            decoded = authorization.verdict(self._api.method_arn(replace(request, raw_path=request.path)))
            verdict = Verdict.EXPLICIT_DENY if decoded is Verdict.EXPLICIT_DENY else verdict
        if verdict is not Verdict.ALLOW:
            raise Refusal("ACCESS_DENIED", authorization.context, fault=_FAULTS[verdict])
        return self._rules.context_of(authorization, int((time.monotonic() - began) * 1000))

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

    async def _authorization(self, identity: list[str], request: GatewayRequest, match: Match) -> Authorization:
        """Return the cached authorization of an identity, or ask for one."""
        if not self._cache.keeps:
            return await self._call(identity, request, match)
        key = cache_key(*identity)
        if kept := self._cache.get(key):
            return kept
        task = self._asking.get(key)
        if task is None:  # a task, so that a client that goes away does not stop it for the others
            task = self._asking[key] = asyncio.create_task(self._call_and_keep(key, identity, request, match))
            task.add_done_callback(lambda _: self._asking.pop(key, None))
        return await asyncio.shield(task)

    async def _call_and_keep(
        self, key: bytes, identity: list[str], request: GatewayRequest, match: Match
    ) -> Authorization:
        authorization = await self._call(identity, request, match)
        self._cache.put(key, authorization)
        return authorization

    async def _call(self, identity: list[str], request: GatewayRequest, match: Match) -> Authorization:
        event = orjson.dumps(self._rules.event(self._api, request, match, identity))
        try:
            async with asyncio.timeout(self._rules.timeout):
                result = await self._ask(event, request.trace_id)
        except (InvokeError, TimeoutError) as error:
            _log.warning("authorizer_not_run", error=type(error).__name__, request_id=request.request_id)
            raise Refusal("AUTHORIZER_FAILURE") from error
        if result.function_error:
            raise _failure(result, request)
        try:
            return self._rules.parse(result.payload)
        except MalformedPolicy as error:
            _log.error("authorizer_output_malformed", reason=str(error), request_id=request.request_id)
            raise Refusal("AUTHORIZER_CONFIGURATION_ERROR") from error


def _failure(result: InvokeResult, request: GatewayRequest) -> Refusal:
    """Return the refusal for an authorizer's error."""
    try:
        message = orjson.loads(result.payload).get("errorMessage")
    except (orjson.JSONDecodeError, AttributeError):
        message = None
    if message == "Unauthorized":  # exactly this word means 401; every other error is a fault of ours
        return Refusal("UNAUTHORIZED")
    _log.error("authorizer_failed", request_id=request.request_id)
    return Refusal("AUTHORIZER_FAILURE")
