"""DynamoDB's sizes and capacity units: how large an item is, and what reading or writing it costs. Pure.

Sources: "DynamoDB item sizes and formats"; "DynamoDB read and write operations". A key or an attribute's value is as
in DynamoDB's JSON, for example `{"S": "text"}`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

Item: TypeAlias = Mapping[str, Mapping[str, Any]]

MAX_ITEM_BYTES = 400 * 1024
"""Bytes of an item ("Quotas in Amazon DynamoDB")."""
WRITE_BYTES = 1024
READ_BYTES = 4096

EVENTUAL, STRONG, TRANSACTIONAL = 0.5, 1.0, 2.0
"""What a read of 4 KB costs by its consistency; a transactional write of 1 KB costs 2 as well."""


def item_size(item: Item) -> int:
    """Bytes of an item: the lengths of its attributes' names and values."""
    size = 0
    for name, value in item.items():
        size += len(name) if name.isascii() else _utf8(name)
        text = value.get("S")  # most are strings, and pages have thousands of them
        size += value_size(value) if text is None else len(text) if text.isascii() else _utf8(text)
    return size


def value_size(value: Mapping[str, Any]) -> int:
    """Bytes of a value; 0 for what is none, which DynamoDB refuses."""
    for kind, content in value.items():
        measure = _SIZES.get(kind)
        return measure(content) if measure else 0
    return 0


def write_units(size: float) -> int:
    """Write capacity units of an item of `size` bytes: 1 for each started KB, at least 1."""
    return max(1, math.ceil(size / WRITE_BYTES))


def read_units(size: float, each: float = EVENTUAL) -> float:
    """Read capacity units of `size` bytes: `each` for each started 4 KB, at least one of them.

    Query and Scan round the sum of what they read, everything else each item.
    """
    return each * max(1, math.ceil(size / READ_BYTES))


def _utf8(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def _number(text: str) -> int:
    """One byte, and one for two significant digits: zeros at either end are trimmed."""
    digits = text.lower().partition("e")[0].replace(".", "").lstrip("+-").strip("0")
    return 1 + (len(digits) + 1) // 2


def _binary(text: str) -> int:
    """Raw bytes of base64."""
    return len(text) * 3 // 4 - text[-2:].count("=")


def _list(values: Iterable[Mapping[str, Any]]) -> int:
    """Three bytes, and one more for each element."""
    return 3 + sum(1 + value_size(value) for value in values)


def _map(values: Item) -> int:
    return 3 + sum(1 + _utf8(name) + value_size(value) for name, value in values.items())


_SIZES: dict[str, Any] = {
    "S": _utf8,
    "N": _number,
    "B": _binary,
    "BOOL": lambda _: 1,
    "NULL": lambda _: 1,
    "L": _list,
    "M": _map,
    "SS": lambda texts: sum(map(_utf8, texts)),
    "NS": lambda numbers: sum(map(_number, numbers)),
    "BS": lambda binaries: sum(map(_binary, binaries)),
}
