"""Dates as cameras and programs write them, read strictly: what cannot be a photo's date is none."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

# Exif 3.0, 4.6.5.4: `YYYY:MM:DD HH:MM:SS`. XMP (ISO 16684-1, 8.2.1.2): ISO 8601, of which time, seconds and offset may
# be missing. Programs mix the two and write dashes, slashes or dots.
_DATE = re.compile(
    r"([0-9]{4})[-:/.]([0-9]{1,2})[-:/.]([0-9]{1,2})"
    r"(?:[T :]+([0-9]{1,2}):([0-9]{2})(?::([0-9]{2})(?:[.,][0-9]*)?)? ?(Z|[-+][0-9]{1,2}:?[0-9]{2})?)?",
    re.IGNORECASE,
)
_OFFSET = re.compile(r"([-+])([0-9]{1,2}):?([0-9]{2})")
_FIRST_YEAR = 1826  # of the oldest photo that is left; programs write the year 1 for "unknown"
_MAX_OFFSET = timedelta(hours=15)
# What programs write that have no time: zero seconds of Unix's clock and of QuickTime's, and .NET's last moment.
_UNSET = frozenset({"1970-01-01T00:00:00", "1904-01-01T00:00:00", "9999-12-31T23:59:59"})


def read_date(text: str, offset: str = "") -> str | None:
    """`text` as ISO 8601 with whole seconds, or None for zeros, blanks and days that do not exist.

    An offset from UTC in `text` itself goes before `offset`; one that is no offset counts as none. A date without a
    time counts as 00:00:00.
    """
    found = _DATE.fullmatch(text.strip())
    if found is None:
        return None
    year, month, day, hour, minute, second = (int(part or 0) for part in found.groups()[:6])
    try:
        moment = datetime(year, month, day, hour, minute, second)
    except ValueError:
        return None
    if moment.year < _FIRST_YEAR or moment.isoformat() in _UNSET:
        return None
    zone = _zone(found[7] or "") or _zone(offset.strip())
    return moment.replace(tzinfo=zone).isoformat()


def _zone(offset: str) -> timezone | None:
    if offset.upper() == "Z":
        return timezone.utc  # noqa: UP017 - prints as +00:00
    found = _OFFSET.fullmatch(offset)
    if found is None or int(found[3]) > 59:
        return None
    distance = timedelta(hours=int(found[2]), minutes=int(found[3]))
    return timezone(-distance if found[1] == "-" else distance) if distance < _MAX_OFFSET else None
