"""`shoebox host`: runs a function's environments here, for a fleet elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from console.options import Bind

if TYPE_CHECKING:
    from fleet.hosts.host import HostSettings


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

    from console.exits import CliError, Exit
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
