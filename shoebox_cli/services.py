"""The commands that compose.yaml's containers run: `shoebox provision`, `shoebox fleet` and `shoebox host`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from console.exits import CliError, Exit
from console.options import (
    DATA,
    Bind,
    ControlPort,
    Data,
    Endpoint,
    GatewayUrl,
    Json,
    LimiterPort,
    LimiterUrl,
    Port,
    Quiet,
    Quotas,
    RuntimePort,
    S3PublicUrl,
    StackFile,
)
from console.output import Output
from shoebox_cli.access import publish_demo_key
from shoebox_cli.target import DataFolder

if TYPE_CHECKING:
    from emulator.provision import Report
    from fleet.hosts.host import HostSettings
    from shoebox.stack.deployment import ResolvedStack
    from standalone.stack import StandaloneSettings, StandaloneStack

DEFAULT_GATEWAY = "http://127.0.0.1:8080"


def provision(
    endpoint_url: Endpoint = None,
    gateway_url: GatewayUrl = DEFAULT_GATEWAY,
    s3_public_url: S3PublicUrl = None,
    wait: Annotated[
        int, typer.Option(min=0, envvar="SHOEBOX_WAIT", metavar="SECONDS", help="How long the emulator may take.")
    ] = 60,
    stack: StackFile = None,
    data: Data = DATA,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Create what stack.yaml describes in an AWS emulator that runs already, and publish the demo tenant's key.

    [bold]Examples[/bold]
      shoebox provision --endpoint-url http://127.0.0.1:4566

    Twice is no fault: what is there is brought up to date, and nothing is removed.
    Exit code 0: everything is as described. 5: it is not; the message names what.
    """
    from console.messages import user_facing_errors
    from console.run import run

    if endpoint_url is None:
        hint = "Name it with --endpoint-url or AWS_ENDPOINT_URL. `shoebox up` starts one and provisions it by itself."
        raise CliError("There is no emulator to provision.", hint=hint, exit_code=Exit.USAGE)
    output = Output(json=json, quiet=quiet)
    with user_facing_errors():
        from shoebox.stack.deployment import resolve
        from shoebox.stack.model import load_stack, stack_file
        from standalone.stack import emulated_deployment

        deployment = emulated_deployment(
            endpoint_url, gateway_url=gateway_url or DEFAULT_GATEWAY, s3_public_url=s3_public_url
        )
        report = run(_provision(resolve(load_stack(stack or stack_file()), deployment), DataFolder(data), wait))
    if not output.json:
        output.line(str(report))
        return
    outcomes = [
        {"kind": o.kind, "name": o.name, "change": o.change, "settings": list(o.settings)} for o in report.outcomes
    ]
    output.document({"resources": outcomes, "seconds": round(report.seconds, 3)})


async def _provision(resolved: ResolvedStack, folder: DataFolder, wait: int) -> Report:
    from emulator import provision
    from emulator.embedded import ROOT_CREDENTIALS
    from emulator.watchdog import wait_for_emulator
    from shoebox.aws.clients import Clients
    from shoebox.config import AwsSettings

    url = str(resolved.deployment.endpoint_url)
    async with Clients(AwsSettings(region=resolved.deployment.region, endpoint_url=url), ROOT_CREDENTIALS) as clients:
        await wait_for_emulator(clients, url, wait)
        report = await provision.provision(resolved, clients)
        await publish_demo_key(folder, resolved, clients)
        return report


def fleet(
    endpoint_url: Endpoint = None,
    port: Port = 8080,
    control_port: ControlPort = 9001,
    runtime_port: RuntimePort = 9002,
    limiter_port: LimiterPort = 9003,
    limiter_url: LimiterUrl = None,
    bind: Bind = "127.0.0.1",
    gateway_url: GatewayUrl = None,
    s3_public_url: S3PublicUrl = None,
    quotas: Quotas = "aws",
    stack: StackFile = None,
    data: Data = DATA,
) -> None:
    """Run gateway, Lambda service and event source mappings on an AWS emulator; `shoebox host` brings the functions.

    [bold]Examples[/bold]
      shoebox fleet --endpoint-url http://localstack:4566 --bind 0.0.0.0

    compose.yaml runs it; on one machine without containers there is `shoebox up`. Logs are JSON lines on stdout.
    Exit code 0: stopped as asked. 5: it could not start.
    """
    from console.messages import user_facing_errors
    from console.run import run
    from fleet.limits.quotas import load_quotas
    from shoebox.stack.model import PROJECT, load_stack, stack_file
    from shoebox.telemetry import configure_logging
    from standalone.stack import StandaloneSettings

    if endpoint_url is None:
        hint = "Name it with --endpoint-url or AWS_ENDPOINT_URL. `shoebox up` starts one by itself."
        raise CliError("There is no emulator to work on.", hint=hint, exit_code=Exit.USAGE)
    configure_logging()
    with user_facing_errors():
        described = stack or stack_file()
        settings = StandaloneSettings(
            stack_file=described,
            task_root=PROJECT,
            data_dir=None,
            gateway_port=port,
            control_port=control_port,
            runtime_port=runtime_port,
            limiter_port=limiter_port,
            limiter_url=limiter_url,
            endpoint_url=endpoint_url,
            gateway_url=gateway_url,
            s3_public_url=s3_public_url,
            host=bind,
            joined=frozenset(load_stack(described).functions),
            quotas=load_quotas(quotas),
        )
        try:
            run(_fleet(settings, DataFolder(data)))
        except KeyboardInterrupt:
            return


