"""The local stack's folder, `.shoebox`: keys, samples, what runs in it now, and the stack's own data in `data/`."""

from __future__ import annotations

import fcntl
import json
from pathlib import Path
from typing import Any


class DataFolder:
    """`.shoebox` or another folder; nothing is made before it is needed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._running = path / "running.json"

    @property
    def data(self) -> Path:
        """The stack's own: photos, tables, functions' logs. `--fresh` empties it."""
        return self.path / "data"

    @property
    def demo(self) -> Path:
        """The data of `shoebox demo`, made anew each time."""
        return self.path / "demo"

    @property
    def samples(self) -> Path:
        """Where sample photos are kept from run to run."""
        return self.path / "samples"

    @property
    def log(self) -> Path:
        """What the fleet itself logs; each function has a log of its own in the data."""
        return self.path / "stack.log"

    def key_file(self, tenant: str) -> Path:
        """A tenant's private key, 0600."""
        return self.path / "keys" / f"{tenant}.pem"

    def running(self) -> dict[str, Any] | None:
        """What the stack that runs in this folder said of itself; None if none does.

        The stack holds its lock for as long as it lives, so that a note left by one that was killed is not believed.
        Its emulator, which ends a moment later, has the lock, too, and is not what the note tells of.
        """
        from fleet.data_folder import is_alive

        try:
            with (self.data / "lock").open("rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            found = _read(self._running)
            return found if found and is_alive(str(found.get("pid"))) else None
        except OSError:
            return None
        return None

    def announce(self, addresses: dict[str, Any]) -> None:
        """Tell other commands what runs here. It holds a token, so only the user may read it."""
        self._running.touch(mode=0o600)
        self._running.write_text(json.dumps(addresses))

    def withdraw(self) -> None:
        """Nothing runs here any more."""
        self._running.unlink(missing_ok=True)


def _read(path: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and "url" in found else None
