"""A function as the fleet sees it: handler, memory, timeout, slots, and how to find it by name or ARN."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from fleet.errors import FunctionNotFound
from fleet.limits.async_events import AsyncRules
from shoebox.stack.deployment import ResolvedStack

VERSION = "$LATEST"
_MANAGED_INIT = 130.0  # AWS Lambda, "Lambda Managed Instances": or the function's timeout, if that is longer


@dataclass(frozen=True, slots=True)
class FunctionSpec:
    """One function of a stack.

    `key` is its name in stack.yaml, `name` the physical one; memory in MB, timeout in seconds; `slots` are the
    invocations that one environment runs at once. `asynchronous` holds for events that nobody waits for, and
    `on_failure` is the queue, by its name in stack.yaml, that takes a record of those that are given up.
    """

    key: str
    name: str
    arn: str
    handler: str
    memory: int
    timeout: int
    slots: int = 1
    reserved_concurrency: int | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    asynchronous: AsyncRules = AsyncRules()  # noqa: RUF009  # frozen
    on_failure: str | None = None

    @classmethod
    def of_json(cls, content: Mapping[str, Any]) -> Self:
        """Make one from its JSON.

        Raises:
            KeyError, TypeError: it is not the JSON of one.
        """
        return cls(**{**content, "asynchronous": AsyncRules(**content["asynchronous"])})

    def init_limit(self, classic: float) -> float:
        """Return the seconds to become ready: `classic`, or with several slots what Lambda Managed Instances give."""
        return classic if self.slots == 1 else max(_MANAGED_INIT, self.timeout)


class Functions:
    """The functions of a stack, found by key, by name, or by any form of ARN that Invoke accepts."""

    def __init__(self, functions: list[FunctionSpec]) -> None:
        self._by_key = {function.key: function for function in functions}
        self._by_name = {function.name: function for function in functions}

    @classmethod
    def of_stack(cls, stack: ResolvedStack) -> Self:
        """Make the functions that the stack describes."""
        return cls([_spec(stack, key) for key in stack.stack.functions])

    def __iter__(self) -> Iterator[FunctionSpec]:
        return iter(self._by_key.values())

    def reserved(self, scaled: Callable[[float], float]) -> dict[str, float]:
        """Return the reserved concurrency by the functions' names in stack.yaml, as `scaled` makes it."""
        return {f.key: scaled(f.reserved_concurrency) for f in self if f.reserved_concurrency is not None}

    def by_key(self, key: str) -> FunctionSpec:
        """Return the function with this name in stack.yaml; KeyError when there is none."""
        return self._by_key[key]

    def by_name(self, name: str) -> FunctionSpec:
        """Return the function that an Invoke names.

        That is `name`, `name:$LATEST`, or a partial or full ARN (AWS Lambda, "Invoke").

        Raises:
            FunctionNotFound: no such function, or another version than $LATEST.
        """
        parts = name.removeprefix("arn:aws:lambda:").split(":")
        if "function" in parts:
            parts = parts[parts.index("function") + 1 :]
        found = self._by_name.get(parts[0])
        if found is None or parts[1:] not in ([], [VERSION]):
            raise FunctionNotFound(name)
        return found


def _spec(stack: ResolvedStack, key: str) -> FunctionSpec:
    described = stack.stack.functions[key]
    return FunctionSpec(
        key=key,
        name=stack.name_of("function", key),
        arn=stack.arn_of("function", key),
        handler=described.handler,
        memory=described.memory,
        timeout=described.timeout,
        slots=described.slots,
        reserved_concurrency=described.reserved_concurrency,
        environment=stack.environment(key),
        asynchronous=AsyncRules(described.asynchronous.retries, described.asynchronous.max_age),
        on_failure=described.asynchronous.on_failure,
    )
