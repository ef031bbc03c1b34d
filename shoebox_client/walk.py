"""Which files to upload: folders walked in order, pictures told by their first bytes or, failing that, their name.

What `shoebox_client.exclusion` says is left out; links are followed, but no folder is entered twice.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from shoebox_client.exclusion import IGNORE_FILE, Exclusion, PatternError, Rules, ignore_rules
from shoebox_client.picture_types import HEAD_BYTES, media_type, refusal


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture to upload; `size` in bytes, `changed` in nanoseconds since 1970."""

    path: Path
    size: int
    content_type: str
    changed: int


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Something that is left out on purpose."""

    path: Path
    reason: str


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Something that should perhaps be uploaded but cannot be read."""

    path: Path
    detail: str


Walked = Picture | LeftOut | Unreadable


def walk(paths: Iterable[Path], *, recursive: bool = True, exclusion: Exclusion | None = None) -> Iterator[Walked]:
    """Everything under `paths`, folders in the order of their names, each path once."""
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
        own = named and is_folder  # patterns are about what is in it
        if not own and (reason := self._exclusion.reason(path, rules, is_folder=is_folder, named=named)):
            yield LeftOut(path, reason)
        elif status is None:
            yield _unreadable(path, why, named=named)
        elif is_folder:
            yield from self._folder(path, (status.st_dev, status.st_ino), rules, named=named)
        elif stat.S_ISREG(status.st_mode):
            yield _judge(path, status, named=named)
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


def _judge(path: Path, status: os.stat_result, *, named: bool) -> Walked:
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
    """A fault where it was named, or its name is a picture's; anything else would hardly have been uploaded."""
    return Unreadable(path, why) if named or media_type(b"", path.name) else LeftOut(path, "not readable")


def _why(path: Path, error: OSError) -> str:
    if path.is_symlink() and error.errno in {errno.ENOENT, errno.ENOTDIR}:
        return f"it is a link to {path.readlink()}, which is not there"
    if error.errno == errno.ELOOP:
        return "it is a link that leads back to itself"
    return error.strerror or str(error)
