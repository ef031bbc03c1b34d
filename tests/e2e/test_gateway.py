"""Gateway, authorizer and API together, as a client meets them: every bad token and request gets its problem code."""

import json
import time
import uuid
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import jwt
import pytest
from yarl import URL

from shoebox.tenants.keys import KeyPair, jwks_document
from shoebox.tenants.tokens import mint_token
from standalone.stack import StandaloneStack
from tests.e2e.conftest import Start

PHOTO = {"name": "a.jpg", "size": 5, "content_type": "image/jpeg", "sha256": "ab" * 32}
PAIRS = {tenant: KeyPair.generate() for tenant in ("demo", "other")}
STRANGER = KeyPair.generate()


class Service:
    """The running stack, and a client of it."""

    def __init__(self, local: StandaloneStack, session: aiohttp.ClientSession) -> None:
        self.local = local
        self._session = session

    async def ask(self, method: str, path: str, token: str | None = None, **options: Any) -> tuple[int, dict[str, Any]]:
        """Status and document of one request; every answer must be JSON, and a problem if it is no success."""
        headers = {"authorization": f"Bearer {token}"} if token is not None else {}
        url = URL(self.local.fleet.gateway_url + path, encoded=True)
        async with self._session.request(method, url, headers=headers, **options) as answer:
            document = json.loads(await answer.read())
            if answer.status >= 400:
                assert answer.content_type == "application/problem+json"
                assert document["status"] == answer.status
            return answer.status, document

    async def code(self, method: str, path: str, token: str | None = None, **options: Any) -> tuple[int, str]:
        """Status and problem code of one request."""
        status, document = await self.ask(method, path, token, **options)
        return status, document["code"]


@pytest.fixture
async def service(start: Start) -> AsyncIterator[Service]:
    """Provide a stack with two tenants."""
    async with start() as system, aiohttp.ClientSession() as session:
        s3, bucket = await system.client("s3"), system.name("bucket", "public")
        for tenant, pair in PAIRS.items():
            await s3.put_object(Bucket=bucket, Key=f"keys/{tenant}.json", Body=jwks_document([pair]))
        yield Service(system.local, session)


def token(pair: KeyPair = PAIRS["demo"], *, tenant: str = "demo", user: str = "anna") -> str:
    """Return a token that lives for ten minutes; good unless told otherwise."""
    return mint_token(pair, tenant=tenant, user=user, lifetime=600, now=time.time())


def forged(**changes: Any) -> str:
    """Return a good token's claims with changes, signed by the right key."""
    claims = jwt.decode(token(), options={"verify_signature": False}) | changes
    pair = PAIRS["demo"]
    return jwt.encode(claims, pair.private_key, algorithm="EdDSA", headers={"kid": pair.key_id})


async def test_every_bad_token_has_its_code(service: Service):
    """Through gateway, cache and authorizer: 401 with the documented code, twice the same, and never a reason more."""
    now = int(time.time())
    good = token()
    bad = {
        "token_malformed": "garbage",
        "token_unsigned": jwt.encode(
            jwt.decode(good, options={"verify_signature": False}), "", algorithm="none", headers={"kid": "x"}
        ),
        "token_signature": good[:-8] + "AAAAAAAA",
        "token_expired": forged(exp=now - 1),
        "token_audience": forged(aud="elsewhere"),
        "token_lifetime": forged(exp=now + 90_000),
        "token_claims": forged(sub=""),
        "tenant_unknown": token(tenant="nobody"),
        "key_unknown": token(STRANGER),
    }
    for _ in range(2):  # the second answer comes from the gateway's cache
        assert {code: await service.code("GET", "/v1/files", t) for code, t in bad.items()} == {
            code: (401, code) for code in bad
        }
    assert await service.code("GET", "/v1/files") == (401, "token_missing")
    assert await service.code("GET", "/v1/files", token(PAIRS["other"])) == (401, "key_unknown")
    assert (await service.ask("GET", "/v1/files", good))[0] == 200


async def test_nobody_reaches_what_is_not_theirs(service: Service):
    """Another tenant's and another user's file is 404 on every route, as is one that does not exist."""
    _, answer = await service.ask("POST", "/v1/files", token(), json={"files": [PHOTO]})
    file_id = answer["files"][0]["file_id"]
    assert (await service.ask("GET", f"/v1/files/{file_id}", token()))[0] == 200
    upload = uuid.uuid4().hex
    routes = [
        ("GET", f"/v1/files/{file_id}"),
        ("DELETE", f"/v1/files/{file_id}"),
        ("POST", f"/v1/files/{file_id}/multipart"),
        ("GET", f"/v1/files/{file_id}/multipart/{upload}"),
        ("POST", f"/v1/files/{file_id}/multipart/{upload}/complete"),
        ("DELETE", f"/v1/files/{file_id}/multipart/{upload}"),
    ]
    strangers = [token(PAIRS["other"], tenant="other"), token(user="bernd")]
    for stranger in strangers:
        for method, path in routes:
            assert await service.code(method, path, stranger) == (404, "not_found"), (method, path)
        assert (await service.ask("GET", "/v1/files", stranger))[1]["files"] == []
        assert (await service.ask("GET", f"/v1/files?id={file_id}", stranger))[1]["files"] == []
    assert (await service.ask("GET", f"/v1/files/{file_id}", token()))[1]["state"] == "REGISTERED"


async def test_no_spelling_gets_round_the_authorizer(service: Service):
    """However the path is written, the files are never listed without a token."""
    for path in ("/v1%2Ffiles", "/%76%31/files", "//v1/files", "/v1/./files", "/x/../v1/files", "/V1/files"):
        assert await service.code("GET", path) in {(401, "token_missing"), (404, "not_found")}, path


async def test_bad_requests_have_their_codes(service: Service):
    """Too many files, unknown keys, no JSON, too much of it: one clear code each, and a bad file harms no neighbour."""
    good = token()

    async def post(**options: Any) -> tuple[int, str]:
        return await service.code("POST", "/v1/files", good, **options)

    assert await post(json={"files": [PHOTO] * 101}) == (422, "too_many_files")
    assert await post(json={"files": [PHOTO], "surprise": 1}) == (422, "validation")
    assert await post(json={"files": []}) == (422, "validation")
    assert await post(data=bytes(2 * 1024**2)) == (413, "body_too_large")
    assert await post(data=bytes(11 * 1024**2)) == (413, "body_too_large")
    assert await service.code("PATCH", "/v1/files", good) == (405, "method_not_allowed")
    assert await service.code("GET", "/v1/nothing", good) == (404, "not_found")
    bad = [
        PHOTO | {"size": 0},
        PHOTO | {"name": "../x"},
        PHOTO | {"content_type": "text/plain"},
        PHOTO | {"size": 10**12},
    ]
    status, answer = await service.ask("POST", "/v1/files", good, json={"files": [*bad, PHOTO]})
    codes = [entry["problem"]["code"] if "problem" in entry else entry["state"] for entry in answer["files"]]
    assert (status, codes) == (200, ["size_zero", "name_invalid", "type_unsupported", "size_too_large", "REGISTERED"])
