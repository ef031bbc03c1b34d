"""ULIDs: unique, and in the order of time."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from shoebox.files.ulid import PATTERN, new_ulid

NOW = datetime(2026, 11, 23, tzinfo=UTC)


def test_the_time_is_the_specifications() -> None:
    """The example of the specification: 1469918176385 ms are 01ARYZ6S41."""
    at = datetime(2016, 7, 30, 22, 36, 16, 385000, UTC)

    assert new_ulid(at)[:10] == "01ARYZ6S41"


def test_those_of_one_millisecond_differ() -> None:
    """80 random bits keep them apart, in one process as in many."""
    assert len({new_ulid(NOW) for _ in range(1000)}) == 1000


@given(st.integers(1, 10**9))
def test_later_ones_sort_behind(milliseconds: int) -> None:
    """Text order is the order of time, from one millisecond to the next."""
    assert new_ulid(NOW) < new_ulid(NOW + timedelta(milliseconds=milliseconds))
    assert re.fullmatch(PATTERN, new_ulid(NOW + timedelta(milliseconds=milliseconds)))


@given(st.integers(-(10**9), 10**9))
def test_one_sorts_behind_its_forerunner_whatever_the_clock_says(milliseconds: int) -> None:
    """The forerunner may be of a machine whose clock is ahead, or of the same millisecond."""
    forerunner = new_ulid(NOW + timedelta(milliseconds=milliseconds))

    assert new_ulid(NOW, after=forerunner) > forerunner
