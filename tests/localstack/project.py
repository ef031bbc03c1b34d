"""The stack of compose.yaml under a name and ports of its own, beside whatever else runs on this machine."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import load_pem_private_key

from emulator.embedded import ROOT_CREDENTIALS
from shoebox.aws.clients import Clients
from shoebox.config import AwsSettings
from shoebox.stack.deployment import resolve
from shoebox.stack.model import load_stack
from shoebox.tenants.keys import KeyPair
from shoebox_cli.compose import Engine
from standalone.stack import emulated_deployment
from tests.e2e.live_stack import ROOT, LiveStack

PORTS = (
    "SHOEBOX_PORT",
    "SHOEBOX_EMULATOR_PORT",
    "SHOEBOX_CONTROL_PORT",
    "SHOEBOX_PROMETHEUS_PORT",
    "SHOEBOX_GRAFANA_PORT",
    "SHOEBOX_LOCUST_PORT",
)
IMAGES = {
    "SHOEBOX_IMAGE": "shoebox:test",
    "SHOEBOX_LOCALSTACK_IMAGE": "shoebox-localstack:test",
    "SHOEBOX_LOAD_IMAGE": "shoebox-load:test",
    "SHOEBOX_PROMETHEUS_IMAGE": "shoebox-prometheus:test",
}
BUILD_SECONDS = 1500
MINUTES = 300


def free_ports(number: int) -> list[int]:
    """Return ports of 127.0.0.1 that are free at this moment."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(number)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


@dataclass(frozen=True)
class Project:
    """A compose project: `docker compose` with its name, its ports and its stack.yaml."""

    name: str
    environment: dict[str, str]
    stack: Path
    folder: Path = ROOT

    @classmethod
    def named(cls, name: str, stack: Path = ROOT / "stack.yaml", folder: Path = ROOT) -> Project:
        """Return a project with free ports."""
        ports = dict(zip(PORTS, map(str, free_ports(len(PORTS))), strict=True))
        environment = {"COMPOSE_PROJECT_NAME": name, "SHOEBOX_STACK": str(stack), **ports, **IMAGES}
        return cls(name, environment, stack, folder)

    @property
    def engine(self) -> Engine:
        """The engine with the project's variables."""
        return Engine(self.folder, environment={**os.environ, "DOCKER_BUILDKIT": "1", **self.environment})

    def compose(self, *arguments: str, seconds: float = MINUTES) -> subprocess.CompletedProcess[str]:
        """Run `docker compose`, whatever comes of it."""
        return self.engine.run("compose", *arguments, seconds=seconds)

    def run(self, *arguments: str, seconds: float = MINUTES) -> str:
        """Run `docker compose`, which must succeed; return what it printed."""
        ended = self.compose(*arguments, seconds=seconds)
        assert ended.returncode == 0, ended.stderr[-3000:] + self.compose("logs", "--tail", "20").stdout[-5000:]
        return ended.stdout

    def up(self, *arguments: str) -> None:
        """Start everything, and wait until all is healthy."""
        self.run("up", "--build", "--wait", *arguments, seconds=BUILD_SECONDS)

    def containers(self, service: str = "") -> list[dict[str, Any]]:
        """Return the running containers, as `docker inspect` shows them."""
        ids = self.run("ps", "--quiet", *([service] if service else [])).split()
        return list(json.loads(self.engine.run("inspect", *ids).stdout)) if ids else []

    def logs(self, service: str) -> list[dict[str, Any]]:
        """Return the JSON lines that a service has printed."""
        lines = self.run("logs", "--no-log-prefix", "--no-color", service).splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def url(self, variable: str) -> str:
        """Return an address on 127.0.0.1."""
        return f"http://127.0.0.1:{self.environment[variable]}"

    def leftovers(self) -> str:
        """Return containers, volumes and networks with the project's label, which `down` must have removed."""
        label = f"label=com.docker.compose.project={self.name}"
        found = [
            self.engine.run("ps", "--all", "--quiet", "--filter", label),
            self.engine.run("volume", "ls", "--quiet", "--filter", label),
            self.engine.run("network", "ls", "--quiet", "--filter", label),
        ]
        return "".join(each.stdout for each in found)

    @asynccontextmanager
    async def live(self) -> AsyncIterator[LiveStack]:
        """Provide the running stack as clients and operators use it, with the demo tenant's key from its volume."""
        pem = self.run("run", "--rm", "--entrypoint", "cat", "token", "/var/lib/shoebox/keys/demo.pem")
        gateway, emulator = self.url("SHOEBOX_PORT"), self.url("SHOEBOX_EMULATOR_PORT")
        resolved = resolve(load_stack(self.stack), emulated_deployment(emulator, gateway_url=gateway))
        async with Clients(AwsSettings(endpoint_url=emulator), ROOT_CREDENTIALS) as clients:
            yield LiveStack(gateway, resolved, clients, KeyPair.of(load_pem_private_key(pem.encode(), None)))


@contextmanager
def project(name: str, stack: Path = ROOT / "stack.yaml", folder: Path = ROOT) -> Iterator[Project]:
    """Provide a project that leaves nothing behind."""
    made = Project.named(name, stack, folder)
    try:
        yield made
    finally:
        made.compose("--profile", "*", "down", "--volumes", "--remove-orphans", "--timeout", "20")
