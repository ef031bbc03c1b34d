"""Credentials of the functions' roles: asked for when needed, cached until shortly before they expire."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

from shoebox.aws.credentials import Credentials

Clock: TypeAlias = Callable[[], float]


@dataclass(frozen=True, slots=True)
class RoleCredentials:
    """An assumed role's keys and when they stop working, in seconds since the epoch."""

    keys: Credentials
    expires_at: float

    def usable(self, timeout: float, now: float) -> float:
        """Return for how many seconds from `now` new invocations may use them; `timeout` is the function's."""
        life = self.expires_at - now  # the last invocation may need its whole timeout
        return life - min(timeout + 60, life / 2)


CredentialsSource: TypeAlias = Callable[[str], Awaitable[RoleCredentials]]
"""`await source(function)` assumes the role of a function, by its name in stack.yaml.

It raises `CredentialsError` when the role cannot be assumed.
"""


class CredentialsError(Exception):
    """A function's role cannot be assumed now; the message says why."""


class CredentialsCache:
    """One lease a function, renewed when less than `margin` of its life is left; callers at once share one request."""

    def __init__(self, source: CredentialsSource, *, margin: float = 0.25, clock: Clock = time.time) -> None:
        self._source = source
        self._margin = margin
        self._clock = clock
        self._leases: dict[str, tuple[float, RoleCredentials]] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    async def get(self, function: str) -> RoleCredentials:
        """Return credentials of `function`'s role with at least `margin` of their life left.

        Raises:
            CredentialsError: the role cannot be assumed.
        """
        async with self._locks.setdefault(function, asyncio.Lock()):
            lease = self._leases.get(function)
            if lease is None or self._clock() >= lease[0]:
                lease = self._leases[function] = await self._renew(function)
            return lease[1]

    def forget(self) -> None:
        """Forget all credentials: after a restart, the emulator that gave them does not know them any more."""
        self._leases.clear()

    async def _renew(self, function: str) -> tuple[float, RoleCredentials]:
        asked_at = self._clock()
        credentials = await self._source(function)
        life = credentials.expires_at - asked_at
        return credentials.expires_at - life * self._margin, credentials
