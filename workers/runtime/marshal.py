"""JSON in and out: orjson where it is installed, else the standard library, with the same results.

As AWS's Python runtime client (simplejson): any JSON value, tuples, named tuples as objects, Decimal as a number, bytes
as the UTF-8 text that they hold, keys that are no strings; nothing else.
Differences: UUIDs and enums are written by value; NaN and infinities, which JSON does not have, as null. With orjson,
integers of an event beyond 64 bits are read as floats; without it, a Decimal fraction keeps 17 digits.
"""

from __future__ import annotations

import enum
import json
import math
import uuid
from decimal import Decimal
from typing import Any

from workers.runtime.errors import MarshalError, UnmarshalError

try:
    import orjson
except ImportError:
    orjson = None  # type: ignore[assignment,unused-ignore]

JSON = "application/json"
UNKNOWN_TYPE = "application/unknown"
"""What AWS's client calls bytes."""


def loads(body: bytes) -> Any:
    """Read a JSON value from its bytes. Raises UnmarshalError."""
    if orjson is not None:
        try:
            return orjson.loads(body)
        except orjson.JSONDecodeError:
            pass  # NaN and the like, which AWS's client takes; or truly not JSON
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise UnmarshalError(f"Unable to unmarshal input: {error}") from error


def unmarshal(body: bytes, content_type: str) -> Any:
    """Return the event: a JSON value, or the bytes if the content type is another. Raises UnmarshalError."""
    media_type = content_type.partition(";")[0].strip().lower()
    return loads(body) if media_type in (JSON, "") else body


def marshal(returned: Any) -> tuple[bytes, str]:
    """Return what a handler returned as bytes, and their content type; bytes stay as they are. Raises MarshalError."""
    if isinstance(returned, bytes):
        return returned, UNKNOWN_TYPE
    return dumps(returned), JSON


def dumps(value: Any) -> bytes:
    """Write a JSON value as bytes. Raises MarshalError."""
    if orjson is not None:
        try:
            return orjson.dumps(value, _default_orjson, _ORJSON_OPTIONS)
        except TypeError:
            pass  # integers beyond 64 bits and lone surrogates, which the standard library can write; or truly no JSON
    try:
        return json.dumps(_plain(value), default=_default, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise MarshalError(f"Unable to marshal response: {error}") from error


_ORJSON_OPTIONS = 0
if orjson is not None:
    _ORJSON_OPTIONS = orjson.OPT_NON_STR_KEYS | orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS


def _default_orjson(value: Any) -> Any:
    if isinstance(value, Decimal):
        return orjson.Fragment(str(value)) if value.is_finite() else None
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return value._asdict()
    raise TypeError


def _default(value: Any) -> Any:
    if isinstance(value, Decimal):
        if not value.is_finite():
            return None
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, uuid.UUID):
        return str(value)
    if isinstance(value, enum.Enum):
        return value.value
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


def _plain(value: Any) -> Any:
    """Replace what the standard library would write otherwise than AWS's client, or not at all."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        value = value._asdict()
    if isinstance(value, dict):
        return {key.decode() if isinstance(key, bytes) else key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value
