"""The API's pure rules: who calls, what may be registered, how a file falls into parts, and what a link allows."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.dependencies import read_caller
from api.files.documents import RefusedEntry
from api.files.entries import read_entry
from api.files.multipart import PartPlan
from shoebox.config import Limits
from shoebox.errors import Invalid, Unauthorized
from shoebox.files.model import Owner, Registration
from shoebox.files.pictures import Part
from shoebox_client.picture_types import MEDIA_TYPES

LIMITS = Limits()
SHA = "0123456789abcdef" * 4
GOOD = {"name": "beach.jpg", "size": 123, "content_type": "image/jpeg", "sha256": SHA}
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def code(**wrong: Any) -> str:
    """Return the problem of a good entry but for what is wrong."""
    refused = read_entry({**GOOD, **wrong}, LIMITS)
    assert isinstance(refused, RefusedEntry), refused
    orjson.dumps(refused.model_dump())
    return refused.problem.code


@pytest.mark.parametrize("media_type", MEDIA_TYPES)
def test_a_good_entry_is_a_registration(media_type: str) -> None:
    """Every accepted type, image/heif under its usual name."""
    asked = read_entry({**GOOD, "content_type": media_type}, LIMITS)

    assert asked == Registration("beach.jpg", 123, MEDIA_TYPES[media_type], SHA)


@pytest.mark.parametrize(
    ("asked", "kept"),
    [
        ("image/jpg", "image/jpeg"),
        ("image/pjpeg", "image/jpeg"),
        ("IMAGE/JPEG", "image/jpeg"),
        ("image/jpeg; charset=binary", "image/jpeg"),
        ("Image/X-PNG ;a=b", "image/png"),
        ("image/HEIF", "image/heic"),
    ],
)
def test_a_type_is_known_by_all_its_names(asked: str, kept: str) -> None:
    """Upper case, parameters and the names of old browsers and cameras mean the same type."""
    found = read_entry({**GOOD, "content_type": asked}, LIMITS)

    assert isinstance(found, Registration)
    assert found.media_type == kept


@pytest.mark.parametrize(
    "name",
    [
        "", " ", "\u00a0", ".", "..", "a/b", "/a", "../../etc/passwd", "a\\b", "C:\\x.jpg", "a\0b", "a\nb", "a\x7fb",
        "a\x85b", "a\u2028b", "\ud800", "a" * 256, "é" * 128, "🏖" * 64, "a\u202egpj.exe", "a\u200b", "\ufeffa",
    ],
)  # fmt: skip
def test_a_name_with_a_path_or_controls_is_refused(name: str) -> None:
    """Names are shown and saved by others; they hold at most 255 bytes and nothing that steers or hides."""
    assert code(name=name) == "name_invalid"


@pytest.mark.parametrize(
    "name", ["a", "...", ".hidden", "a b.jpg", "é" * 127, "写真.jpg", "👨‍👩‍👧.png", "a" * 255, "con", "%2F"]
)
def test_other_names_are_welcome(name: str) -> None:
    """People name their photos in their own languages."""
    assert isinstance(read_entry({**GOOD, "name": name}, LIMITS), Registration)


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"size": 0}, "size_zero"),
        ({"size": -1}, "validation"),
        ({"size": LIMITS.max_bytes + 1}, "size_too_large"),
        ({"size": 10**30}, "size_too_large"),
        ({"size": 1.0}, "validation"),
        ({"size": True}, "validation"),
        ({"size": "123"}, "validation"),
        ({"size": None}, "validation"),
        ({"content_type": "image/svg+xml"}, "type_unsupported"),
        ({"content_type": "jpeg"}, "type_unsupported"),
        ({"content_type": "image/jpeg, image/png"}, "type_unsupported"),
        ({"content_type": ";image/jpeg"}, "type_unsupported"),
        ({"content_type": ""}, "type_unsupported"),
        ({"sha256": "0" * 63}, "checksum_malformed"),
        ({"sha256": "0" * 64 + "\n"}, "checksum_malformed"),
        ({"sha256": "A" * 64}, "checksum_malformed"),
        ({"sha256": "é" * 64}, "checksum_malformed"),
        ({"sha256": ["0" * 64]}, "validation"),
        ({"name": 7}, "validation"),
        ({"extra": 1}, "validation"),
        ({"\ud800": 1}, "validation"),
    ],
)
def test_each_wrong_value_has_its_code(wrong: dict[str, Any], expected: str) -> None:
    """Types are strict, unknown keys are refused, and each bound has a code of its own."""
    assert code(**wrong) == expected


@pytest.mark.parametrize("missing", GOOD)
def test_a_missing_value_is_named(missing: str) -> None:
    """The detail says which key is missing."""
    refused = read_entry({name: value for name, value in GOOD.items() if name != missing}, LIMITS)

    assert isinstance(refused, RefusedEntry)
    assert refused.problem.code == "validation"
    assert f"/{missing}: " in refused.problem.detail


def test_limits_are_inclusive() -> None:
    """The largest file is still a file."""
    assert isinstance(read_entry({**GOOD, "size": LIMITS.max_bytes}, LIMITS), Registration)


@given(ANY_JSON | st.fixed_dictionaries({name: ANY_JSON | st.just(value) for name, value in GOOD.items()}))
def test_any_entry_is_taken_or_refused(entry: Any) -> None:
    """Whatever JSON an entry is, it ends as a registration or as a problem that can be sent."""
    found = read_entry(entry, LIMITS)

    if isinstance(found, RefusedEntry):
        orjson.dumps(found.model_dump())
    else:
        assert 0 < found.size <= LIMITS.max_bytes


CALLER = {"tenant": "demo", "user": "anna", "scope": "files:read files:write", "expires_at": "1000"}


def test_the_authorizers_word_makes_a_caller() -> None:
    """Tenant, user and scopes, until the very second that the token ends."""
    caller = read_caller(CALLER, now=999.9)

    assert (caller.owner, caller.scopes) == (Owner("demo", "anna"), frozenset({"files:read", "files:write"}))
    with pytest.raises(Unauthorized) as ended:
        read_caller(CALLER, now=1000)
    assert ended.value.code == "token_expired"


@pytest.mark.parametrize(
    "wrong",
    [
        {"tenant": ""}, {"tenant": "demo#x"}, {"tenant": "demo\n"}, {"user": ""}, {"user": "a/b"}, {"user": None},
        {"expires_at": ""}, {"expires_at": "soon"}, {"expires_at": "-1"}, {"expires_at": "1e9"}, {"expires_at": "²"},
    ],
)  # fmt: skip
def test_a_word_that_cannot_be_is_no_caller(wrong: dict[str, Any]) -> None:
    """A context that our authorizer would not write is refused."""
    for context in ({**CALLER, **wrong}, {k: v for k, v in CALLER.items() if k not in wrong}):
        with pytest.raises(Unauthorized) as refused:
            read_caller(context, now=0)
        assert refused.value.code == "token_missing"


@given(st.integers(1, 10**9), st.integers(5 * 1024 * 1024, 10**9))
def test_parts_cover_a_file_exactly(size: int, part_bytes: int) -> None:
    """All parts but the last are full, the last is not empty, and together they are the file."""
    plan = PartPlan(size, part_bytes)
    sizes = [plan.size(number) for number in range(1, plan.count + 1)]

    assert sum(sizes) == size
    assert all(part == part_bytes for part in sizes[:-1])
    assert 0 < sizes[-1] <= part_bytes


def test_parts_that_are_short_or_missing_are_named() -> None:
    """A part counts when it is there at its full size."""
    plan = PartPlan(25, 10)
    parts = [Part(1, 10, "a", None), Part(2, 9, "b", None)]

    assert plan.missing(parts) == [2, 3]
    assert plan.missing([Part(1, 10, "a", None), Part(2, 10, "b", None), Part(3, 5, "c", None)]) == []
    for number in (0, 4):
        with pytest.raises(Invalid):
            plan.size(number)
