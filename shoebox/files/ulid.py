"""ULIDs: ids whose order as text is the order of their time (specification: github.com/ulid/spec)."""

from __future__ import annotations

import secrets
from datetime import datetime

LENGTH = 26
PATTERN = "[0-7][0-9A-HJKMNP-TV-Z]{25}"  # the first digit holds three bits: 26 × 5 bits for 128
_DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_TIME_SHIFT = 80
_RANDOM_BITS = 80


def new_ulid(now: datetime, *, after: str = "") -> str:
    """Return a new ULID of `now`, 26 characters: 48 bits of milliseconds, 80 random ones.

    It sorts after the ULID `after`, also where the clock that made that one was ahead of ours.
    """
    milliseconds = int(now.timestamp() * 1000)
    if after:
        milliseconds = max(milliseconds, (_value(after) >> _TIME_SHIFT) + 1)
    value = milliseconds << _TIME_SHIFT | secrets.randbits(_RANDOM_BITS)
    return "".join(_DIGITS[value >> shift & 31] for shift in range(5 * (LENGTH - 1), -1, -5))


def _value(ulid: str) -> int:
    value = 0
    for character in ulid:
        value = value << 5 | _DIGITS.index(character)
    return value
