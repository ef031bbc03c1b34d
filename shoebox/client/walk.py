"""Which files to upload: folders walked in order, pictures told by their first bytes or, failing that, their name.

Hidden files and folders are passed over, unless they were named; links are followed, but no folder is entered twice.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from shoebox.picture_types import HEAD_BYTES, media_type, refusal


@dataclass(frozen=True, slots=True)
class Found:
    """A picture to upload; `size` in bytes."""

    path: Path
    size: int
    content_type: str


@dataclass(frozen=True, slots=True)
class Skipped:
    """Something that is left out on purpose."""

    path: Path
    reason: str


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Something that should perhaps be uploaded but cannot be read."""

    path: Path
    detail: str


Walked = Found | Skipped | Unreadable


def walk(paths: Iterable[Path], *, recursive: bool = True) -> Iterator[Walked]:
    """Everything under `paths`, folders in the order of their names, each path once."""
    walker = _Walker(recursive)
    for path in paths:
        yield from walker.visit(path, named=True)


class _Walker:
    def __init__(self, recursive: bool) -> None:
        self._recursive = recursive
        self._folders: set[tuple[int, int]] = set()
        self._paths: set[Path] = set()

    def visit(self, path: Path, *, named: bool = False) -> Iterator[Walked]:
        absolute = path.absolute()
        if absolute in self._paths:
            return
        self._paths.add(absolute)
        if path.name.startswith(".") and not named and path.name not in {".", ".."}:
            yield Skipped(path, "hidden")
            return
        try:
            status = path.stat()
        except OSError as error:
            yield Unreadable(path, _why(error))
            return
        if stat.S_ISDIR(status.st_mode):
            yield from self._folder(path, (status.st_dev, status.st_ino), named)
        elif stat.S_ISREG(status.st_mode):
            yield _judge(path, status.st_size)
        else:
            yield Skipped(path, "not a file")

    def _folder(self, path: Path, identity: tuple[int, int], named: bool) -> Iterator[Walked]:
        if not self._recursive and not named:
            yield Skipped(path, "a folder")
            return
        if identity in self._folders:
            yield Skipped(path, "a folder seen before")
            return
        self._folders.add(identity)
        try:
            inside = sorted(path.iterdir())
        except OSError as error:
            yield Unreadable(path, _why(error))
            return
        for entry in inside:
            yield from self.visit(entry)


def _judge(path: Path, size: int) -> Walked:
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError as error:
        return Unreadable(path, _why(error))
    content_type = media_type(head, path.name)
    if content_type is None:
        return Skipped(path, "not a picture Shoebox takes")
    why = refusal(content_type)
    return Skipped(path, why) if why else Found(path, size, content_type)


def _why(error: OSError) -> str:
    return error.strerror or str(error)
