"""Limits of what clients may take from a server: bytes, seconds and connections."""

from __future__ import annotations

import math
import resource
from dataclasses import dataclass, field

_MAX_CONNECTIONS = 4096
_MAX_OPEN_FILES = 65_536


def raise_open_files() -> int:
    """Raise this process's soft limit of open files to the hard one, 65,536 at most; return what holds then.

    Shells give 1,024, which is too few for a gateway. Children inherit it.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MAX_OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, _MAX_OPEN_FILES)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return _MAX_OPEN_FILES if soft == resource.RLIM_INFINITY else soft
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError):  # macOS allows less than its hard limit says
        return soft
    return wanted


def _max_connections() -> int:
    """Return how many may be open at once: half of the files that this process may have open, if that is less."""
    # The limit is raised here, before it is read: whatever listens has `RequestLimits`, the fleet as the emulator.
    return min(_MAX_CONNECTIONS, raise_open_files() // 2)


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """Limits of one listening socket. Seconds count while the server waits for the client, never the other way round.

    A head (request line and headers, also trailers and what frames a body) may have `max_head_bytes` and
    must be complete after `head_seconds`, as must the first one of a new connection. A body may take `body_seconds`,
    and one more for each `body_rate` bytes that came. A connection may be idle for `idle_seconds`, and may take nothing
    of its response for `send_seconds`. What comes after a refusal is thrown away for `linger_seconds`, so that
    the client can read the refusal. `max_connections` are open at once.
    """

    max_head_bytes: int = 65_536
    head_seconds: float = 10
    body_seconds: float = 20
    body_rate: float = 10_240
    idle_seconds: float = 75
    send_seconds: float = 60
    linger_seconds: float = 2
    max_connections: int = field(default_factory=_max_connections)


PROGRAMS = RequestLimits(body_seconds=math.inf, send_seconds=math.inf)
"""For our own programs: a function may stream its response for minutes, and may stand in a debugger."""
