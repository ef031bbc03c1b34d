"""Tokens: what a shop mints is accepted, and every other form is refused with its own code."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from functools import lru_cache
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from jwt import PyJWS

from shoebox.errors import Unauthorized
from shoebox.tenants.jwks import ALGORITHMS, Algorithm, VerificationKey, read_jwks
from shoebox.tenants.keys import KeyPair, jwks_document
from shoebox.tenants.tokens import CLOCK_SKEW, MAX_LIFETIME, Identity, mint_token, read_token, verify_token

NOW = 1_800_000_000
CLAIMS: dict[str, Any] = {
    "iss": "demo",
    "sub": "anna",
    "aud": "shoebox",
    "exp": NOW + 600,
    "scope": "files:read files:write",
}
ANY_VALUE = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=9)
    | st.sampled_from(["demo", "anna", "shoebox", "files:read", NOW + 60])
    | st.lists(st.text(max_size=3), max_size=2)
)


@lru_cache
def pair(algorithm: Algorithm = "EdDSA", owner: str = "demo") -> KeyPair:
    """Return the key pair of a shop; made once, as RSA takes its time."""
    return KeyPair.generate(algorithm)


def public(of: KeyPair) -> VerificationKey:
    """Return the key that Shoebox has of a pair."""
    return read_jwks(jwks_document([of]))[of.key_id]


def signed(claims: dict[str, Any], by: KeyPair | None = None, **header: Any) -> str:
    """Return a token with a good signature over any claims."""
    by = by or pair()
    payload = json.dumps(claims).encode()
    return PyJWS().encode(payload, by.private_key, by.algorithm, {"kid": by.key_id, **header})


def segment(value: Any) -> str:
    """Return a part of a token: JSON, or raw bytes, in base64url."""
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def accept(token: str, key: VerificationKey | None = None, now: float = NOW) -> Identity:
    """Read and verify a token as the authorizer does."""
    return verify_token(read_token(token), key or public(pair()), now=now)


def refusal(token: str, key: VerificationKey | None = None, now: float = NOW) -> str:
    """Return the code that a token is refused with."""
    with pytest.raises(Unauthorized) as refused:
        accept(token, key, now)
    assert token not in refused.value.detail
    return refused.value.code


def changed(**claims: Any) -> dict[str, Any]:
    """Good claims but for some; None takes one away."""
    return {name: value for name, value in {**CLAIMS, **claims}.items() if value is not None}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_minted_token_is_accepted(algorithm: Algorithm) -> None:
    """What `mint_token` signs with each kind of key, `verify_token` accepts, with the same meaning."""
    token = mint_token(pair(algorithm), tenant="demo", user="anna", scopes=["files:read"], lifetime=60, now=NOW)

    assert accept(token, public(pair(algorithm))) == Identity("demo", "anna", ("files:read",), NOW + 60)


@pytest.mark.parametrize(
    "wrong",
    [
        {"tenant": "Demo"},
        {"tenant": "demo\n"},
        {"user": "a/b"},
        {"scopes": ["files:all"]},
        {"lifetime": 0},
        {"lifetime": MAX_LIFETIME + 1},
    ],
)
def test_nothing_is_minted_that_would_be_refused(wrong: dict[str, Any]) -> None:
    """A wrong name, scope or lifetime is told to whoever mints, not later to a customer."""
    with pytest.raises(ValueError, match=r"."):
        mint_token(pair(), **{"tenant": "demo", "user": "anna", "now": NOW, **wrong})


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "nOnE"])
def test_an_unsigned_token_is_refused(alg: str) -> None:
    """`alg: none` in any spelling, with and without a signature, is `token_unsigned`."""
    head = f"{segment({'alg': alg, 'kid': 'k'})}.{segment(CLAIMS)}."

    assert refusal(head) == "token_unsigned"
    assert refusal(f"{head}{segment(b'signature')}") == "token_unsigned"


def test_a_signature_cut_off_is_refused() -> None:
    """A header that promises a signature does not make one."""
    assert refusal(signed(CLAIMS).rpartition(".")[0] + ".") == "token_signature"


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_another_key_under_the_same_id_is_refused(algorithm: Algorithm) -> None:
    """Naming a shop's key is not having it."""
    thief = KeyPair.generate(algorithm) if algorithm != "RS256" else pair(algorithm, "thief")

    assert refusal(signed(CLAIMS, thief, kid=pair(algorithm).key_id), public(pair(algorithm))) == "token_signature"


