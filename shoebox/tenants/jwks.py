"""A tenant's published keys, a JWKS (RFC 7517), read for verification.

There may be several keys, so that a new one is known before it signs.

A key's type alone decides its algorithm; what a token says about that is only compared with it (RFC 8725, 3.1).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import orjson
from jwt import PyJWK
from jwt.exceptions import PyJWTError

Algorithm = Literal["EdDSA", "ES256", "RS256"]

ALGORITHMS: tuple[Algorithm, ...] = get_args(Algorithm)
KEY_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
KEY_MEMBERS = {"OKP": ("crv", "kty", "x"), "EC": ("crv", "kty", "x", "y"), "RSA": ("e", "kty", "n")}
RSA_BITS = range(2048, 4097)  # fewer are weak (RFC 7518, 3.3); more only cost the verifier time
_RSA_EXPONENTS = range(65_537, 2**32)


class JwksError(ValueError):
    """The document is no JWKS."""


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A public key of a tenant; `jwk` is bound to `algorithm` and verifies nothing else."""

    key_id: str
    algorithm: Algorithm
    jwk: PyJWK


def read_jwks(document: bytes) -> dict[str, VerificationKey]:
    """Return the usable keys of a JWKS by key id.

    Ignored, as RFC 7517, 5 asks: unknown and symmetric types, weak keys, keys for another use or algorithm, without a
    key id, with a private part, and any after the first of the same id.

    Raises:
        JwksError: the document is no JWKS.
    """
    try:
        entries = orjson.loads(document)["keys"]
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise JwksError("a JWKS is a JSON object with `keys`") from error
    if not isinstance(entries, list):
        raise JwksError("`keys` of a JWKS is a list")
    keys: dict[str, VerificationKey] = {}
    for entry in entries:
        key = _verification_key(entry) if isinstance(entry, dict) else None
        if key:
            keys.setdefault(key.key_id, key)
    return keys


def _verification_key(entry: Mapping[str, Any]) -> VerificationKey | None:
    key_id, algorithm = entry.get("kid"), _algorithm_of(entry)
    if algorithm is None or not isinstance(key_id, str) or not KEY_ID.fullmatch(key_id):
        return None
    operations = entry.get("key_ops", ["verify"])
    if (
        "d" in entry  # the private part: once published, anyone can sign with it
        or entry.get("use", "sig") != "sig"
        or entry.get("alg", algorithm) != algorithm
        or not isinstance(operations, list)
        or "verify" not in operations
    ):
        return None
    try:
        jwk = PyJWK({name: entry.get(name) for name in KEY_MEMBERS[entry["kty"]]}, algorithm)
    except (PyJWTError, ValueError, TypeError, AttributeError):  # what PyJWT raises for members that are no key
        return None
    if algorithm == "RS256" and not (jwk.key.key_size in RSA_BITS and jwk.key.public_numbers().e in _RSA_EXPONENTS):
        return None
    return VerificationKey(key_id, algorithm, jwk)


def _algorithm_of(entry: Mapping[str, Any]) -> Algorithm | None:
    match entry.get("kty"), entry.get("crv"):
        case "OKP", "Ed25519":
            return "EdDSA"
        case "EC", "P-256":
            return "ES256"
        case "RSA", None:
            return "RS256"
    return None
