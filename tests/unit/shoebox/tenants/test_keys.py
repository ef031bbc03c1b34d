"""Shops' keys: made, kept in closed files, published, and read back with suspicion."""

from __future__ import annotations

import stat
from functools import lru_cache
from pathlib import Path
from typing import Any

import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st
from jwt.algorithms import RSAAlgorithm

from shoebox.tenants.jwks import ALGORITHMS, Algorithm, JwksError, read_jwks
from shoebox.tenants.keys import KeyFileError, KeyPair, jwks_document


@lru_cache
def pair(algorithm: Algorithm = "EdDSA") -> KeyPair:
    """Return a key pair, made once."""
    return KeyPair.generate(algorithm)


def document(*keys: Any) -> bytes:
    """Return a JWKS document."""
    return orjson.dumps({"keys": list(keys)})


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_saved_key_comes_back_as_it_was(tmp_path: Path, algorithm: Algorithm) -> None:
    """The file holds the same key, and id and algorithm follow from it."""
    path = pair(algorithm).save(tmp_path / "keys" / "demo")
    loaded = KeyPair.load(path)

    assert (loaded.key_id, loaded.algorithm, loaded.jwk()) == (path.stem, algorithm, pair(algorithm).jwk())


def test_only_its_owner_can_read_a_private_key(tmp_path: Path) -> None:
    """The file has mode 0600 and its new folder 0700; saving again leaves the same, and nothing else behind."""
    path = pair().save(tmp_path / "keys")
    content = path.read_bytes()

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert pair().save(tmp_path / "keys") == path
    assert path.read_bytes() == content
    assert list(path.parent.iterdir()) == [path]


def test_a_key_that_others_can_read_is_not_used(tmp_path: Path) -> None:
    """As with ssh, the message says how to close it."""
    path = pair().save(tmp_path)
    path.chmod(0o640)

    with pytest.raises(KeyFileError, match="chmod 600"):
        KeyPair.load(path)


def test_files_that_hold_no_key_are_told(tmp_path: Path) -> None:
    """Missing, not PEM, encrypted, or of a kind that signs no tokens: each has a message."""
    files = {
        "text.pem": b"hello",
        "encrypted.pem": pair().private_key.private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")
        ),
    }
    for name, content in files.items():
        (tmp_path / name).touch(mode=0o600)
        (tmp_path / name).write_bytes(content)
        with pytest.raises(KeyFileError, match="not an unencrypted private key"):
            KeyPair.load(tmp_path / name)
    with pytest.raises(KeyFileError, match="No such file"):
        KeyPair.load(tmp_path / "missing.pem")
    with pytest.raises(KeyFileError, match="cannot write"):
        pair().save(tmp_path / "text.pem")


@pytest.mark.parametrize(
    "key",
    [
        ec.generate_private_key(ec.SECP384R1()),
        ed448.Ed448PrivateKey.generate(),
        rsa.generate_private_key(65_537, 1024),
        "key",
    ],
)
def test_other_kinds_of_keys_make_no_pair(key: object) -> None:
    """Another curve, a short RSA key and no key at all are refused."""
    with pytest.raises(KeyFileError, match="sign tokens"):
        KeyPair.of(key)


def test_a_key_id_is_the_thumbprint_of_the_public_key() -> None:
    """The example of RFC 8037, A.1 to A.3; other keys have other ids."""
    seed = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"
    known = KeyPair.of(Ed25519PrivateKey.from_private_bytes(bytes.fromhex(seed)))

    assert known.key_id == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
    assert len({pair(algorithm).key_id for algorithm in ALGORITHMS}) == len(ALGORITHMS)


def test_a_private_key_is_never_shown() -> None:
    """Neither the document nor the text form of a pair holds a private part."""
    published = orjson.loads(jwks_document([pair(algorithm) for algorithm in ALGORITHMS]))["keys"]

    assert all(not {"d", "p", "q", "dp", "dq", "qi", "k"} & key.keys() for key in published)
    assert repr(pair()) == f"KeyPair({pair().key_id}, EdDSA)"


def test_a_document_of_several_keys_is_read() -> None:
    """Every published key is found under its id, bound to the algorithm of its type."""
    pairs = [pair(algorithm) for algorithm in ALGORITHMS]

    assert {key_id: key.algorithm for key_id, key in read_jwks(jwks_document(pairs)).items()} == {
        pair.key_id: pair.algorithm for pair in pairs
    }


def _short_rsa() -> dict[str, Any]:
    public = rsa.generate_private_key(65_537, 1024).public_key()
    return {**RSAAlgorithm.to_jwk(public, as_dict=True), "kid": "short"}


@pytest.mark.parametrize(
    "entry",
    [
        {"kty": "oct", "k": "c2VjcmV0", "kid": "k"},
        {"kty": "oct", "k": "c2VjcmV0", "kid": "k", "crv": "Ed25519", "x": "AAAA"},
        {**pair().jwk(), "use": "enc"},
        {**pair().jwk(), "alg": "ES256"},
        {**pair().jwk(), "alg": "HS256"},
        {**pair().jwk(), "key_ops": ["sign"]},
        {**pair().jwk(), "key_ops": 7},
        {**pair().jwk(), "d": "AAAA"},
        {**pair().jwk(), "kid": None},
        {**pair().jwk(), "kid": "a b"},
        {**pair().jwk(), "kid": "k\n"},
        {**pair().jwk(), "x": "AAAA"},
        {**pair().jwk(), "x": 7},
        {**pair().jwk(), "x": None},
        {**pair().jwk(), "crv": "Ed448"},
        {**pair("ES256").jwk(), "x": pair("ES256").jwk()["y"]},
        {**pair("ES256").jwk(), "crv": "P-384"},
        {**pair("RS256").jwk(), "e": "AQ"},
        {**pair("RS256").jwk(), "n": "AQAB"},
        {**pair("RS256").jwk(), "alg": "RS512"},
        _short_rsa(),
        "key",
        None,
        {"kty": {}, "crv": []},
    ],
)
def test_unusable_keys_are_passed_over(entry: Any) -> None:
    """One bad entry is not used, and takes nothing from its neighbours."""
    good = KeyPair.generate()

    assert set(read_jwks(document(entry, good.jwk()))) == {good.key_id}


def test_the_first_of_two_keys_with_one_id_counts() -> None:
    """A second key cannot slip in under the id of the first."""
    first, second = pair("EdDSA").jwk(), {**pair("ES256").jwk(), "kid": pair("EdDSA").key_id}

    assert read_jwks(document(first, second))[pair("EdDSA").key_id].algorithm == "EdDSA"


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"null", b'"keys"', b"{}", b'{"keys": {}}', b"<Error/>", b"\xff"])
def test_other_documents_are_no_jwks(text: bytes) -> None:
    """A document that is something else is an error, not an empty set of keys."""
    with pytest.raises(JwksError):
        read_jwks(text)


@given(
    st.dictionaries(
        st.sampled_from(["kty", "crv", "kid", "x", "y", "n", "e", "use", "alg", "key_ops"]),
        st.none() | st.integers(-(2**63), 2**63) | st.text(max_size=44)
        | st.sampled_from(["OKP", "EC", "RSA", "Ed25519", "P-256", "sig", "AQAB", "A" * 43]) | st.lists(st.text()),
    )
)  # fmt: skip
def test_any_entry_is_read_or_passed_over(entry: dict[str, Any]) -> None:
    """Whatever an entry holds, reading it raises nothing, and what comes out has a sound algorithm."""
    assert all(key.algorithm in ALGORITHMS for key in read_jwks(document(entry)).values())
