"""The authorizer: who may pass, what the gateway is told, and what it is not."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from jwt import PyJWS

from api.authorizer import Authorizer
from api.tenant_keys import TenantKeys
from shoebox.errors import Unavailable
from shoebox.tenants.key_source import MemoryKeySource
from shoebox.tenants.keys import KeyPair, jwks_document
from shoebox.tenants.tokens import mint_token

ROOT = Path(__file__).parents[3]
Event = Callable[..., dict[str, Any]]
Token = Callable[..., str]


@pytest.fixture
def authorizer(published: dict[str, bytes], now: int) -> Authorizer:
    """Return an authorizer that knows what is published."""

    class Published:
        async def fetch(self, tenant: str) -> bytes | None:
            if "broken" in tenant:
                raise Unavailable("no response")
            return published.get(tenant)

    return Authorizer(TenantKeys(Published()), now=lambda: now)


async def denial(authorizer: Authorizer, event: dict[str, Any]) -> str:
    """Return the code of the denial that an event is answered with."""
    response = await authorizer.authorize(event)
    (statement,) = response["policyDocument"]["Statement"]
    assert statement["Effect"] == "Deny"
    assert set(response["context"]) == {"code", "detail"}
    assert response["principalId"] == "nobody"
    return str(response["context"]["code"])


async def test_a_good_token_may_pass_everywhere(
    authorizer: Authorizer, authorizer_event: Event, token: Token, now: int
) -> None:
    """The policy allows the whole stage, for the gateway keeps it for every path; the context is flat text."""
    response = await authorizer.authorize(
        authorizer_event(f"Bearer {token(scopes=['files:read'])}", path="/v1/files/f1")
    )

    assert response == {
        "principalId": "demo/anna",
        "policyDocument": {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Action": "execute-api:Invoke",
                    "Effect": "Allow",
                    "Resource": "arn:aws:execute-api:us-east-1:123456789012:abcdef123/live/*",
                }
            ],
        },
        "context": {"tenant": "demo", "user": "anna", "scope": "files:read", "expires_at": str(now + 3600)},
    }


@pytest.mark.parametrize("form", ["Bearer {}", "bearer {}", "BEARER   {}", " Bearer {} \t"])
@pytest.mark.parametrize("name", ["Authorization", "authorization", "AUTHORIZATION"])
async def test_the_scheme_and_the_header_come_in_any_case(
    authorizer: Authorizer, authorizer_event: Event, token: Token, form: str, name: str
) -> None:
    """HTTP's own rules for names, schemes and blanks (RFC 9110, 5.1, 5.5 and 11.1)."""
    response = await authorizer.authorize(authorizer_event(form.format(token()), name=name))

    assert response["context"]["user"] == "anna"


async def test_an_event_without_multi_value_headers_is_read(
    authorizer: Authorizer, authorizer_event: Event, token: Token
) -> None:
    """The single values do where the lists are missing."""
    event = authorizer_event(f"Bearer {token()}")
    del event["multiValueHeaders"]

    assert (await authorizer.authorize(event))["context"]["user"] == "anna"


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ([], "token_missing"),
        ([""], "token_missing"),
        ([" "], "token_missing"),
        (["Bearer"], "token_malformed"),
        (["Bearer "], "token_malformed"),
        (["{}"], "token_malformed"),
        (["Basic {}"], "token_malformed"),
        (["Token {}"], "token_malformed"),
        (["Bearer{}"], "token_malformed"),
        (["Bearer\t{}"], "token_malformed"),
        (["Bearer {} x"], "token_malformed"),
        (["Bearer {},Bearer {}"], "token_malformed"),
        (["Bearer {}\n"], "token_malformed"),
        (["Bearer {}", "Bearer {}"], "token_malformed"),
        (["Bearer x", "Bearer {}"], "token_malformed"),
    ],
)
async def test_a_token_in_another_form_is_refused(
    authorizer: Authorizer, authorizer_event: Event, token: Token, headers: list[str], code: str
) -> None:
    """One header, one scheme, one token: two headers are refused whichever of them is good."""
    assert await denial(authorizer, authorizer_event(*(h.replace("{}", token()) for h in headers))) == code


async def test_a_huge_token_is_refused_unread(authorizer: Authorizer, authorizer_event: Event, token: Token) -> None:
    """More than 8 KB are no token, whatever they say."""
    assert await denial(authorizer, authorizer_event(f"Bearer {token()}{'A' * 8192}")) == "token_malformed"


async def test_each_refusal_reaches_the_caller_with_its_code(
    authorizer: Authorizer, authorizer_event: Event, token: Token, demo: KeyPair, now: int
) -> None:
    """The codes of tokens, keys and tenants all come through as Deny."""
    head, claims, signature = token().split(".")
    thief = KeyPair.generate()
    forged = PyJWS().encode(b'{"iss":"demo"}', thief.private_key, "EdDSA", {"kid": demo.key_id})
    cases = {
        "eyJhbGciOiJub25lIn0." + claims + ".": "token_unsigned",
        "eyJhbGciOiJIUzI1NiIsImtpZCI6ImsifQ." + claims + "." + signature: "token_algorithm",
        forged: "token_signature",
        token(now=now - 3600): "token_expired",
        PyJWS().encode(b'{"iss":"demo"}', demo.private_key, "EdDSA", {"kid": demo.key_id}): "token_audience",
        token(now=now + 7200): "token_claims",  # its `iat` lies in the future
        token(pair=thief): "key_unknown",
        token(tenant="nobody-here"): "tenant_unknown",
        head: "token_malformed",
    }
    for text, code in cases.items():
        assert await denial(authorizer, authorizer_event(f"Bearer {text}")) == code


