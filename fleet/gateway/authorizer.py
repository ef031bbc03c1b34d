"""Asks a route's authorizer, once for equal identities, and decides by its policy."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import orjson

from fleet.environments.invocation import InvokeResult
from fleet.errors import InvokeError
from fleet.gateway.authorizer_cache import AuthorizerCache, cache_key
from fleet.gateway.authorizer_policy import Authorization, MalformedPolicy, parse_output
from fleet.gateway.proxy_event import Api, authorizer_event
from fleet.gateway.request import GatewayRequest
from fleet.gateway.routes import Match
from shoebox.telemetry import get_logger

_log = get_logger(action="fleet.authorizer")


class Refusal(Exception):
    """The request may not pass: a gateway response type, and the authorizer's context to fill it in."""

    def __init__(self, kind: str, context: dict[str, str] | None = None) -> None:
        super().__init__(kind)
        self.kind = kind
        self.context = context


class Authorizer:
    """A REQUEST authorizer; `identity` is the header that names the caller, in lower case."""

    def __init__(
        self,
        api: Api,
        *,
        identity: str,
        ask: Callable[[bytes, str], Awaitable[InvokeResult]],
        cache: AuthorizerCache[Authorization],
    ) -> None:
        self._api = api
        self._identity = identity.lower()
        self._ask = ask
        self._cache = cache
        self._asking: dict[bytes, asyncio.Task[Authorization]] = {}

    async def authorize(self, request: GatewayRequest, match: Match) -> dict[str, Any]:
        """The context for the function behind the route.

        Raises:
            Refusal: no identity (UNAUTHORIZED), a policy that does not allow this method (ACCESS_DENIED), or an
                authorizer that failed (AUTHORIZER_FAILURE, AUTHORIZER_CONFIGURATION_ERROR).
        """
        identity = request.header(self._identity)
        if not identity:
            raise Refusal("UNAUTHORIZED")
        began = time.monotonic()
        answer = await self._answer(cache_key(identity), request, match)
        if not answer.allows(self._api.method_arn(request)):
            raise Refusal("ACCESS_DENIED", dict(answer.context))
        latency = int((time.monotonic() - began) * 1000)
        return {"principalId": answer.principal, "integrationLatency": latency, **answer.context}

    async def _answer(self, key: bytes, request: GatewayRequest, match: Match) -> Authorization:
        if kept := self._cache.get(key):
            return kept
        task = self._asking.get(key)
        if task is None:
            task = self._asking[key] = asyncio.create_task(self._call(key, request, match))
            task.add_done_callback(lambda _: self._asking.pop(key, None))
        return await asyncio.shield(task)

    async def _call(self, key: bytes, request: GatewayRequest, match: Match) -> Authorization:
        event = orjson.dumps(authorizer_event(self._api, request, match))
        try:
            result = await self._ask(event, request.trace_id)
        except InvokeError as error:
            _log.warning("authorizer not run", code=error.code, request_id=request.request_id)
            raise Refusal("AUTHORIZER_FAILURE") from error
        if result.function_error:
            raise _failure(result, request)
        try:
            answer = parse_output(result.payload)
        except MalformedPolicy as error:
            _log.error("authorizer output", reason=str(error), request_id=request.request_id)
            raise Refusal("AUTHORIZER_CONFIGURATION_ERROR") from error
        self._cache.put(key, answer)
        return answer


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
