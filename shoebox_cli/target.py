"""The stack that a command is for: `shoebox up` in a data folder, or compose.yaml's containers on this machine."""

from __future__ import annotations

import fcntl
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from console.exits import CliError, Exit
from shoebox_cli.compose import Engine, compose_folder

_PORTS = {"url": ("fleet", 8080), "control": ("fleet", 9001), "emulator": ("localstack", 4566)}


class DataFolder:
    """The local stack's folder, `.shoebox` or another: keys, samples, what runs in it now, and its data in `data/`.

    Nothing is made before it is needed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.data = path / "data"  # photos, tables, functions' logs; `--fresh` empties it
        self.demo = path / "demo"  # the data of `shoebox demo`, made anew each time
        self.samples = path / "samples"  # sample photos, kept from run to run
        self.log = path / "stack.log"  # what the fleet itself logs; each function has a log of its own in the data
        self._running = path / "running.json"

    def key_file(self, tenant: str) -> Path:
        """Return where a tenant's private key is, mode 0600."""
        return self.path / "keys" / f"{tenant}.pem"

    def running(self) -> dict[str, Any] | None:
        """Return what the stack that runs in this folder announced; None if none does.

        A stack holds the lock of its note for as long as it lives: a note of one that was killed is not believed.
        """
        try:
            with self._running.open("rb") as note:
                fcntl.flock(note, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            pass
        except OSError:
            return None
        else:
            return None
        try:
            found = json.loads(self._running.read_text())
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) and "url" in found else None

    @contextmanager
    def announced(self, addresses: dict[str, Any]) -> Iterator[bool]:
        """Tell other commands what runs here, until the end of the block; False: another stack's note stands.

        It holds a token, so only the user may read it.
        """
        self._running.touch(mode=0o600)
        with self._running.open("r+") as note:
            try:
                fcntl.flock(note, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            note.truncate()
            note.write(json.dumps(addresses))
            note.flush()
            try:
                yield True
            finally:
                self._running.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class Target:
    """The addresses of a running stack. `engine` is Docker where it is in containers; else it is `shoebox up`.

    `has_gallery`: whether it is Shoebox's own stack, not one of the user's own functions.
    """

    url: str
    control: str
    emulator: str
    has_gallery: bool = True
    engine: Engine | None = None

    @property
    def ports(self) -> set[int | None]:
        """Its ports on this machine."""
        return {urlsplit(url).port for url in (self.url, self.control, self.emulator)}

    @property
    def localstack(self) -> str | None:
        """The address of its LocalStack; None where its emulator is no container of ours."""
        return self.emulator if self.engine else None

    def is_at(self, url: str) -> bool:
        """Tell whether `url` is its gateway's."""
        from shoebox_client.api import is_loopback

        return is_loopback(url) and urlsplit(url).port == urlsplit(self.url).port


def find_target(data: Path) -> Target | None:
    """Return the stack of this data folder; else compose.yaml's, as Compose itself finds it; None if none runs."""
    if found := DataFolder(data).running():
        control, emulator = str(found["control"]), str(found["emulator"])
        return Target(str(found["url"]), control, emulator, has_gallery=bool(found.get("gallery")))
    engine = Engine(compose_folder())
    if shutil.which(engine.command) is None:
        return None
    published = {
        (container["Service"], port["TargetPort"]): port["PublishedPort"]
        for container in engine.containers("fleet", "localstack")
        for port in container.get("Publishers") or ()
        if port.get("PublishedPort")
    }
    if ("fleet", 8080) not in published:
        return None
    urls = {name: f"http://127.0.0.1:{published.get(port, port[1])}" for name, port in _PORTS.items()}
    return Target(urls["url"], urls["control"], urls["emulator"], engine=engine)


def required_target(data: Path, hint: str) -> Target:
    """Return the stack as `find_target` does.

    Raises:
        CliError: none runs; with `hint`.
    """
    found = find_target(data)
    if found is None:
        raise CliError("No stack runs here.", hint=hint, exit_code=Exit.UNREACHABLE)
    return found
