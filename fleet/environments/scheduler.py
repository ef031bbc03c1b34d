"""The rules of a pool: which environment takes an invocation, when to start another, which to stop. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fleet.environments.environment import Environment, State


@dataclass(frozen=True, slots=True)
class Scheduler:
    """The rules of one function: `slots` per environment; an environment may be idle for `idle` seconds."""

    slots: int
    max_environments: int
    idle: float

    def pick(self, environments: Iterable[Environment]) -> Environment | None:
        """Return the environment for the next invocation, or None when none has a free slot.

        It is the least busy one, and of these the last used, so that the others become idle and can end.
        """
        free = [e for e in environments if e.state is State.READY and e.free]
        return min(free, key=lambda e: (e.busy, -e.last_used), default=None)

    def to_start(self, waiting: int, environments: Sequence[Environment], now: float) -> int:
        """Return how many environments to start for `waiting` invocations that found no slot."""
        alive = [e for e in environments if e.state in (State.STARTING, State.READY)]
        starting = sum(e.state is State.STARTING for e in alive)
        expected_polls = sum(e.expected_polls(now) for e in alive)
        wanted = -(-max(0, waiting - expected_polls) // self.slots) - starting
        return max(0, min(wanted, self.max_environments - len(alive)))

    def to_retire(self, environments: Iterable[Environment], now: float) -> list[Environment]:
        """Return the environments that have been idle for long, or whose credentials are about to end."""
        return [
            e
            for e in environments
            if e.state is State.READY and (now >= e.retire_at or (not e.busy and now - e.last_used >= self.idle))
        ]
