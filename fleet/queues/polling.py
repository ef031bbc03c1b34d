"""How long a mapping waits after trouble. Pure."""

from __future__ import annotations


class Backoff:
    """Waits that double, from `first` to `most` seconds, until something succeeds."""

    def __init__(self, first: float, most: float) -> None:
        self._first = first
        self._most = most
        self._next = first

    def next(self) -> float:
        """Seconds to wait now."""
        delay, self._next = self._next, min(self._next * 2, self._most)
        return delay

    def reset(self) -> None:
        """Begin again with the first."""
        self._next = self._first
