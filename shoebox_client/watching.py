"""What is new or changed in folders that are looked at again and again.

Polling, not the kernel's notices: these do not come from network drives, where photo shops and families keep pictures,
and a look tells of whatever happened meanwhile.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from shoebox_client.walk import Walked

_LOOK_SECONDS = 2.0
_SHARE = 10  # of the time, a look may take one part in so many


class Watcher:
    """Tells what is news. A thing is news when it was the same in two looks: a file that is being written grows."""

    def __init__(self) -> None:
        self._before: dict[Path, Walked] = {}
        self._now: dict[Path, Walked] = {}
        self._told: dict[Path, Walked] = {}

    def is_news(self, thing: Walked) -> bool:
        """Whether `thing` is to be handled now."""
        path = thing.path
        self._now[path] = thing
        if self._before.get(path) != thing or self._told.get(path) == thing:
            return False
        self._told[path] = thing
        return True

    def end_look(self) -> None:
        """All has been looked at. What is not there any more is news when it comes back."""
        self._before, self._now = self._now, {}
        self._told = {path: thing for path, thing in self._told.items() if path in self._before}


def paced(sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> Callable[[], Awaitable[None]]:
    """A pause between looks, longer where a look takes long: it shall not keep the disk busy."""
    ended = time.monotonic()

    async def pause() -> None:
        nonlocal ended
        await sleep(max(_LOOK_SECONDS, (time.monotonic() - ended) * _SHARE))
        ended = time.monotonic()

    return pause
