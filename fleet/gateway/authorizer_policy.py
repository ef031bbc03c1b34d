"""The output of a Lambda authorizer: its IAM policy, evaluated as API Gateway does, and its context.

Source: API Gateway, "Output from an API Gateway Lambda authorizer"; IAM, "Policy evaluation logic".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson

_ACTION = "execute-api:Invoke"
_RESOURCE_CHARACTERS = 512  # API Gateway quotas


class MalformedPolicy(ValueError):
    """The authorizer's output cannot be used: API Gateway answers AUTHORIZER_CONFIGURATION_ERROR."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement: whether it allows, and the method ARNs that it is about."""

    allows: bool
    resources: tuple[re.Pattern[str], ...]

    def covers(self, method_arn: str) -> bool:
        """Whether it is about this method."""
        return any(pattern.fullmatch(method_arn) for pattern in self.resources)


@dataclass(frozen=True, slots=True)
class Authorization:
    """An authorizer's answer, good for a whole stage: principal, policy, and context as strings."""

    principal: str
    statements: tuple[Statement, ...]
    context: Mapping[str, str]

    def allows(self, method_arn: str) -> bool:
        """An explicit Deny wins; without an Allow the answer is no."""
        covering = [statement.allows for statement in self.statements if statement.covers(method_arn)]
        return bool(covering) and all(covering)


def parse_output(payload: bytes) -> Authorization:
    """Read an authorizer's output.

    Raises:
        MalformedPolicy: no principal, no policy, a statement that is not understood, or a context that is not flat.
    """
    try:
        output = orjson.loads(payload)
        statements = output["policyDocument"]["Statement"]
        return Authorization(
            principal=_text(output["principalId"]),
            statements=tuple(_statement(item) for item in _listed(statements)),
            context=_context(output.get("context") or {}),
        )
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise MalformedPolicy(f"authorizer output: {type(error).__name__}: {error}") from error


def _statement(item: dict[str, Any]) -> Statement:
    if item["Effect"] not in ("Allow", "Deny"):
        raise MalformedPolicy("a statement's Effect is Allow or Deny")
    if unknown := item.keys() - {"Sid", "Effect", "Action", "Resource"}:
        raise MalformedPolicy(f"not understood in a statement: {', '.join(sorted(unknown))}")
    if not any(_wildcard(_text(action)).fullmatch(_ACTION) for action in _listed(item["Action"])):
        return Statement(item["Effect"] == "Allow", ())
    return Statement(item["Effect"] == "Allow", tuple(_resource(_text(name)) for name in _listed(item["Resource"])))


def _resource(name: str) -> re.Pattern[str]:
    if len(name) > _RESOURCE_CHARACTERS:
        raise MalformedPolicy(f"a Resource has more than {_RESOURCE_CHARACTERS} characters")
    return _wildcard(name)


@lru_cache(maxsize=1024)
def _wildcard(text: str) -> re.Pattern[str]:
    return re.compile(re.escape(text).replace(r"\*", ".*").replace(r"\?", "."), re.DOTALL)


def _context(values: dict[str, Any]) -> dict[str, str]:
    """Strings, numbers and booleans, all as strings."""
    for name, value in values.items():
        if value is not None and not isinstance(value, str | int | float):
            raise MalformedPolicy(f"context.{name} is not a string, number or boolean")
    return {
        name: orjson.dumps(value).decode() if not isinstance(value, str) else value
        for name, value in values.items()
        if value is not None
    }


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise MalformedPolicy(f"{value!r:.100} is not a string")
    return value


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else [value]
