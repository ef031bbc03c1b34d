"""A shop with its keys, and what API Gateway sends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from shoebox.tenants.keys import KeyPair, jwks_document
from shoebox.tenants.tokens import mint_token


@pytest.fixture(scope="session")
def now() -> int:
    """The time in these tests: epoch seconds."""
    return 1_800_000_000


@pytest.fixture(scope="session")
def demo() -> KeyPair:
    """The key pair of the tenant `demo`."""
    return KeyPair.generate()


@pytest.fixture(scope="session")
def other() -> KeyPair:
    """The key pair of the tenant `other`."""
    return KeyPair.generate("ES256")


@pytest.fixture
def published(demo: KeyPair, other: KeyPair) -> dict[str, bytes]:
    """What the tenants publish: tenant → JWKS."""
    return {"demo": jwks_document([demo]), "other": jwks_document([other])}


@pytest.fixture
def token(demo: KeyPair, now: int) -> Callable[..., str]:
    """Mints tokens of anna at demo."""
    return lambda **given: mint_token(**{"pair": demo, "tenant": "demo", "user": "anna", "now": now, **given})


@pytest.fixture
def authorizer_event() -> Callable[..., dict[str, Any]]:
    """Makes a REST API's REQUEST authorizer event ("Input to an API Gateway Lambda authorizer")."""

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
