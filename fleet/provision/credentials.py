"""Temporary credentials of the functions' roles, as Lambda gives them to an execution environment."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from fleet.provision.report import reporting
from fleet.provision.roles import SESSION_SECONDS
from shoebox.aws import Clients, Credentials
from shoebox.place import BoundStack

_EARLY = timedelta(hours=1)  # an environment gets credentials that last at least this long


def _utc_now() -> datetime:
    return datetime.now(UTC)


class RoleCredentials:
    """Takes each function's role once, and again before its credentials expire."""

    def __init__(self, bound: BoundStack, clients: Clients, *, now: Callable[[], datetime] = _utc_now) -> None:
        self._bound = bound
        self._clients = clients
        self._now = now
        self._sts: Any = None
        self._lock = asyncio.Lock()
        self._cached: dict[str, tuple[Credentials, datetime]] = {}

    async def get(self, function: str) -> tuple[Credentials, datetime]:
        """Credentials of the function's role, and when they expire (UTC).

        Raises:
            Problem: the role does not exist or may not be taken.
            StackError: the stack has no such function.
        """
        async with self._lock:
            known = self._cached.get(function)
            if known is None or known[1] - self._now() < _EARLY:
                known = self._cached[function] = await self._assume(function)
            return known

    async def _assume(self, function: str) -> tuple[Credentials, datetime]:
        name = self._bound.name_of("function", function)
        with reporting("role", name):
            self._sts = self._sts or await self._clients.open("sts")
            answer = await self._sts.assume_role(
                RoleArn=self._bound.role_arn_of(function), RoleSessionName=name, DurationSeconds=SESSION_SECONDS
            )
        keys = answer["Credentials"]
        credentials = Credentials(keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"])
        return credentials, keys["Expiration"]