@pytest.mark.parametrize("alg", ["HS256", "HS384", "HS512"])
@pytest.mark.parametrize("form", [Encoding.PEM, Encoding.DER])
def test_a_public_key_is_no_hmac_secret(alg: str, form: Encoding) -> None:
    """Algorithm confusion: a token signed with HMAC and the public key as secret (RFC 8725, 2.1)."""
    rsa = pair("RS256")
    secret = rsa.private_key.public_key().public_bytes(form, PublicFormat.SubjectPublicKeyInfo)
    head = f"{segment({'alg': alg, 'kid': rsa.key_id})}.{segment(CLAIMS)}"
    digest = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}[alg]
    token = f"{head}.{segment(hmac.new(secret, head.encode(), digest).digest())}"

    assert refusal(token, public(rsa)) == "token_algorithm"


@pytest.mark.parametrize("alg", ["RS384", "PS256", "ES384", "ES256K", "Ed25519", "eddsa", "", "EdDSA "])
def test_other_algorithms_are_refused(alg: str) -> None:
    """Only EdDSA, ES256 and RS256, spelled so."""
    assert refusal(f"{segment({'alg': alg, 'kid': 'k'})}.{segment(CLAIMS)}.AAAA") == "token_algorithm"


@pytest.mark.parametrize("claimed", ALGORITHMS)
@pytest.mark.parametrize("actual", ALGORITHMS)
def test_the_keys_type_decides_the_algorithm(claimed: Algorithm, actual: Algorithm) -> None:
    """A token may not choose how its key is used."""
    key = pair(actual)
    head, claims, signature = signed(CLAIMS, key).split(".")
    forged = f"{segment({'alg': claimed, 'kid': key.key_id})}.{claims}.{signature}"

    expected = "token_signature" if claimed == actual else "token_algorithm"
    assert refusal(forged, public(key)) == expected, head


@pytest.mark.parametrize(
    ("claims", "code"),
    [
        (changed(aud=None), "token_audience"),
        (changed(aud="other"), "token_audience"),
        (changed(aud=["shoebox", "other"]), "token_audience"),
        (changed(aud=[]), "token_audience"),
        (changed(aud={"shoebox": 1}), "token_audience"),
        (changed(aud="Shoebox"), "token_audience"),
        (changed(iss=None), "token_claims"),
        (changed(iss="../../keys"), "token_claims"),
        (changed(iss="demo\n"), "token_claims"),
        (changed(iss="demo/other"), "token_claims"),
        (changed(iss=["demo"]), "token_claims"),
        (changed(sub=None), "token_claims"),
        (changed(sub=""), "token_claims"),
        (changed(sub="anna/../bob"), "token_claims"),
        (changed(sub="anna\n"), "token_claims"),
        (changed(sub="a" * 65), "token_claims"),
        (changed(sub=7), "token_claims"),
        (changed(scope=None), "token_claims"),
        (changed(scope=["files:read"]), "token_claims"),
        (changed(exp=None), "token_claims"),
        (changed(exp="soon"), "token_claims"),
        (changed(exp=True), "token_claims"),
        (changed(exp=10**400), "token_lifetime"),
        (changed(exp=-(10**400)), "token_expired"),
        (changed(exp=NOW), "token_expired"),
        (changed(exp=NOW - 1), "token_expired"),
        (changed(exp=0), "token_expired"),
        (changed(exp=NOW + MAX_LIFETIME + CLOCK_SKEW + 1), "token_lifetime"),
        (changed(nbf=NOW + CLOCK_SKEW + 1), "token_claims"),
        (changed(iat=NOW + CLOCK_SKEW + 1), "token_claims"),
        (changed(nbf="now"), "token_claims"),
        (changed(iat=[]), "token_claims"),
    ],
)
def test_wrong_claims_are_refused(claims: dict[str, Any], code: str) -> None:
    """Each claim that is missing, malformed or out of its bounds, under a good signature, has its code."""
    assert refusal(signed(claims)) == code


@pytest.mark.parametrize(
    "claims",
    [
        changed(aud=["shoebox"]),
        changed(exp=NOW + 1),
        changed(exp=NOW + 0.5),
        changed(exp=NOW + MAX_LIFETIME + CLOCK_SKEW),
        changed(nbf=NOW + CLOCK_SKEW, iat=NOW + CLOCK_SKEW),
        changed(iat=0),
        changed(jti="whatever", extra={"a": [1]}),
    ],
)
def test_claims_at_their_bounds_are_accepted(claims: dict[str, Any]) -> None:
    """A shop's clock may be a minute ahead; a list of one audience and unknown claims do no harm."""
    assert accept(signed(claims)).user == "anna"


def test_infinite_and_invalid_numbers_are_refused() -> None:
    """`Infinity` and `NaN` are no JSON, and a number too large for a float is no time."""
    for number in ("Infinity", "NaN", "-Infinity"):
        payload = json.dumps(CLAIMS).replace(str(CLAIMS["exp"]), number).encode()
        assert refusal(f"{segment({'alg': 'EdDSA', 'kid': 'k'})}.{segment(payload)}.AAAA") == "token_malformed"
    head = {"kid": pair().key_id}
    huge = json.dumps(CLAIMS).replace(str(CLAIMS["exp"]), "1e999").encode()
    assert refusal(PyJWS().encode(huge, pair().private_key, "EdDSA", head)) == "token_claims"


