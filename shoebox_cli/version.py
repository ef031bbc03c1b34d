"""`shoebox --version`: what runs here, in one line for a bug report."""

from __future__ import annotations

import platform
import subprocess
from importlib.metadata import version

from shoebox.stack.model import PROJECT

_GIT_SECONDS = 5


def version_line() -> str:
    """Name, version, Python, and the commit where the code is a git checkout."""
    commit = _commit()
    source = f", commit {commit}" if commit else ""
    return f"shoebox {version('shoebox')} (Python {platform.python_version()}{source})"


def _commit() -> str | None:
    """The checkout's commit, with a plus where something was changed since; None where there is no checkout."""
    if not (PROJECT / ".git").exists():  # a folder above may be somebody else's repository
        return None
    command = ("git", "-C", str(PROJECT), "describe", "--always", "--exclude=*", "--abbrev=12", "--dirty=+")
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=_GIT_SECONDS, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip()
