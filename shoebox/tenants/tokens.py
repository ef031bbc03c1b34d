"""Tokens: JWTs (RFC 7519) that a shop signs for one of its users, and Shoebox verifies.

In two steps, so that whoever verifies can fetch the key in between: `read_token` takes a token apart and trusts nothing
of it; `verify_token` checks its signature with the tenant's key, and then its claims. `mint_token` is the shop's side.
Claims and rules: docs/reference/tokens.md; codes of the refusals: docs/reference/problems.md.
"""

from __future__ import annotations

import binascii
import json
import math
import re
from base64 import urlsafe_b64decode
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from jwt import PyJWS
from jwt.exceptions import PyJWTError

from shoebox.errors import Unauthorized
from shoebox.identifiers import TENANT, USER
from shoebox.tenants.jwks import ALGORITHMS, KEY_ID, VerificationKey
from shoebox.tenants.keys import KeyPair

AUDIENCE = "shoebox"
SCOPES = ("files:read", "files:write")
MAX_TOKEN_BYTES = 8192
MAX_LIFETIME = 24 * 3600
CLOCK_SKEW = 60  # seconds that a shop's clock may be ahead of ours; a token never lives longer for it

_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*")
_jws = PyJWS(algorithms=list(ALGORITHMS))


@dataclass(frozen=True, slots=True)
class UnverifiedToken:
    """A well-formed token; `tenant` and `key_id` say which key to verify it with, and are only claimed so far."""

    text: str
    algorithm: str
    key_id: str
    tenant: str
    claims: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a verified token speaks for; `scopes` are those of SCOPES that it grants, `expires_at` is epoch seconds."""

    tenant: str
    user: str
    scopes: tuple[str, ...]
    expires_at: int


def read_token(text: str) -> UnverifiedToken:
    """Take a token apart without trusting it.

    Raises:
        Unauthorized: token_malformed, token_unsigned, token_algorithm, or token_claims where `iss` is no tenant's name.
    """
    if len(text) > MAX_TOKEN_BYTES or not _COMPACT.fullmatch(text):
        _refuse("token_malformed", "This is not a JWT in compact form of at most 8 KB.")
    header, claims = (_json_object(segment) for segment in text.split(".")[:2])
    algorithm, key_id, tenant = header.get("alg"), header.get("kid"), claims.get("iss")
    if not isinstance(algorithm, str) or "crit" in header:
        _refuse("token_malformed", "The token's header must have `alg`, and no `crit`.")
    if algorithm.lower() == "none":
        _refuse("token_unsigned", "The token is not signed.")
    if algorithm not in ALGORITHMS:
        _refuse("token_algorithm", f"Tokens are signed with {', '.join(ALGORITHMS)}.")
    if not isinstance(key_id, str) or not KEY_ID.fullmatch(key_id):
        _refuse("token_malformed", "The token's header must name its key in `kid`.")
    if not isinstance(tenant, str) or not TENANT.fullmatch(tenant):
        _refuse("token_claims", "The claim `iss` must be a tenant's name.")
    return UnverifiedToken(text, algorithm, key_id, tenant, claims)


def verify_token(token: UnverifiedToken, key: VerificationKey, *, now: float) -> Identity:
    """Check a token's signature with its tenant's key, then its claims, at `now` in epoch seconds.

    Raises:
        Unauthorized: token_algorithm, token_signature, token_audience, token_claims, token_expired or token_lifetime.
    """
    if token.algorithm != key.algorithm:
        _refuse("token_algorithm", f"The key {token.key_id} signs with {key.algorithm} only.")
    try:
        _jws.decode(token.text, key.jwk, algorithms=[key.algorithm])
    except PyJWTError:
        _refuse("token_signature", "The token's signature does not fit its tenant's key.")
    return _identity(token, now)


def mint_token(
    pair: KeyPair, *, tenant: str, user: str, scopes: Collection[str] = SCOPES, lifetime: int = 3600, now: float
) -> str:
    """Return a token for `user` of `tenant`, signed with the shop's key.

    It is valid `lifetime` seconds from `now` (epoch seconds).

    Raises:
        ValueError: tenant, user, a scope or the lifetime is one that verification would refuse.
    """
    if not TENANT.fullmatch(tenant):
        raise ValueError(f"a tenant's name has the form {TENANT.pattern}, not {tenant!r}")
    if not USER.fullmatch(user):
        raise ValueError(f"a user's name has the form {USER.pattern}, not {user!r}")
    if unknown := [scope for scope in scopes if scope not in SCOPES]:
        raise ValueError(f"there is no scope {', '.join(unknown)}; there are {', '.join(SCOPES)}")
    if not 0 < lifetime <= MAX_LIFETIME:
        raise ValueError(f"a token lives 1 to {MAX_LIFETIME} seconds")
    issued = int(now)
    claims = {
        "iss": tenant,
        "sub": user,
        "aud": AUDIENCE,
        "iat": issued,
        "exp": issued + lifetime,
        "scope": " ".join(scopes),
    }
    payload = json.dumps(claims, separators=(",", ":")).encode()
    return _jws.encode(payload, pair.private_key, algorithm=pair.algorithm, headers={"kid": pair.key_id})


def _identity(token: UnverifiedToken, now: float) -> Identity:
    claims = token.claims
    user, scope, expires_at = claims.get("sub"), claims.get("scope"), _seconds(claims, "exp")
    if claims.get("aud") not in (AUDIENCE, [AUDIENCE]):
        _refuse("token_audience", "The claim `aud` must be `shoebox`, and nobody else.")
    if not isinstance(user, str) or not USER.fullmatch(user):
        _refuse("token_claims", "The claim `sub` must be 1 to 64 letters, digits, `_` or `-`.")
    if not isinstance(scope, str):
        _refuse("token_claims", "The claim `scope` must be a text of scopes with spaces between them.")
    if expires_at is None:
        _refuse("token_claims", "The token must say in `exp` when it ends.")
    for name in ("nbf", "iat"):
        if (_seconds(claims, name) or 0) > now + CLOCK_SKEW:
            _refuse("token_claims", f"The token's `{name}` lies in the future; is the shop's clock right?")
    if expires_at <= now:
        _refuse("token_expired", "The token has expired; ask the shop for a new one.")
    if expires_at > now + MAX_LIFETIME + CLOCK_SKEW:
        _refuse("token_lifetime", "The token ends more than 24 hours from now.")
    granted = set(scope.split(" "))
    return Identity(token.tenant, user, tuple(s for s in SCOPES if s in granted), int(expires_at))


def _seconds(claims: Mapping[str, Any], name: str) -> int | float | None:
    """Return a NumericDate (RFC 7519, 2); None if there is none."""
    value = claims.get(name)
    if value is None:
        return None
    infinite = isinstance(value, float) and not math.isfinite(value)
    if infinite or isinstance(value, bool) or not isinstance(value, int | float):
        _refuse("token_claims", f"The claim `{name}` must be a number of seconds.")
    return value


def _json_object(segment: str) -> dict[str, Any]:
    try:
        text = urlsafe_b64decode(segment + "=" * (-len(segment) % 4)).decode()
        value = json.loads(text, object_pairs_hook=_refuse_duplicates, parse_constant=_refuse_constant)
    except (binascii.Error, ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        _refuse("token_malformed", "The token's header and claims must be JSON objects, each name once.")
    return value


def _refuse_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # Names must be unique (RFC 7515, 4), or two readers might see two tokens.
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON")


def _refuse(code: str, detail: str) -> NoReturn:
    raise Unauthorized(detail, code=code)
