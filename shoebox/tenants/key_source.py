"""Where the tenants' public keys are published: over HTTP, or in memory for tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Protocol
from urllib.parse import urlsplit

from shoebox.aws.connections import Connections
from shoebox.aws.errors import AwsError
from shoebox.errors import Unavailable


class KeySource(Protocol):
    """Gives the documents with tenants' public keys: each a JWKS (RFC 7517)."""

    async def fetch(self, tenant: str) -> bytes | None:
        """Return a tenant's document; None if there is no such tenant.

        `tenant` must have been checked against its pattern.

        Raises:
            Unavailable: retryable; the document cannot be read now.
        """
        ...


class HttpKeySource:
    """Fetches the documents under `keys_url`, in `seconds` all told and of at most `max_bytes`.

    Redirects are not followed and proxies not used: only this address is trusted to name keys. The bucket is public, so
    that the authorizer needs no AWS client.
    """

    def __init__(
        self, keys_url: str, *, seconds: float = 2.0, max_bytes: int = 65_536, max_connections: int = 8
    ) -> None:
        self._path = urlsplit(keys_url).path.rstrip("/")
        self._seconds = seconds
        self._connections = Connections(keys_url, max_connections=max_connections, max_bytes=max_bytes)

    async def fetch(self, tenant: str) -> bytes | None:
        """Return `{keys_url}/{tenant}.json`; None for 404 and 403, as S3 answers when a key is not there.

        S3 says 403 where the caller may not list the bucket ("GetObject", permissions).

        Raises:
            Unavailable: network, time, size, or an unexpected status.
        """
        lines = (
            f"GET {self._path}/{tenant}.json HTTP/1.1",
            f"Host: {self._connections.host}",
            "Accept: application/json",
        )
        head = ("\r\n".join(lines) + "\r\n\r\n").encode()
        try:
            async with asyncio.timeout(self._seconds):  # also of the wait for a free connection
                response = await self._connections.exchange(head, self._seconds)
        except TimeoutError as error:
            raise Unavailable(f"no response within {self._seconds:g} s") from error
        except AwsError as error:
            raise Unavailable(str(error)) from error
        if response.status in {HTTPStatus.NOT_FOUND, HTTPStatus.FORBIDDEN}:
            return None
        if response.status != HTTPStatus.OK:
            raise Unavailable(f"GET failed with {response.status}")
        return response.body

    def close(self) -> None:
        """Close the connections."""
        self._connections.close()


@asynccontextmanager
async def open_key_source(keys_url: str) -> AsyncIterator[HttpKeySource]:
    """Open the keys under `keys_url`, and close the connections at the end."""
    source = HttpKeySource(keys_url)
    try:
        yield source
    finally:
        source.close()


class MemoryKeySource:
    """A `KeySource` in memory: `documents` by tenant, and `error`, which is raised while there is one."""

    def __init__(self, documents: Mapping[str, bytes] | None = None) -> None:
        self.documents = dict(documents or {})
        self.error: Unavailable | None = None

    async def fetch(self, tenant: str) -> bytes | None:
        """Return a tenant's document."""
        await asyncio.sleep(0)
        if self.error:
            raise self.error
        return self.documents.get(tenant)
