"""The stack that a command talks to: `shoebox up` in this data folder, or compose.yaml's containers on this machine."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from console.exits import CliError, Exit
from console.output import Output, safe
from shoebox_cli.folder import DataFolder
from shoebox_cli.localstack import LocalStack, localstack_at

if TYPE_CHECKING:
    from shoebox_cli.engine import Engine

_ENGINE_SECONDS = 5
_MINT_SECONDS = 60
_HERE = {"127.0.0.1", "localhost", "::1"}
_PORTS = {"url": ("fleet", 8080), "control": ("fleet", 9001), "emulator": ("localstack", 4566)}


@dataclass(frozen=True, slots=True)
class Deployment:
    """Addresses of a running stack. `engine` is Docker where the stack is in containers; else it is `shoebox up`.

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

    def is_at(self, url: str) -> bool:
        """Whether `url` is its gateway's."""
        return is_here(url) and urlsplit(url).port == urlsplit(self.url).port

    def localstack(self) -> LocalStack | None:
        """What LocalStack tells of itself; None where it is no container of ours, or does not answer."""
        return localstack_at(self.emulator) if self.engine else None


def is_here(url: str) -> bool:
    """Whether `url` names this machine."""
    return urlsplit(url).hostname in _HERE


def compose_folder() -> Path:
    """Where compose.yaml is: here, or else in Shoebox's own folder."""
    from shoebox.stack.model import PROJECT

    return Path.cwd() if Path("compose.yaml").exists() else PROJECT


def running_deployment(data: Path) -> Deployment | None:
    """The stack of this data folder; else that of compose.yaml, as Compose itself names it; None if none runs."""
    found = DataFolder(data).running()
    if found:
        control, emulator = str(found["control"]), str(found["emulator"])
        return Deployment(str(found["url"]), control, emulator, has_gallery=bool(found.get("gallery")))
    return _containers()


def required_deployment(data: Path, hint: str) -> Deployment:
    """The same.

    Raises:
        CliError: none runs; with `hint`.
    """
    found = running_deployment(data)
    if found is None:
        raise CliError("No stack runs here.", hint=hint, exit_code=Exit.UNREACHABLE)
    return found


def mint_in_container(engine: Engine, *options: str) -> str:
    """A token, signed with the key that lies in the containers' volume; `options` are those of `token mint`.

    Raises:
        CliError: there is none.
    """
    command = ("compose", "exec", "-T", "fleet", "python", "-m", "shoebox_cli", "token", "mint", *options)
    try:
        minted = engine.run(*command, seconds=_MINT_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise CliError(f"The fleet's container minted no token in {_MINT_SECONDS} s.", exit_code=Exit.LOCAL) from error
    if minted.returncode:
        why = minted.stderr.strip()
        raise CliError(f"The fleet's container minted no token: {why}", exit_code=Exit.LOCAL)
    return minted.stdout.strip()


def listed(engine: Engine, *arguments: str) -> list[dict[str, Any]]:
    """`docker compose ps` as documents, a container each; none where Docker has no answer."""
    try:
        answer = engine.run("compose", "ps", "--format", "json", *arguments, seconds=_ENGINE_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return list(_documents(answer.stdout))


def _containers() -> Deployment | None:
    from shoebox_cli.engine import Engine

    engine = Engine(compose_folder())
    if shutil.which(engine.command) is None:
        return None
    published = {
        (container["Service"], port["TargetPort"]): port["PublishedPort"]
        for container in listed(engine, "fleet", "localstack")
        for port in container.get("Publishers") or ()
        if port.get("PublishedPort")
    }
    if ("fleet", 8080) not in published:
        return None
    urls = {name: f"http://127.0.0.1:{published.get(port, port[1])}" for name, port in _PORTS.items()}
    return Deployment(urls["url"], urls["control"], urls["emulator"], engine=engine)


def _documents(text: str) -> Iterator[dict[str, Any]]:
    """Compose writes a document a line; before 2.21 one list."""
    for line in text.splitlines():
        if line.startswith("{"):
            yield json.loads(line)
        elif line.startswith("["):
            yield from json.loads(line)


@dataclass(slots=True)
class Watch:
    """Tells before a command's work, and after it, what happens to the photos that LocalStack holds."""

    deployment: Deployment | None
    _seen: LocalStack | None = None

    def before(self, output: Output) -> None:
        """Warn when memory is almost used up."""
        self._seen = self.deployment.localstack() if self.deployment else None
        self._warn(self._seen, output)

    def after(self, output: Output) -> str | None:
        """Return what was lost: it began anew meanwhile, or is away. Else warn as before."""
        if self.deployment is None or self._seen is None:
            return None
        now = self.deployment.localstack()
        if now is None:
            return "LocalStack does not answer any more; if it was killed, what it stored is gone. See: shoebox doctor"
        if now.started_at != self._seen.started_at:
            return now.loss()
        if not self._seen.warning():
            self._warn(now, output)
        return None

    def _warn(self, state: LocalStack | None, output: Output) -> None:
        if state and (warning := state.warning()):
            output.say(f"[yellow]![/yellow] {safe(warning)}")
