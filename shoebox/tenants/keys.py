"""Shops' key pairs: made, kept in files that only their owner can read, and published as a JWKS.

Reading a published JWKS is `shoebox.tenants.jwks`; signing and verifying tokens is `shoebox.tenants.tokens`.
"""

from __future__ import annotations

import base64
import hashlib
import stat
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import orjson
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as generate_ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as generate_rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from shoebox.tenants.jwks import KEY_MEMBERS, RSA_BITS, Algorithm

PrivateKey = Ed25519PrivateKey | EllipticCurvePrivateKey | RSAPrivateKey


class KeyFileError(ValueError):
    """A private key cannot be used; the message says why, and what to do."""


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A private key, its algorithm, and its id: the thumbprint of the public key (RFC 7638)."""

    key_id: str
    algorithm: Algorithm
    private_key: PrivateKey

    def __repr__(self) -> str:
        return f"KeyPair({self.key_id}, {self.algorithm})"

    @classmethod
    def generate(cls, algorithm: Algorithm = "EdDSA") -> Self:
        """Make a new pair: Ed25519, P-256, or RSA with 3072 bits."""
        match algorithm:
            case "EdDSA":
                return cls.of(Ed25519PrivateKey.generate())
            case "ES256":
                return cls.of(generate_ec(SECP256R1()))
            case "RS256":
                return cls.of(generate_rsa(65_537, 3072))

    @classmethod
    def of(cls, private_key: object) -> Self:
        """Return the pair of a private key.

        Raises:
            KeyFileError: keys of its kind sign no tokens here.
        """
        algorithm: Algorithm
        match private_key:
            case Ed25519PrivateKey():
                algorithm = "EdDSA"
            case EllipticCurvePrivateKey(curve=SECP256R1()):
                algorithm = "ES256"
            case RSAPrivateKey(key_size=bits) if bits in RSA_BITS:
                algorithm = "RS256"
            case _:
                raise KeyFileError("Only Ed25519, P-256 and RSA keys of 2048 to 4096 bits sign tokens.")
        members = orjson.dumps(_public_members(private_key), option=orjson.OPT_SORT_KEYS)
        thumbprint = base64.urlsafe_b64encode(hashlib.sha256(members).digest()).decode().rstrip("=")
        return cls(thumbprint, algorithm, private_key)

    def jwk(self) -> dict[str, str]:
        """Return the public key as a JWK (RFC 7517)."""
        return {**_public_members(self.private_key), "kid": self.key_id, "alg": self.algorithm, "use": "sig"}

    def save(self, directory: Path) -> Path:
        """Write `{key_id}.pem` (PKCS #8), at once or not at all, readable by its owner only; return its path.

        Raises:
            KeyFileError: it cannot be written.
        """
        path = directory / f"{self.key_id}.pem"
        pem = self.private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=directory, delete=False) as file:  # these have mode 0600
                file.write(pem)
            return Path(file.name).replace(path)
        except OSError as error:
            raise KeyFileError(f"cannot write {path}: {error.strerror}") from error

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a private key from an unencrypted PEM file.

        Raises:
            KeyFileError: it is missing, open to other users, or holds no key that signs tokens.
        """
        try:
            mode, pem = stat.S_IMODE(path.stat().st_mode), path.read_bytes()
        except OSError as error:
            raise KeyFileError(f"cannot read {path}: {error.strerror}") from error
        if mode & 0o077:
            raise KeyFileError(f"other users can reach {path}; close it: chmod 600 {path}")
        try:
            private_key = load_pem_private_key(pem, password=None)
        except (ValueError, TypeError) as error:  # TypeError: it is encrypted
            raise KeyFileError(f"{path} is not an unencrypted private key in PEM form") from error
        return cls.of(private_key)


def jwks_document(pairs: Iterable[KeyPair]) -> bytes:
    """Return the JWKS of some pairs' public keys, as it is published at `keys/{tenant}.json`."""
    return orjson.dumps({"keys": [pair.jwk() for pair in pairs]})


def _public_members(key: PrivateKey) -> dict[str, str]:
    match key:
        case Ed25519PrivateKey():
            members = OKPAlgorithm.to_jwk(key.public_key(), as_dict=True)
        case EllipticCurvePrivateKey():
            members = ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
        case RSAPrivateKey():
            members = RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return {name: str(members[name]) for name in KEY_MEMBERS[members["kty"]]}
