"""The queue of uploads, as cohorts: photos that go together."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import NamedTuple


class Cohort(NamedTuple):
    """Photos that go together, in seconds of the virtual clock; `received` counts their messages' deliveries."""

    registered: float
    photos: int
    uploaded: float = 0.0
    visible: float = 0.0
    received: int = 0


class Backlog:
    """Messages that wait, first in first out."""

    def __init__(self) -> None:
        self._cohorts: deque[Cohort] = deque()
        self.waiting = 0

    def add(self, cohort: Cohort) -> None:
        """Add the messages of a cohort, visible from now on."""
        self._cohorts.append(cohort)
        self.waiting += cohort.photos

    def age(self, now: float) -> float:
        """Return the seconds since the oldest message became visible; 0 where none waits."""
        return now - self._cohorts[0].visible if self._cohorts else 0.0

    def take(self, count: int) -> list[Cohort]:
        """Receive so many of the messages that wait."""
        taken, self.waiting = [*first(self._cohorts, count)], self.waiting - count
        return [cohort._replace(received=cohort.received + 1) for cohort in taken]


def first(cohorts: deque[Cohort], count: int) -> Iterator[Cohort]:
    """Take the first `count` photos of cohorts, at most all; a cohort that is divided keeps its rest."""
    while count:
        head = cohorts.popleft()
        if head.photos > count:
            cohorts.appendleft(head._replace(photos=head.photos - count))
            head = head._replace(photos=count)
        count -= head.photos
        yield head
