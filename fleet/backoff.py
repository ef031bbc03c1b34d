"""Pauses between tries that go on for as long as the fleet runs, such as polls of a queue."""

from __future__ import annotations


class Backoff:
    """Pauses that double, from `first` to `longest` seconds, until something succeeds.

    Not `shoebox.aws.retry.RetryPolicy`, which is for one call that is given up in the end: a poller never gives up, its
    pauses are kept from one batch to the next, and there is no crowd of them that jitter would have to spread.
    """

    def __init__(self, first: float, longest: float) -> None:
        self._first = first
        self._longest = longest
        self._next = first

    def next(self) -> float:
        """Return the seconds to pause now."""
        pause, self._next = self._next, min(self._next * 2, self._longest)
        return pause

    def reset(self) -> None:
        """Begin again with the first."""
        self._next = self._first