async def test_a_token_that_lives_too_long_is_refused(
    authorizer: Authorizer, authorizer_event: Event, demo: KeyPair, now: int
) -> None:
    """A shop cannot give out a token for a week."""
    claims = {"iss": "demo", "sub": "anna", "aud": "shoebox", "scope": "files:read", "exp": now + 7 * 86_400}
    text = PyJWS().encode(json.dumps(claims).encode(), demo.private_key, "EdDSA", {"kid": demo.key_id})

    assert await denial(authorizer, authorizer_event(f"Bearer {text}")) == "token_lifetime"


async def test_a_shop_signs_for_its_own_users_only(
    authorizer: Authorizer, authorizer_event: Event, demo: KeyPair, now: int
) -> None:
    """A good signature by demo's key says nothing about other's users, even under the id of other's key."""
    foreign = mint_token(demo, tenant="other", user="anna", now=now)

    assert await denial(authorizer, authorizer_event(f"Bearer {foreign}")) == "key_unknown"


async def test_a_shops_key_under_anothers_key_id_is_refused(
    authorizer_event: Event, published: dict[str, bytes], demo: KeyPair, now: int
) -> None:
    """Tenants may happen to use one key id; each tenant's tokens are verified with its own key alone."""
    theirs = KeyPair.generate()
    published["other"] = jwks_document([replace(theirs, key_id=demo.key_id)])
    foreign = mint_token(demo, tenant="other", user="anna", now=now)
    authorizer = Authorizer(TenantKeys(MemoryKeySource(published)), now=lambda: now)
    assert await denial(authorizer, authorizer_event(f"Bearer {foreign}")) == "token_signature"


async def test_a_key_can_be_rotated_without_a_gap(
    authorizer: Authorizer, published: dict[str, bytes], authorizer_event: Event, demo: KeyPair, now: int
) -> None:
    """While a tenant publishes two keys, tokens of both pass."""
    new = KeyPair.generate("RS256")
    published["demo"] = jwks_document([demo, new])
    for pair in (demo, new):
        text = mint_token(pair, tenant="demo", user="anna", now=now)
        assert (await authorizer.authorize(authorizer_event(f"Bearer {text}")))["context"]["tenant"] == "demo"


async def test_a_fault_of_ours_is_no_denial(authorizer: Authorizer, authorizer_event: Event, token: Token) -> None:
    """When keys cannot be had the function fails: the gateway would keep a denial for minutes."""
    with pytest.raises(Unavailable):
        await authorizer.authorize(authorizer_event(f"Bearer {token(tenant='broken')}"))


@pytest.mark.parametrize("arn", [None, "", "*", "arn:aws:s3:::bucket", "arn:aws:execute-api:us-east-1:1:a/*/GET/"])
async def test_an_event_of_another_kind_is_an_error(
    authorizer: Authorizer, authorizer_event: Event, token: Token, arn: str | None
) -> None:
    """No policy is written for what is no method of a REST API's stage."""
    with pytest.raises(ValueError, match="methodArn"):
        await authorizer.authorize({**authorizer_event(f"Bearer {token()}"), "methodArn": arn})


async def test_as_deployed_it_fetches_keys_over_http_and_logs_no_token(
    published: dict[str, bytes], authorizer_event: Event, token: Token
) -> None:
    """The handler in a process of its own: settings from the environment, keys by address; no token in its log."""
    now = time.time()
    good, bad, foreign = token(now=now), token(now=now - 7200), token(now=now, tenant="nobody-here")
    events = [authorizer_event(f"Bearer {text}") for text in (good, bad, foreign, bad[:-4])]
    program = """
import asyncio, json, sys
from api.authorizer import handler
from workers.runtime.context import Context

async def main():
    async with handler.lifespan():
        responses = [await handler(event, Context()) for event in json.load(sys.stdin)]
    print(json.dumps(responses), file=sys.stderr)

asyncio.run(main())
"""
    async with publishing(published) as url:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", program),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=ROOT,
            env={"SHOEBOX_KEYS_URL": url, "AWS_REGION": "us-east-1"},
        )
        log, told = await process.communicate(json.dumps(events).encode())

    responses = json.loads(told)
    assert [response["context"].get("code") for response in responses] == [
        None,
        "token_expired",
        "tenant_unknown",
        "token_signature",
    ]
    assert {json.loads(line)["event"] for line in log.splitlines()} == {"request_denied"}
    assert not any(part.encode() in log for text in (good, bad, foreign) for part in text.split("."))


@asynccontextmanager
async def publishing(documents: dict[str, bytes]) -> AsyncIterator[str]:
    """Run a server of the tenants' keys; give the address to put in SHOEBOX_KEYS_URL."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = (await reader.readuntil(b"\r\n\r\n")).split()[1].decode()
        body = documents.get(path.removeprefix("/bucket/keys/").removesuffix(".json"))
        status = "404 Not Found" if body is None else "200 OK"
        head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body or b'')}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode() + (body or b""))
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/bucket/keys"


def test_it_starts_without_web_framework_or_aws_client() -> None:
    """The authorizer stands before every cold request: its imports are few, and take under a second of CPU."""
    heavy = ["fastapi", "starlette", "botocore", "aiobotocore", "boto3", "aiohttp", "httpx", "requests", "yaml", "PIL"]
    program = f"""
import json, sys, time
before = time.process_time()
import api.authorizer
seconds = time.process_time() - before
print(json.dumps({{"seconds": seconds, "heavy": [m for m in {heavy} if m in sys.modules]}}))
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    measured = json.loads(done.stdout)

    assert measured["heavy"] == []
    assert measured["seconds"] < 1.0