async def _fleet(settings: StandaloneSettings, folder: DataFolder) -> None:
    import asyncio

    from standalone.stack import StandaloneStack as Stack

    async def publish(local: StandaloneStack) -> None:
        await publish_demo_key(folder, local.resolved, local.clients)

    async with Stack.start(settings, publish):
        await asyncio.Event().wait()


def host(
    function: Annotated[str, typer.Argument(envvar="SHOEBOX_FUNCTION", help="Its name in stack.yaml.")],
    command: Annotated[
        list[str] | None,
        typer.Argument(
            envvar="SHOEBOX_COMMAND",
            metavar="[-- COMMAND…]",
            show_default=False,
            help="What to run instead of the runtime, on this terminal: a debugger with the runtime, for example.",
        ),
    ] = None,
    fleet: Annotated[
        str, typer.Option(envvar="SHOEBOX_FLEET_URL", metavar="URL", help="The fleet's runtime port.")
    ] = "http://127.0.0.1:9002",
    status_port: Annotated[
        int, typer.Option(min=0, max=65_535, envvar="SHOEBOX_STATUS_PORT", help="Port of /healthz and /metrics.")
    ] = 0,
    bind: Bind = "127.0.0.1",
    reload: Annotated[
        bool, typer.Option("--reload", envvar="SHOEBOX_RELOAD", help="Start anew when the function's code changes.")
    ] = False,
    metrics: Annotated[
        Path | None,
        typer.Option(
            envvar="SHOEBOX_METRICS",
            metavar="FOLDER",
            show_default=False,
            help="Where the function leaves its metrics.",
        ),
    ] = None,
) -> None:
    """Run environments of one function here: join a fleet, get work, and join again when an environment has ended.

    [bold]Examples[/bold]
      shoebox host ingest --fleet http://fleet:9002
      shoebox host ingest -- python -m pdb -m workers.runtime

    The fleet must leave the function to hosts: `shoebox up --join ingest`, or compose.yaml.
    Exit code 0: stopped as asked; running invocations could finish. 5: the fleet has no work for it.
    """
    import tempfile
    from dataclasses import replace

    from console.messages import user_facing_errors
    from console.run import run
    from fleet.hosts.connection import HostError, NotJoinable
    from fleet.hosts.host import HostSettings
    from shoebox.stack.model import PROJECT
    from shoebox.telemetry import configure_logging

    configure_logging()
    with user_facing_errors(), tempfile.TemporaryDirectory(prefix="shoebox-metrics-") as folder:
        settings = HostSettings(function, fleet, PROJECT, metrics or Path(folder), reload=reload)
        if command:
            settings = replace(settings, command=tuple(command), terminal=True)
        try:
            run(_host(settings, bind, status_port))
        except KeyboardInterrupt:
            return
        except NotJoinable as error:
            hint = "Is it the right fleet? `shoebox up --join FUNCTION` leaves a function to hosts."
            raise CliError(f"This host has nothing to do: {error}", hint=hint, exit_code=Exit.LOCAL) from error
        except HostError as error:
            raise CliError(str(error), hint="What follows -- is a program.", exit_code=Exit.LOCAL) from error


async def _host(settings: HostSettings, bind: str, port: int) -> None:
    import sys

    from fleet.hosts.host import Host, HostStatus
    from fleet.http.ports import listen
    from fleet.http.server import Server
    from fleet.metrics import clear

    def write(lines: bytes) -> None:
        sys.stdout.buffer.write(lines)
        sys.stdout.buffer.flush()

    clear(settings.metrics_dir)
    host = Host(settings, write)
    async with Server(HostStatus(host, settings.metrics_dir), listen(port, "the host's status", bind)):
        await host.run()
