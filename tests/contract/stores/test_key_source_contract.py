"""What every `KeySource` promises; on AWS the documents are in the public bucket, which anyone may read."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import pytest

from shoebox.aws.clients import Clients
from shoebox.tenants.key_source import KeySource, MemoryKeySource, open_key_source
from tests.contract.stores.conftest import Backend


@dataclass(frozen=True, slots=True)
class Published:
    """A source, and how a tenant's document gets there."""

    source: KeySource
    publish: Callable[[str, bytes], Awaitable[None]]


@pytest.fixture
async def keys(backend: Backend | None, clients: Clients | None) -> AsyncIterator[Published]:
    """Open a source of keys."""
    if backend is None or clients is None:
        memory = MemoryKeySource()

        async def publish(tenant: str, document: bytes) -> None:
            memory.documents[tenant] = document

        yield Published(memory, publish)
        return
    s3, bucket = await clients.open("s3"), backend.resolved.name_of("bucket", "public")

    async def put(tenant: str, document: bytes) -> None:
        await s3.put_object(Bucket=bucket, Key=f"keys/{tenant}.json", Body=document)

    async with open_key_source(f"{backend.emulator.url}/{bucket}/keys") as source:
        yield Published(source, put)


async def test_what_is_published_is_found(keys: Published) -> None:
    """A document as it is, the newest where there were several; None for a tenant without one."""
    tenant = f"t{uuid.uuid4().hex[:12]}"
    assert await keys.source.fetch(tenant) is None

    for document in (b'{"keys": []}', b'{"keys": [{}]}'):
        await keys.publish(tenant, document)
        assert await keys.source.fetch(tenant) == document
