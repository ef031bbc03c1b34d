"""The output of a Lambda authorizer: its IAM policy, evaluated as API Gateway does, and its context.

Sources: API Gateway, "Output from an API Gateway Lambda authorizer", "Control access to HTTP APIs with AWS Lambda
authorizers" (Lambda authorizer response format); IAM, "Policy evaluation logic". `usageIdentifierKey` is accepted and
counts for nothing: there are no usage plans here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Any

import orjson

_ACTION = "execute-api:Invoke"
_RESOURCE_CHARACTERS = 512  # API Gateway quotas


class MalformedPolicy(ValueError):
    """The authorizer's output cannot be used: API Gateway responds AUTHORIZER_CONFIGURATION_ERROR."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement: whether it allows, and the method ARNs that it is about."""

    allows: bool
    resources: tuple[re.Pattern[str], ...]

    def covers(self, method_arn: str) -> bool:
        """Tell whether it is about this method."""
        return any(pattern.fullmatch(method_arn) for pattern in self.resources)


class Verdict(Enum):
    """What a policy says of a method; REST APIs tell their clients which denial it was."""

    ALLOW = "allow"
    EXPLICIT_DENY = "explicit deny"
    IMPLICIT_DENY = "implicit deny"


@dataclass(frozen=True, slots=True)
class Authorization:
    """An authorizer's output, good for a whole stage: principal, policy, and context."""

    principal: str
    statements: tuple[Statement, ...]
    context: Mapping[str, Any]

    def verdict(self, method_arn: str) -> Verdict:
        """Evaluate the policy: an explicit Deny wins, and without an Allow the verdict is an implicit one."""
        found = Verdict.IMPLICIT_DENY
        for statement in self.statements:
            if statement.covers(method_arn):
                if not statement.allows:
                    return Verdict.EXPLICIT_DENY
                found = Verdict.ALLOW
        return found


def parse_output(payload: bytes) -> Authorization:
    """Read the output of a REST API's authorizer: a policy, and a flat context whose values become strings.

    Raises:
        MalformedPolicy: no principal, no policy, a statement that is not understood, or a context that is not flat.
    """
    output = _read(payload, _policy)
    return Authorization(output.principal, output.statements, _strings(_flat(output.context)))


def parse_http_1(payload: bytes) -> Authorization:
    """Read an HTTP API's output of format 1.0: a policy, and a flat context.

    Raises:
        MalformedPolicy: as `parse_output`.
    """
    output = _read(payload, _policy)
    return Authorization(output.principal, output.statements, _flat(output.context))


def parse_http_2(payload: bytes) -> Authorization:
    """Read an HTTP API's output of format 2.0: a policy, and a context of any JSON.

    Raises:
        MalformedPolicy: as `parse_output`, but for the context.
    """
    return _read(payload, _policy)


def parse_simple(payload: bytes) -> Authorization:
    """Read an HTTP API's simple output: `isAuthorized`, for all methods, and a context of any JSON.

    Raises:
        MalformedPolicy: `isAuthorized` is missing or neither true nor false.
    """
    return _read(payload, _simple)


def _read(payload: bytes, of: Callable[[dict[str, Any]], Authorization]) -> Authorization:
    try:
        return of(orjson.loads(payload))
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise MalformedPolicy(f"authorizer output: {type(error).__name__}: {error}") from error


def _policy(output: dict[str, Any]) -> Authorization:
    return Authorization(
        principal=_text(output["principalId"]),
        statements=tuple(_statement(item) for item in _listed(output["policyDocument"]["Statement"])),
        context=_mapping(output),
    )


def _simple(output: dict[str, Any]) -> Authorization:
    allowed = output["isAuthorized"]
    if not isinstance(allowed, bool):
        raise MalformedPolicy("isAuthorized is neither true nor false")
    return Authorization("", (Statement(allowed, (_wildcard("*"),)),), _mapping(output))


def _mapping(output: dict[str, Any]) -> dict[str, Any]:
    context = output.get("context") or {}
    if not isinstance(context, dict):
        raise MalformedPolicy("context is not an object")
    return context


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


def _flat(values: Mapping[str, Any]) -> Mapping[str, Any]:
    for name, value in values.items():
        if value is not None and not isinstance(value, str | int | float):
            raise MalformedPolicy(f"context.{name} is not a string, number or boolean")
    return values


def _strings(values: Mapping[str, Any]) -> dict[str, str]:
    """Return strings, numbers and booleans as strings; null is left out."""
    return {
        name: value if isinstance(value, str) else orjson.dumps(value).decode()
        for name, value in values.items()
        if value is not None
    }


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise MalformedPolicy(f"{value!r:.100} is not a string")
    return value


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else [value]
