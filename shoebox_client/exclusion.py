"""Patterns of what is left out of folders: what people exclude, and what their programs leave there.

Patterns are those of .gitignore ("gitignore", PATTERN FORMAT): the last one that matches decides, `!` takes in again,
a slash at the end means folders, one elsewhere ties a pattern to its folder. What is in a folder that is left out is
left out with it. From the weakest to the strongest: `LEFT_OUT`, each folder's file `.shoeboxignore`, `--exclude`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pathspec import GitIgnoreSpec

IGNORE_FILE = ".shoeboxignore"
MAX_IGNORE_BYTES = 1_000_000
LEFT_OUT = {
    ".*": "hidden",
    "@eadir/": "a NAS's thumbnails",
    "@__thumb/": "a NAS's thumbnails",
    "#recycle/": "a recycle bin",
    "@recycle/": "a recycle bin",
    "$recycle.bin/": "a recycle bin",
    "__macosx/": "a Mac's additions to an archive",
    "*_original": "ExifTool's backups",
    "*.lrdata/": "Lightroom's previews",
    "ipod photo cache/": "iTunes' thumbnails",
    "*.thm": "thumbnails of videos",
    "thumbs.db": "Windows' thumbnails",
    "ehthumbs.db": "Windows' thumbnails",
}
"""Patterns in lower case, of names in any case, with what they leave out; the page has the same table
(api/static/left-out.js)."""
_DEFAULTS = GitIgnoreSpec.from_lines(pattern.replace("#", "\\#") for pattern in LEFT_OUT)


class PatternError(ValueError):
    """A pattern, or a file of patterns, cannot be understood or read; the message says which."""


@dataclass(frozen=True, slots=True)
class Rules:
    """Patterns of one source: paths below `folder` are excluded for `reason`."""

    folder: Path
    patterns: GitIgnoreSpec
    reason: str


@dataclass(frozen=True, slots=True)
class Exclusion:
    """What a run leaves out: the patterns of `--exclude`, and `LEFT_OUT` unless `defaults` is off."""

    patterns: GitIgnoreSpec = field(default_factory=lambda: parse_patterns(()))
    defaults: bool = True

    def reason(self, path: Path, rules: Sequence[Rules], *, is_folder: bool, named: bool = False) -> str | None:
        """Return why a path is left out, by the first of `rules` that matches it; None if it is taken.

        The defaults do not hold for what somebody has named.
        """
        slash = "/" if is_folder else ""
        for each in rules:
            found = each.patterns.check_file(path.relative_to(each.folder).as_posix() + slash)
            if found.include is not None:
                return each.reason if found.include else None
        if named or not self.defaults:
            return None
        found = _DEFAULTS.check_file(path.name.lower() + slash)
        return None if found.index is None else list(LEFT_OUT.values())[found.index]

    def first_rules(self, folder: Path) -> tuple[Rules, ...]:
        """Return the rules of `--exclude` for all below `folder`."""
        return (Rules(folder, self.patterns, "excluded by --exclude"),)


def parse_patterns(lines: Iterable[str]) -> GitIgnoreSpec:
    """Return the rules of these lines.

    Raises:
        PatternError: one of them is no pattern.
    """
    try:
        return GitIgnoreSpec.from_lines(lines)
    except ValueError as error:
        raise PatternError(f"{error}; it is written as in .gitignore, such as *.png, cache/ or !keep.png") from error


def ignore_rules(folder: Path) -> Rules | None:
    """Return the rules of a folder's `.shoeboxignore`; None if it has none.

    Raises:
        PatternError: it cannot be read or understood; nothing can be said of what the folder holds.
    """
    path = folder / IGNORE_FILE
    try:
        with path.open("rb") as file:
            text = file.read(MAX_IGNORE_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise PatternError(error.strerror or str(error)) from error
    if len(text) > MAX_IGNORE_BYTES:
        raise PatternError(f"it has more than {MAX_IGNORE_BYTES:,} bytes")
    return Rules(
        folder, parse_patterns(text.decode(errors="surrogateescape").splitlines()), f"excluded by {IGNORE_FILE}"
    )
