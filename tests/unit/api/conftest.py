"""A shop with its keys, what API Gateway sends, and the API on the stores in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from api.dependencies import Services
from shoebox.config import Limits
from shoebox.files.memory import LinkResponse, MemoryDeletionQueue, MemoryFileStore, MemoryPictureStore
from shoebox.tenants.keys import KeyPair, jwks_document
from shoebox.tenants.tokens import mint_token
from tests.api_bench import PART, SETTINGS, Bench, Clock, serving


@pytest.fixture(scope="session")
def now() -> int:
    """Return the time in these tests: epoch seconds."""
    return 1_800_000_000


@pytest.fixture(scope="session")
def demo() -> KeyPair:
    """Return the key pair of the tenant `demo`."""
    return KeyPair.generate()


@pytest.fixture(scope="session")
def other() -> KeyPair:
    """Return the key pair of the tenant `other`."""
    return KeyPair.generate("ES256")


@pytest.fixture
def published(demo: KeyPair, other: KeyPair) -> dict[str, bytes]:
    """Return what the tenants publish: tenant → JWKS."""
    return {"demo": jwks_document([demo]), "other": jwks_document([other])}


@pytest.fixture
def token(demo: KeyPair, now: int) -> Callable[..., str]:
    """Mints tokens of anna at demo."""
    return lambda **given: mint_token(**{"pair": demo, "tenant": "demo", "user": "anna", "now": now, **given})


@pytest.fixture
def authorizer_event() -> Callable[..., dict[str, Any]]:
    """Return what makes a REST API's REQUEST authorizer event ("Input to an API Gateway Lambda authorizer")."""

    def event(*authorization: str, name: str = "Authorization", path: str = "/v1/files") -> dict[str, Any]:
        return {
            "type": "REQUEST",
            "methodArn": f"arn:aws:execute-api:us-east-1:123456789012:abcdef123/live/GET{path}",
            "resource": "/v1/{proxy+}",
            "path": path,
            "httpMethod": "GET",
            "headers": {"Host": "x", **({name: authorization[-1]} if authorization else {})},
            "multiValueHeaders": {"Host": ["x"], **({name: list(authorization)} if authorization else {})},
            "queryStringParameters": {},
            "pathParameters": {"proxy": "files"},
            "stageVariables": {},
            "requestContext": {"path": path, "stage": "live", "requestId": "1", "httpMethod": "GET"},
        }

    return event


@dataclass
class MemoryBench(Bench):
    """The API on the stores in memory."""

    files: MemoryFileStore = field(kw_only=True)
    pictures: MemoryPictureStore = field(kw_only=True)
    deletions: MemoryDeletionQueue = field(kw_only=True)


@pytest.fixture
async def bench() -> AsyncIterator[MemoryBench]:
    """Open the API on the stores in memory, at the real time."""
    clock = Clock()
    files, pictures, deletions = MemoryFileStore(now=clock), MemoryPictureStore(now=clock), MemoryDeletionQueue()
    services = Services(SETTINGS, Limits(part_bytes=PART), files, pictures, deletions, clock)

    async def send(method: str, url: str, data: bytes, headers: dict[str, str]) -> LinkResponse:
        return pictures.send(method, url, data, headers)

    async with serving(services) as handler:
        yield MemoryBench(handler, services, clock, send, pictures, files=files, pictures=pictures, deletions=deletions)
