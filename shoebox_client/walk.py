"""Which files to upload: folders walked in order, pictures told by their first bytes or, failing that, their name.

What `shoebox_client.exclusion` says is left out; links are followed, but no folder is entered twice.
"""

from __future__ import annotations

import asyncio
import errno
import os
import stat
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from shoebox_client.exclusion import IGNORE_FILE, Exclusion, PatternError, Rules, ignore_rules
from shoebox_client.picture_types import HEAD_BYTES, media_type, refusal

_MIN_PAUSE = 2.0
_SCAN_SHARE = 10  # a scan takes at most one part in so many of the time


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture to upload; `size` in bytes, `changed` in nanoseconds since 1970."""

    path: Path
    size: int
    content_type: str
    changed: int


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A file or folder that is not uploaded, on purpose."""

    path: Path
    reason: str


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A file or folder that should perhaps be uploaded but cannot be read."""

    path: Path
    detail: str


Walked = Picture | LeftOut | Unreadable


def walk(paths: Iterable[Path], *, recursive: bool = True, exclusion: Exclusion | None = None) -> Iterator[Walked]:
    """Yield everything under `paths`, folders in the order of their names, each path once."""
    exclusion = exclusion or Exclusion()
    walker = _Walker(recursive, exclusion)
    for path in paths:
        yield from walker.visit(path, exclusion.first_rules(path.parent), named=True)


class _Walker:
    def __init__(self, recursive: bool, exclusion: Exclusion) -> None:
        self._recursive = recursive
        self._exclusion = exclusion
        self._folders: set[tuple[int, int]] = set()
        self._paths: set[Path] = set()

    def visit(self, path: Path, rules: tuple[Rules, ...], *, named: bool = False) -> Iterator[Walked]:
        absolute = path.absolute()
        if absolute in self._paths:
            return
        self._paths.add(absolute)
        try:
            status = path.stat()
        except OSError as error:
            status, why = None, _why(path, error)
        is_folder = status is not None and stat.S_ISDIR(status.st_mode)
        # Patterns are about what is in a folder that was named, not about the folder itself.
        if not (named and is_folder) and (
            reason := self._exclusion.reason(path, rules, is_folder=is_folder, named=named)
        ):
            yield LeftOut(path, reason)
        elif status is None:
            yield _unreadable(path, why, named=named)
        elif is_folder:
            yield from self._folder(path, (status.st_dev, status.st_ino), rules, named=named)
        elif stat.S_ISREG(status.st_mode):
            yield _classify(path, status, named=named)
        else:
            yield LeftOut(path, "not a file")

    def _folder(
        self, path: Path, identity: tuple[int, int], rules: tuple[Rules, ...], *, named: bool
    ) -> Iterator[Walked]:
        if not self._recursive and not named:
            yield LeftOut(path, "a folder")
            return
        if identity in self._folders:
            yield LeftOut(path, "a folder seen before")
            return
        self._folders.add(identity)
        try:
            own = ignore_rules(path)
            inside = sorted(path.iterdir())
        except PatternError as error:
            yield Unreadable(path / IGNORE_FILE, f"{error}; nothing of its folder is uploaded")
            return
        except OSError as error:
            yield Unreadable(path, _why(path, error))
            return
        first, *others = self._exclusion.first_rules(path) if named else rules
        below = (first, *([own] if own else []), *others)  # the strongest first
        for entry in inside:
            yield from self.visit(entry, below)


def _classify(path: Path, status: os.stat_result, *, named: bool) -> Walked:
    """Tell by a file's first bytes, or else its name, whether it is a picture to upload."""
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError as error:
        return _unreadable(path, _why(path, error), named=named)
    content_type = media_type(head, path.name)
    if content_type is None:
        return LeftOut(path, "not a picture Shoebox takes")
    why = refusal(content_type)
    return LeftOut(path, why) if why else Picture(path, status.st_size, content_type, status.st_mtime_ns)


def _unreadable(path: Path, why: str, *, named: bool) -> LeftOut | Unreadable:
    # What nobody named and no picture is called would hardly have been uploaded: no reason to fail a run.
    return Unreadable(path, why) if named or media_type(b"", path.name) else LeftOut(path, "not readable")


def _why(path: Path, error: OSError) -> str:
    if path.is_symlink() and error.errno in {errno.ENOENT, errno.ENOTDIR}:
        return f"it is a link to {path.readlink()}, which is not there"
    if error.errno == errno.ELOOP:
        return "it is a link that leads back to itself"
    return error.strerror or str(error)


class Watcher:
    """Remembers what repeated scans of folders found, to tell what is new or changed.

    An item is new when it was the same in two scans: a file that is still being written grows. Folders are polled,
    since the kernel's notices do not come from network drives, where photo shops and families keep pictures, and a
    scan finds whatever happened meanwhile.
    """

    def __init__(self) -> None:
        self._before: dict[Path, Walked] = {}
        self._now: dict[Path, Walked] = {}
        self._told: dict[Path, Walked] = {}

    def is_new(self, item: Walked) -> bool:
        """Tell whether `item` is to be uploaded, or left out, now."""
        path = item.path
        self._now[path] = item
        if self._before.get(path) != item or self._told.get(path) == item:
            return False
        self._told[path] = item
        return True

    def end_scan(self) -> None:
        """Note that all was scanned: what is not there any more is new when it comes back."""
        self._before, self._now = self._now, {}
        self._told = {path: item for path, item in self._told.items() if path in self._before}


def scan_pauses(sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> Callable[[], Awaitable[None]]:
    """Return a pause to await between scans: longer where a scan takes long, so as not to keep the disk busy."""
    ended = time.monotonic()

    async def pause() -> None:
        nonlocal ended
        await sleep(max(_MIN_PAUSE, (time.monotonic() - ended) * _SCAN_SHARE))
        ended = time.monotonic()

    return pause
