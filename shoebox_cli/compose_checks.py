"""What `shoebox containers` looks at before Compose runs, so that a slip is one message and nothing is built for it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from console.exits import CliError, Exit

if TYPE_CHECKING:
    from shoebox.stack.model import Stack
    from shoebox_cli.engine import Engine

PURPOSES = {
    "SHOEBOX_PORT": ("fleet", 8080, "the gateway"),
    "SHOEBOX_EMULATOR_PORT": ("localstack", 4566, "LocalStack"),
    "SHOEBOX_CONTROL_PORT": ("fleet", 9001, "the fleet's control port"),
    "SHOEBOX_PROMETHEUS_PORT": ("prometheus", 9090, "Prometheus"),
    "SHOEBOX_GRAFANA_PORT": ("grafana", 3000, "Grafana"),
    "SHOEBOX_LOCUST_PORT": ("locust", 8089, "Locust"),
}
"""Each port's variable: the service that publishes it, its own port, and what it is for."""
MAX_CONTAINERS = 50
_LAST_PORT = 65_535


def ports(environment: Mapping[str, str]) -> dict[str, int]:
    """Each port's variable and number, as compose.yaml takes them.

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
    """The services of all profiles by name, as Compose reads its files and the variables.

    Raises:
        CliError: it cannot.
    """
    answer = engine.run("compose", *files, "--profile", "*", "config", "--format", "json")
    if answer.returncode:
        reason = next(reversed(answer.stderr.strip().splitlines()), "it says nothing")
        hint = "Variables that compose.yaml reads: docs/reference/containers.md. Files: --file, SHOEBOX_COMPOSE."
        raise CliError(f"Compose cannot read its files: {reason}", hint=hint, exit_code=Exit.USAGE)
    services: dict[str, dict[str, Any]] = json.loads(answer.stdout)["services"]
    return services


def check_profiles(profiles: list[str], services: dict[str, dict[str, Any]]) -> None:
    """Compose takes a name that is no profile without a word, and starts nothing for it.

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
    """Functions can be scaled; at least one container answers requests.

    Raises:
        CliError: a number is none, or what is named is no function of these containers.
    """
    functions = sorted(stack.functions.keys() & services.keys())
    answering = {route.function for route in stack.gateway.routes} if stack.gateway else set()
    if stack.gateway and stack.gateway.authorizer:
        answering.add(stack.gateway.authorizer.function)
    for text in scales:
        name, equals, number = text.partition("=")
        hint = f"Functions can be scaled, such as ingest=3; there are: {', '.join(functions)}"
        if not equals or not (number.isascii() and number.isdecimal()) or int(number) > MAX_CONTAINERS:
            message = f"--scale {text}: {number!r} is no number of containers from 0 to {MAX_CONTAINERS}."
        elif name == "locust-worker":
            message = "Locust is told how many workers to wait for, so --scale cannot say it."
            hint = f"SHOEBOX_LOAD_WORKERS={number} shoebox containers up --profile load"
        elif name in functions and number == "0" and name in answering:
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
    """Nobody else has the ports of the services that are `starting`; our own containers, `running`, may.

    Raises:
        CliError: somebody has, or two of ours are the same.
    """
    from fleet.http.ports import PortTaken, listen

    wanted = {name: port for name, port in numbers.items() if PURPOSES[name][0] in starting}
    with ExitStack() as held:
        for variable, port in wanted.items():
            service, _, purpose = PURPOSES[variable]
            twins = [name for name, other in wanted.items() if other == port]
            if len(twins) > 1:
                raise CliError(f"{' and '.join(twins)} are both {port}; give each its own.", exit_code=Exit.USAGE)
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
