"""What an update expression sets and removes, as far as keys of indexes can be concerned.

Source: "Update expressions" (Amazon DynamoDB Developer Guide). Keys of indexes are strings, numbers or binaries at the
top of an item, so of SET only `name = :value` matters, and of REMOVE the names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from emulator.limiter.schemas import text_of

_CLAUSE = re.compile(r"(?<![#:.\w-])(SET|REMOVE|ADD|DELETE)(?=\s)", re.IGNORECASE)
_ASSIGNED = re.compile(r"(?:^|,)\s*(#?[\w-]+)\s*=\s*(:\w+)\s*(?=,|$)")
_EQUAL = re.compile(r"(?<![\w#:.\])-])(#?[A-Za-z_][\w-]*)\s*=\s*(:\w+)")


@lru_cache(maxsize=1024)
def _parsed(expression: str) -> tuple[tuple[tuple[str, str], ...], tuple[str, ...]]:
    """Assignments as (name, value), and removed names; programs use few expressions."""
    words = _CLAUSE.split(expression)
    assigned: list[tuple[str, str]] = []
    removed: list[str] = []
    for clause, content in zip(words[1::2], words[2::2], strict=False):
        if clause.upper() == "SET":
            assigned += _ASSIGNED.findall(content)
        elif clause.upper() == "REMOVE":
            removed += [name.strip() for name in content.split(",")]
    return tuple(assigned), tuple(removed)


def changes_of(request: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Attributes that an UpdateItem or Update sets to a plain value; an empty one for those that it removes."""
    expression = request.get("UpdateExpression")
    if not expression:
        return {}
    names, values = request.get("ExpressionAttributeNames", {}), request.get("ExpressionAttributeValues", {})
    assigned, removed = _parsed(expression)
    changes = {names.get(name, name): values[value] for name, value in assigned if value in values}
    return changes | {names.get(name, name): {} for name in removed}


@lru_cache(maxsize=1024)
def _equalities(expression: str) -> tuple[tuple[str, str], ...]:
    return tuple(_EQUAL.findall(expression))


def partition_of(request: Mapping[str, Any], attribute: str) -> str | None:
    """The value of a partition key that a Query names; None if it cannot be told."""
    if condition := request.get("KeyConditions", {}).get(attribute):
        return text_of(condition["AttributeValueList"][0])
    names, values = request.get("ExpressionAttributeNames", {}), request.get("ExpressionAttributeValues", {})
    for name, value in _equalities(request.get("KeyConditionExpression", "")):
        if names.get(name, name) == attribute and value in values:
            return text_of(values[value])
    return None