def test_unknown_scopes_grant_nothing() -> None:
    """Only scopes that exist are granted, in their own order, each once."""
    token = signed(changed(scope="files:write admin files:write files:read\tx"))

    assert accept(token).scopes == ("files:write",)
    assert accept(signed(changed(scope=""))).scopes == ()


@pytest.mark.parametrize(
    "token",
    [
        "",
        "a",
        "a.b",
        "a.b.c.d",
        "...",
        " " + segment({}) + ".e30.AAAA",
        segment({"alg": "EdDSA", "kid": "k"}) + "=.e30.AAAA",
        "é.e30.AAAA",
        segment([1]) + ".e30.AAAA",
        segment({"alg": "EdDSA", "kid": "k"}) + "." + segment([]) + ".AAAA",
        segment(b"\xff\xfe") + ".e30.AAAA",
        segment(b"[" * 5000) + ".e30.AAAA",
        segment(b'{"alg":"EdDSA","kid":"k","kid":"l"}') + ".e30.AAAA",
        segment({"alg": "EdDSA", "kid": "k"}) + "." + segment(b'{"iss":"demo","iss":"other"}') + ".AAAA",
        segment({"kid": "k"}) + ".e30.AAAA",
        segment({"alg": ["EdDSA"], "kid": "k"}) + ".e30.AAAA",
        segment({"alg": "EdDSA"}) + ".e30.AAAA",
        segment({"alg": "EdDSA", "kid": ""}) + ".e30.AAAA",
        segment({"alg": "EdDSA", "kid": "../k"}) + ".e30.AAAA",
        segment({"alg": "EdDSA", "kid": 1}) + ".e30.AAAA",
        segment({"alg": "EdDSA", "kid": "k" * 129}) + ".e30.AAAA",
        segment({"alg": "EdDSA", "kid": "k", "crit": ["b64"], "b64": False}) + ".e30.AAAA",
        segment({"alg": "EdDSA", "kid": "k"}) + "." + segment({"iss": "demo", "pad": "x" * 8192}) + ".AAAA",
    ],
)
def test_garbage_is_malformed(token: str) -> None:
    """Whatever is no JWT of one clear meaning is refused before any key is looked for."""
    with pytest.raises(Unauthorized) as refused:
        read_token(token)
    assert refused.value.code == "token_malformed"


def test_keys_offered_by_the_token_are_ignored() -> None:
    """A key or address in the header (RFC 8725, 3.10) changes nothing: only the tenant's published keys count."""
    thief = KeyPair.generate()
    token = signed(CLAIMS, thief, kid=pair().key_id, jwk=thief.jwk(), jku="http://127.0.0.1/keys.json")

    assert refusal(token) == "token_signature"


@given(st.data())
def test_no_changed_character_passes(data: st.DataObject) -> None:
    """A token with any one character replaced is refused: signature, claims and header are all covered."""
    token = mint_token(pair(), tenant="demo", user="anna", now=NOW)
    at = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.sampled_from("ABab01-_.").filter(lambda c: c != token[at]))

    with pytest.raises(Unauthorized):
        accept(token[:at] + other + token[at + 1 :])


@given(
    header=st.dictionaries(st.sampled_from(["alg", "kid", "crit"]), st.sampled_from([*ALGORITHMS, "none", "k", 1])),
    claims=st.dictionaries(st.sampled_from([*CLAIMS, "nbf", "iat"]), ANY_VALUE),
)
def test_strange_contents_are_refused_and_nothing_else_happens(header: dict[str, Any], claims: dict[str, Any]) -> None:
    """Any JSON in header and claims ends in a refusal with a code, never in another error."""
    assert refusal(f"{segment(header)}.{segment(claims)}.AAAA").startswith("token_")


@given(st.dictionaries(st.sampled_from([*CLAIMS, "nbf", "iat"]), ANY_VALUE))
def test_signed_nonsense_is_accepted_or_refused_by_rule(claims: dict[str, Any]) -> None:
    """Whatever a shop signs, an accepted token has a user, a bounded life and known scopes only."""
    try:
        identity = accept(signed({**claims, "iss": "demo"}))
    except Unauthorized as error:
        code, identity = error.code, None
    if identity is None:
        assert code in {"token_claims", "token_audience", "token_expired", "token_lifetime"}
        return
    assert identity.user == claims["sub"]
    assert NOW - 1 <= identity.expires_at <= NOW + MAX_LIFETIME + CLOCK_SKEW
    assert set(identity.scopes) <= {"files:read", "files:write"}


@given(st.text(max_size=200))
def test_any_text_is_refused(text: str) -> None:
    """No text but a token gets past the first step."""
    with pytest.raises(Unauthorized):
        read_token(text)
