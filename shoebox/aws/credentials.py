"""Access keys of AWS, and where clients get them from."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Credentials:
    """Access keys of a user or an assumed role; never logged, so never shown."""

    access_key_id: str
    secret_access_key: str
    session_token: str | None = None

    def __repr__(self) -> str:
        return f"Credentials({self.access_key_id[:4]}…)"


CredentialsSource = Callable[[], Awaitable[Credentials]]
"""Gives the credentials of the moment: they may be renewed while the process lives."""


def fixed_credentials(credentials: Credentials) -> CredentialsSource:
    """Return a source that always gives these."""

    async def source() -> Credentials:
        return credentials

    return source
