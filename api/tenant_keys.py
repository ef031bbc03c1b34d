"""A cache of the tenants' public keys, for the authorizer.

Anyone can send a token that names any tenant and any key, so every rule here bounds what such requests can cause:

- Keys are fresh for `ttl`. After that they are fetched again; if that fails they are used until they are `max_stale`
  old, and the next try waits `retry_after`.
- An unknown key id makes one fetch per tenant in `retry_after`: a rotated key is found, and guesses cost nothing more.
- An unknown tenant is remembered for `retry_after`, in a cache of its own: guesses never evict real tenants.
- Requests for one tenant at one time share one fetch. Both caches evict the least recently used.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from shoebox.errors import Unauthorized, Unavailable
from shoebox.telemetry import get_logger
from shoebox.tenants.jwks import JwksError, VerificationKey, read_jwks
from shoebox.tenants.key_source import KeySource

_Value = TypeVar("_Value")
_log = get_logger()


@dataclass(frozen=True, slots=True)
class KeyCachePolicy:
    """How long entries are kept, in seconds, and of how many tenants."""

    ttl: float = 300
    max_stale: float = 3600
    retry_after: float = 30
    max_tenants: int = 1000


@dataclass(frozen=True, slots=True)
class Statistics:
    """Fetches so far, failed ones among them, and the known and unknown tenants in the cache now."""

    fetches: int
    failures: int
    known: int
    unknown: int


@dataclass(frozen=True, slots=True)
class _Known:
    keys: Mapping[str, VerificationKey]
    fetched_at: float
    tried_at: float


class TenantKeys:
    """Finds the key that a token names, in the cache or at its source."""

    def __init__(
        self, source: KeySource, policy: KeyCachePolicy | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._source = source
        self._policy = policy or KeyCachePolicy()
        self._clock = clock
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._unknown: OrderedDict[str, float] = OrderedDict()
        self._fetches_in_flight: dict[str, asyncio.Task[None]] = {}
        self._fetches = self._failures = 0

    async def key(self, tenant: str, key_id: str) -> VerificationKey:
        """Return the tenant's key `key_id`; `tenant` must have been checked against its pattern.

        Raises:
            Unauthorized: tenant_unknown or key_unknown.
            Unavailable: the keys cannot be fetched now, and none that are fresh enough are cached.
        """
        if self._should_fetch(tenant, key_id):
            await self._refresh(tenant)
        if tenant in self._unknown:
            raise Unauthorized("The token's `iss` is no tenant here.", code="tenant_unknown")
        held = self._known.get(tenant)
        if held is None or self._clock() - held.fetched_at >= self._policy.max_stale:
            raise Unavailable("The tenant's keys cannot be fetched at this moment.")
        if key_id not in held.keys:
            raise Unauthorized("The token's `kid` is no key of its tenant.", code="key_unknown")
        return held.keys[key_id]

    @property
    def statistics(self) -> Statistics:
        """A snapshot."""
        return Statistics(self._fetches, self._failures, len(self._known), len(self._unknown))

    def _should_fetch(self, tenant: str, key_id: str) -> bool:
        now = self._clock()
        if tenant in self._unknown:
            self._unknown.move_to_end(tenant)
            return now - self._unknown[tenant] >= self._policy.retry_after
        held = self._known.get(tenant)
        if held is None:
            return True
        self._known.move_to_end(tenant)
        age = now - held.fetched_at
        if age >= self._policy.max_stale:
            return True
        may_try = now - held.tried_at >= self._policy.retry_after
        failed_last = held.tried_at > held.fetched_at
        return (age >= self._policy.ttl and (may_try or not failed_last)) or (key_id not in held.keys and may_try)

    async def _refresh(self, tenant: str) -> None:
        """Fetch a tenant's keys, or wait for the fetch that is in flight."""
        task = self._fetches_in_flight.get(tenant)
        if task is None:
            task = asyncio.create_task(self._fetch_keys(tenant))
            self._fetches_in_flight[tenant] = task
            task.add_done_callback(lambda _: self._fetches_in_flight.pop(tenant, None))
        await asyncio.shield(task)  # one request that is cancelled must not cancel the fetch of the others

    async def _fetch_keys(self, tenant: str) -> None:
        self._fetches += 1
        try:
            document = await self._source.fetch(tenant)
            keys = None if document is None else read_jwks(document)
        except (Unavailable, JwksError) as error:
            self._failures += 1
            _log.warning("tenant_keys_not_fetched", tenant=tenant, detail=str(error))
            if tenant in self._known:
                self._known[tenant] = replace(self._known[tenant], tried_at=self._clock())
            if tenant in self._unknown:
                self._unknown[tenant] = self._clock()
            return
        now = self._clock()
        if keys is None:
            self._known.pop(tenant, None)
            _remember(self._unknown, tenant, now, self._policy.max_tenants)
        else:
            self._unknown.pop(tenant, None)
            _remember(self._known, tenant, _Known(keys, now, now), self._policy.max_tenants)


def _remember(memory: OrderedDict[str, _Value], tenant: str, value: _Value, max_size: int) -> None:
    memory[tenant] = value
    memory.move_to_end(tenant)
    while len(memory) > max_size:
        memory.popitem(last=False)
