"""Event filtering: which messages a mapping gives to its function; the others are deleted. Pure, compiled once.

Source: AWS Lambda, "Control which events Lambda sends to your function" (filter rule syntax) and "Using event filtering
with an Amazon SQS event source"; Amazon EventBridge, "Comparison operators for use in event patterns" for what the
first one leaves to it.

Only `body` may be filtered on. A pattern for it is an object (the body must be JSON) or a list of rules (the body must
be plain text); where body and pattern differ in that, the message is dropped. Decided here:

- A body counts as JSON when it is a JSON object or array. A text such as `7` or `"x"` is JSON as well, but a pattern
  of an object can match nothing in it, and a rule for plain text is what its author would expect to see it.
- The operators are those of Lambda's own table. EventBridge has more (`wildcard`, `cidr`, `anything-but` with
  `prefix`), most of which its page marks as not for pipes: they are refused here, for a pattern that works here but not
  on AWS would delete messages there.
- "For numbers, Lambda also uses string representation": 300 is not 300.0. Both were parsed before they get here, so
  300.0 and 3.0e2 are equal, which they are not on AWS. `numeric` compares values.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeAlias

import orjson

MAX_FILTERS = 5
"""Of one mapping; AWS raises it to 10 on request."""

_COMPARISONS = {"<": operator.lt, "<=": operator.le, "=": operator.eq, ">=": operator.ge, ">": operator.gt}
_MAX_NUMBER = 1e9  # EventBridge: "Numeric matching works with values between -1.0e9 and +1.0e9 inclusive"
_ABSENT = object()
_OPERATORS = ("prefix", "suffix", "equals-ignore-case", "anything-but", "numeric", "exists")

Rule: TypeAlias = Callable[[Any], bool]
"""Whether one value matches; `_ABSENT` stands for a field that is not there."""
Matcher: TypeAlias = Callable[[Mapping[str, Any]], bool]


class FilterError(ValueError):
    """A filter cannot be used; the message says where and why."""


class Filters:
    """Up to five patterns, of which one must match; none at all lets every message pass.

    Raises:
        FilterError: a pattern is no pattern.
    """

    def __init__(self, patterns: Sequence[Mapping[str, Any]]) -> None:
        if len(patterns) > MAX_FILTERS:
            raise FilterError(f"a mapping has at most {MAX_FILTERS} filters, not {len(patterns)}")
        self._filters = [_compile(pattern) for pattern in patterns]

    def __bool__(self) -> bool:
        return bool(self._filters)

    def match(self, body: str) -> bool:
        """Whether the function gets a message with this body."""
        if not self._filters:
            return True
        content: Any = _ABSENT
        if body.lstrip(" \t\r\n").startswith(("{", "[")):  # other JSON texts count as plain text, see above
            with suppress(orjson.JSONDecodeError):
                content = orjson.loads(body)
        return any(accepts(body, content) for accepts in self._filters)


def _compile(pattern: Mapping[str, Any]) -> Callable[[str, Any], bool]:
    if set(pattern) != {"body"}:
        named = ", ".join(sorted(pattern)) or "nothing"
        raise FilterError(f"an SQS filter has the key body and no other, not {named}")
    wanted = pattern["body"]
    if isinstance(wanted, list):
        rules = _rules(wanted, "body")
        return lambda body, content: content is _ABSENT and _leaf(rules, body)
    fields = _fields(wanted, "body")
    return lambda body, content: isinstance(content, dict) and fields(content)


def _fields(pattern: Any, where: str) -> Matcher:
    """Return the matcher of a pattern: every field must match; `$or` needs one of its alternatives to."""
    if not isinstance(pattern, Mapping) or not pattern:
        raise FilterError(f"{where}: a pattern is a list of rules, or an object with at least one field")
    matchers = [
        _either(wanted, f"{where}.{name}") if name == "$or" else _field(name, wanted, f"{where}.{name}")
        for name, wanted in pattern.items()
    ]
    return matchers[0] if len(matchers) == 1 else lambda content: all(matches(content) for matches in matchers)


def _either(alternatives: Any, where: str) -> Matcher:
    if not isinstance(alternatives, list) or len(alternatives) < 2:
        raise FilterError(f"{where}: $or has a list of at least two patterns")
    matchers = [_fields(pattern, f"{where}[{n}]") for n, pattern in enumerate(alternatives)]
    return lambda content: any(matches(content) for matches in matchers)


def _field(name: str, wanted: Any, where: str) -> Matcher:
    if isinstance(wanted, list):
        rules = _rules(wanted, where)
        return lambda content: _leaf(rules, content.get(name, _ABSENT))
    inner = _fields(wanted, where)
    return lambda content: _below(inner, content.get(name, _ABSENT))


def _below(matches: Matcher, value: Any) -> bool:
    """Match a pattern below a field; in an array one element must match ("Arrays in event patterns").

    A field that is not there is as an empty object: `exists: false` may still hold below it.
    """
    if isinstance(value, list):
        return any(_below(matches, element) for element in value)
    return matches(value if isinstance(value, dict) else {})


def _leaf(rules: Sequence[Rule], value: Any) -> bool:
    """Apply rules to the value of a field: an object has none, and of an array one element must match."""
    if isinstance(value, list):
        return any(_leaf(rules, element) for element in value)
    leaf = _ABSENT if isinstance(value, dict) else value
    return any(rule(leaf) for rule in rules)


def _rules(wanted: list[Any], where: str) -> list[Rule]:
    if not wanted:
        raise FilterError(f"{where}: a list of rules is not empty")
    return [_rule(rule, where) for rule in wanted]


def _rule(wanted: Any, where: str) -> Rule:
    """Return the test for one rule of a list: a plain value, or an object with one operator."""
    if not isinstance(wanted, Mapping):
        if wanted is not None and not isinstance(wanted, (str, int, float)):
            raise FilterError(f"{where}: a value is a text, a number, true, false or null")
        return lambda value: value is not _ABSENT and _same(value, wanted)
    if len(wanted) != 1:
        raise FilterError(f"{where}: a rule has one operator, not {', '.join(wanted) or 'none'}")
    ((name, operand),) = wanted.items()
    match name:
        case "prefix" | "suffix" | "equals-ignore-case":
            return _text_rule(name, operand, where)
        case "anything-but":
            unwanted = operand if isinstance(operand, list) else [operand]
            if not unwanted or not all(isinstance(one, (str, int, float)) for one in unwanted):
                raise FilterError(f"{where}: anything-but needs a text or a number, or a list of them")
            # A field that is not there has no value, so it does not match.
            return lambda value: value is not _ABSENT and not any(_same(value, one) for one in unwanted)
        case "exists":
            if not isinstance(operand, bool):
                raise FilterError(f"{where}: exists needs true or false")
            return lambda value: (value is not _ABSENT) is operand
        case "numeric":
            return _numeric(operand, where)
    raise FilterError(f"{where}: Lambda's event filtering has no operator {name}; it has {', '.join(_OPERATORS)}")


def _text_rule(name: str, operand: Any, where: str) -> Rule:
    if not isinstance(operand, str):
        raise FilterError(f"{where}: {name} needs a text")
    if name == "prefix":
        return lambda value: isinstance(value, str) and value.startswith(operand)
    if name == "suffix":
        return lambda value: isinstance(value, str) and value.endswith(operand)
    folded = operand.casefold()
    return lambda value: isinstance(value, str) and value.casefold() == folded


def _same(value: Any, wanted: Any) -> bool:
    """Compare as Lambda does: strings character by character, and 1, 1.0 and true are three values."""
    return type(value) is type(wanted) and bool(value == wanted)


def _numeric(operand: Any, where: str) -> Rule:
    """Return the test for one comparison, or for a lower and an upper bound."""
    if not isinstance(operand, list) or len(operand) not in (2, 4):
        raise FilterError(f"{where}: numeric needs a comparison and a number, once or twice")
    comparisons: list[tuple[Callable[[Any, Any], bool], float]] = []
    for sign, number in zip(operand[::2], operand[1::2], strict=True):
        if not isinstance(sign, str) or sign not in _COMPARISONS:
            raise FilterError(f"{where}: numeric compares with {', '.join(_COMPARISONS)}, not {sign!r}")
        if not _is_number(number) or abs(number) > _MAX_NUMBER:
            raise FilterError(f"{where}: numeric needs numbers between -1e9 and 1e9")
        comparisons.append((_COMPARISONS[sign], number))
    return lambda value: _is_number(value) and all(compare(value, number) for compare, number in comparisons)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)  # to Python, True is an int
