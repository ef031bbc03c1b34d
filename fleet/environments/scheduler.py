"""Which environment takes an invocation, when to start another, which to stop. Pure: views in, decisions out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, TypeVar


class State(StrEnum):
    """The life of an execution environment ("Understanding the Lambda execution environment lifecycle")."""

    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"  # takes no more invocations; ends when those that run are done
    ENDED = "ended"


class EnvironmentView(Protocol):
    """What a decision may look at; times in seconds, `credentials_end` and `last_used` on the caller's clock."""

    @property
    def state(self) -> State:
        """Where in its life it is."""

    @property
    def free(self) -> int:
        """Slots that ask for an invocation now."""

    @property
    def busy(self) -> int:
        """Invocations that run."""

    def soon(self, now: float) -> int:
        """Slots that will ask for an invocation in a moment."""

    @property
    def last_used(self) -> float:
        """When it was started or last had an invocation."""

    @property
    def retire_at(self) -> float:
        """When it must take no more invocations, for its credentials end."""


View = TypeVar("View", bound=EnvironmentView)


@dataclass(frozen=True, slots=True)
class Scheduler:
    """The rules of one function: `slots` an environment, at most `most` environments, idle for `idle` seconds."""

    slots: int
    most: int
    idle: float

    def pick(self, environments: Iterable[View]) -> View | None:
        """The environment for the next invocation: the least busy, of these the last used, so that others go idle."""
        free = [e for e in environments if e.state is State.READY and e.free]
        return min(free, key=lambda e: (e.busy, -e.last_used), default=None)

    def to_start(self, waiting: int, environments: Sequence[EnvironmentView], now: float) -> int:
        """How many environments to start for `waiting` invocations that found no slot."""
        alive = [e for e in environments if e.state in (State.STARTING, State.READY)]
        starting = sum(e.state is State.STARTING for e in alive)
        soon = sum(e.soon(now) for e in alive)
        wanted = -(-max(0, waiting - soon) // self.slots) - starting
        return max(0, min(wanted, self.most - len(alive)))

    def to_retire(self, environments: Iterable[View], now: float) -> list[View]:
        """Environments that have been idle for long, or whose credentials are about to end."""
        return [
            e
            for e in environments
            if e.state is State.READY and (now >= e.retire_at or (not e.busy and now - e.last_used >= self.idle))
        ]
