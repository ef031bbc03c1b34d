"""The authorizer against the real place of the keys: the public bucket, read by anyone, as stack.yaml sets it up."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import aiohttp
import pytest
import pytest_asyncio

from api.authorizer import Authorizer
from api.tenant_keys import TenantKeys
from shoebox.aws.clients import Clients
from shoebox.config import AuthorizerSettings
from shoebox.stack.deployment import ResolvedStack
from shoebox.tenants.key_source import open_key_source
from shoebox.tenants.keys import KeyPair, jwks_document
from shoebox.tenants.tokens import mint_token

pytestmark = pytest.mark.asyncio(loop_scope="session")
ARN = "arn:aws:execute-api:us-east-1:000000000000:shoebox/live/GET/v1/files"


@pytest.fixture
def address(provisioned: ResolvedStack) -> str:
    """Where stack.yaml tells the authorizer to look."""
    return AuthorizerSettings.from_environment(provisioned.environment("authorizer")).keys_url


@pytest_asyncio.fixture(loop_scope="session")
async def authorizer(address: str) -> AsyncIterator[Authorizer]:
    """Return the authorizer with its own HTTP client."""
    async with open_key_source(address) as source:
        yield Authorizer(TenantKeys(source))


async def authorize(authorizer: Authorizer, pair: KeyPair, tenant: str) -> dict[str, str]:
    """Return the context of the response to a token of `tenant`, signed with `pair`."""
    token = mint_token(pair, tenant=tenant, user="anna", now=time.time())
    response = await authorizer.authorize({"methodArn": ARN, "headers": {"authorization": f"Bearer {token}"}})
    context: dict[str, str] = response["context"]
    return context


async def test_published_keys_let_their_tenant_in(
    authorizer: Authorizer, root: Clients, provisioned: ResolvedStack
) -> None:
    """A document under keys/ in the public bucket is all that a tenant needs; others stay unknown."""
    pairs = [KeyPair.generate("EdDSA"), KeyPair.generate("ES256")]
    bucket = provisioned.name_of("bucket", "public")
    await (await root.open("s3")).put_object(Bucket=bucket, Key="keys/keytest.json", Body=jwks_document(pairs))

    for pair in pairs:
        assert (await authorize(authorizer, pair, "keytest"))["tenant"] == "keytest"
    assert (await authorize(authorizer, pairs[0], "keytest-without"))["code"] == "tenant_unknown"
    assert (await authorize(authorizer, KeyPair.generate(), "keytest"))["code"] == "key_unknown"


@pytest.mark.only_on("embedded", reason="LocalStack enforces no bucket's policy")
async def test_only_keys_are_public(address: str, root: Clients, provisioned: ResolvedStack) -> None:
    """Anyone reads keys, and nobody without credentials lists, writes, or reads anything else."""
    bucket = provisioned.name_of("bucket", "public")
    s3 = await root.open("s3")
    for key in ("keys/open.json", "private.json"):
        await s3.put_object(Bucket=bucket, Key=key, Body=b"{}")
    base = address.removesuffix("/keys")

    async with aiohttp.ClientSession() as http:
        for method, url, status in (
            ("GET", f"{base}/keys/open.json", 200),
            ("GET", f"{base}/private.json", 403),
            ("GET", f"{base}?list-type=2", 403),
            ("PUT", f"{base}/keys/open.json", 403),
            ("DELETE", f"{base}/keys/open.json", 403),
        ):
            async with http.request(method, url) as response:
                assert response.status == status, (method, url)
