"""JSON in and out, the same with and without orjson."""

import dataclasses
import datetime as dt
import enum
import json
import math
import uuid
from decimal import Decimal
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from workers.runtime import marshal
from workers.runtime.errors import MarshalError, UnmarshalError


@pytest.fixture(params=["orjson", "json"])
def either(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Once with orjson, once as if it were not installed."""
    if request.param == "json":
        monkeypatch.setattr(marshal, "orjson", None)
    return str(request.param)


class Colour(enum.Enum):
    """An enum with values that JSON has."""

    RED = "red"


class Size(NamedTuple):
    """simplejson, which AWS's client uses, writes one as an object."""

    width: int
    height: int


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"a": [1, 2.5, None, True, "é"]}, {"a": [1, 2.5, None, True, "é"]}),
        ((1, 2), [1, 2]),
        ({1: "a", None: "b", False: "c"}, {"1": "a", "null": "b", "false": "c"}),
        (Decimal("1.25"), 1.25),
        (Decimal(12345678901234567890123), 12345678901234567890123),
        (2**70, 2**70),
        (math.nan, None),
        ([math.inf, Decimal("NaN"), {"x": -math.inf}], [None, None, {"x": None}]),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (Colour.RED, "red"),
        ({"body": b"caf\xc3\xa9", b"key": Size(3, 2)}, {"body": "café", "key": {"width": 3, "height": 2}}),
        ("\ud800", "\ud800"),
    ],
)
def test_values(either: str, value: Any, expected: Any) -> None:
    """Whatever is written reads back as JSON's own value."""
    assert json.loads(marshal.dumps(value)) == expected


@dataclasses.dataclass
class Point:
    """Not JSON, though orjson would write it."""

    x: int


@pytest.mark.parametrize("value", [object(), {1, 2}, dt.datetime(2026, 1, 1, tzinfo=dt.UTC), Point(1), bytearray(1)])
def test_what_is_no_json_is_a_fault(either: str, value: Any) -> None:
    """As with AWS's client, a handler turns its own types into JSON itself."""
    with pytest.raises(MarshalError, match="is not JSON serializable"):
        marshal.dumps({"value": value})


def test_bytes_that_are_no_text_are_a_fault(either: str) -> None:
    """A picture goes into JSON as Base64, or is returned alone."""
    with pytest.raises(MarshalError, match="invalid start byte"):
        marshal.dumps({"value": b"\xff"})


def test_circles_are_a_fault(either: str) -> None:
    """A structure that holds itself has no end."""
    circle: list[Any] = []
    circle.append(circle)
    with pytest.raises(MarshalError):
        marshal.dumps(circle)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(json_values)
def test_round_trip(either: str, value: Any) -> None:
    """Any JSON value survives."""
    assert marshal.loads(marshal.dumps(value)) == value


@pytest.mark.parametrize("body", [b"{", b"", b"\xff", b"[" * 100_000])
def test_no_json(either: str, body: bytes) -> None:
    """An event that is no JSON is a fault of AWS's name."""
    with pytest.raises(UnmarshalError, match="Unable to unmarshal input"):
        marshal.loads(body)


def test_nan_in_an_event(either: str) -> None:
    """AWS's client takes NaN, so we do."""
    assert math.isnan(marshal.loads(b"[NaN]")[0])


@pytest.mark.parametrize(
    ("content_type", "event"),
    [
        ("application/json", {"a": 1}),
        ("application/json; charset=utf-8", {"a": 1}),
        ("", {"a": 1}),
        ("application/octet-stream", b'{"a": 1}'),
    ],
)
def test_content_type_decides(content_type: str, event: Any) -> None:
    """Only JSON is parsed."""
    assert marshal.unmarshal(b'{"a": 1}', content_type) == event


def test_bytes_are_sent_as_they_are() -> None:
    """A handler may return bytes of any kind, as with AWS's client."""
    assert marshal.marshal(b"\xff\x00") == (b"\xff\x00", "application/unknown")
    assert marshal.marshal({"a": 1}) == (b'{"a":1}', "application/json")
