"""What creating or updating any resource has in common: its outcome, and AWS's errors."""

from __future__ import annotations

from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from shoebox.aws.botocore_errors import aws_errors
from shoebox.aws.errors import AwsError, AwsRefused


class ProvisionError(RuntimeError):
    """A resource could not be brought to what stack.yaml says; the message names it and the reason."""

    def __init__(self, resource: str, reason: str) -> None:
        super().__init__(f"{resource}: {reason}")
        self.resource = resource
        self.reason = reason


class Change(StrEnum):
    """What happened to a resource."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True)
class Outcome:
    """One resource, what happened to it and, if it was updated, which of its settings changed."""

    kind: str
    name: str
    change: Change
    settings: tuple[str, ...] = ()

    def __str__(self) -> str:
        what = f"{self.change} ({', '.join(self.settings)})" if self.settings else str(self.change)
        return f"{self.kind:<7} {self.name:<28} {what}"


@dataclass(frozen=True, slots=True)
class Report:
    """Every resource's outcome, in the order of stack.yaml; `seconds` is the time it all took."""

    outcomes: tuple[Outcome, ...]
    seconds: float

    def having(self, change: Change) -> tuple[Outcome, ...]:
        """Return the outcomes with this change."""
        return tuple(outcome for outcome in self.outcomes if outcome.change is change)

    def __str__(self) -> str:
        counts = ", ".join(f"{len(self.having(change))} {change}" for change in Change)
        news = [f"  {outcome}" for outcome in self.outcomes if outcome.change is not Change.UNCHANGED]
        return "\n".join([f"Provisioned in {self.seconds:.2f} s: {counts}.", *news])


def outcome(kind: str, name: str, *, created: bool, changed: tuple[str, ...] = ()) -> Outcome:
    """Return the outcome of a resource that was `created`, or whose settings `changed`, or neither."""
    if created:
        return Outcome(kind, name, Change.CREATED)
    return Outcome(kind, name, Change.UPDATED if changed else Change.UNCHANGED, changed)


@contextmanager
def naming_errors(kind: str, name: str) -> Iterator[None]:
    """Turn AWS's errors into a ProvisionError that names the resource.

    Raises:
        ProvisionError: AWS refused a call, or did not respond.
    """
    try:
        with aws_errors():
            yield
    except AwsRefused as error:
        reason = f"{error.operation}: {error.code}: {error.message}"
        raise ProvisionError(f"{kind} {name}", reason) from error
    except AwsError as error:
        raise ProvisionError(f"{kind} {name}", error.message) from error


async def none_if(read: Awaitable[Any], *codes: str) -> Any:
    """Return what `read` gives; None when AWS responds with one of the error codes, which mean "there is none"."""
    try:
        with aws_errors():
            return await read
    except AwsRefused as error:
        if error.has_code(*codes):
            return None
        raise
