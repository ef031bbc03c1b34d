"""`shoebox up`: the whole stack in the foreground."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from console.options import (
    DATA,
    ControlPort,
    Data,
    EmulatorPort,
    Endpoint,
    Json,
    NoProgress,
    Port,
    Quiet,
    Quotas,
    RuntimePort,
    StackFile,
)
from console.output import Output, safe

if TYPE_CHECKING:
    from standalone.stack import StandaloneSettings

_PANEL = "Local stack"


def up(
    fresh: Annotated[
        bool,
        typer.Option("--fresh", envvar="SHOEBOX_FRESH", help="Throw stored photos away first.", rich_help_panel=_PANEL),
    ] = False,
    port: Port = 8080,
    emulator_port: EmulatorPort = 4566,
    control_port: ControlPort = 9001,
    runtime_port: RuntimePort = 9002,
    free_ports: Annotated[
        bool,
        typer.Option("--free-ports", envvar="SHOEBOX_FREE_PORTS", help="Any free ports.", rich_help_panel=_PANEL),
    ] = False,
    memory: Annotated[
        bool,
        typer.Option(
            "--memory",
            envvar="SHOEBOX_MEMORY",
            help="Keep nothing: all data in memory, which is quicker. For load tests.",
            rich_help_panel=_PANEL,
        ),
    ] = False,
    endpoint_url: Endpoint = None,
    join: Annotated[
        list[str] | None,
        typer.Option(
            envvar="SHOEBOX_JOIN",
            metavar="FUNCTION",
            show_default=False,
            help="Do not start this function's environments: `shoebox host FUNCTION` brings them. May be repeated.",
            rich_help_panel=_PANEL,
        ),
    ] = None,
    quotas: Quotas = "aws",
    stack: StackFile = None,
    data: Data = DATA,
    json: Json = False,
    quiet: Quiet = False,
    no_progress: NoProgress = False,
) -> None:
    """Run the whole stack on this machine; Ctrl-C ends it and keeps the photos.

    [bold]Examples[/bold]
      shoebox up
      shoebox up --fresh --free-ports
      shoebox up --json > addresses.json &
      shoebox up --quotas aws/100                          [dim]# AWS's limits, a hundredth of them[/dim]
      shoebox up --endpoint-url http://127.0.0.1:4566      [dim]# on LocalStack[/dim]
      shoebox up --join ingest                             [dim]# and run that function in a debugger[/dim]

    Exit code 0: stopped as asked. 5: a port is taken, a part is missing, the emulator died.
    """
    from console.messages import user_facing_errors
    from console.run import run
    from fleet.limits.quotas import load_quotas
    from shoebox.stack.model import PROJECT, stack_file
    from shoebox_cli.folder import DataFolder
    from standalone.stack import StandaloneSettings

    output = Output(json=json, quiet=quiet, progress=not no_progress)
    folder = DataFolder(data)
    with user_facing_errors():
        limits = load_quotas(quotas)
    described = (stack or stack_file()).absolute()
    settings = StandaloneSettings(
        stack_file=described,
        task_root=described.parent,
        environment={"PYTHONPATH": str(PROJECT)},  # the runtime's, for functions of a stack of one's own
        data_dir=None if memory else folder.data,
        fresh=fresh,
        emulator_port=0 if free_ports else emulator_port,
        gateway_port=0 if free_ports else port,
        control_port=0 if free_ports else control_port,
        runtime_port=0 if free_ports else runtime_port,
        endpoint_url=endpoint_url,
        joined=frozenset(join or ()),
        quotas=limits,
    )
    try:
        run(_up(settings, data, output))
    except KeyboardInterrupt:
        output.say(f"Stopped. Your photos are kept in {safe(str(folder.data))}." if _keeps(settings) else "Stopped.")


async def _up(settings: StandaloneSettings, data: Path, output: Output) -> None:
    import asyncio

    from console.errorline import ErrorLine
    from shoebox_cli.folder import DataFolder
    from shoebox_cli.local import addresses, started

    folder, errors = DataFolder(data), ErrorLine(output)
    async with started(settings, folder, output, errors) as local:
        found = addresses(local, folder)
        with folder.announced(found) as first:
            _show(found, output, keeps=_keeps(settings))
            if not first:
                output.say(f"Other commands find the stack that ran here before; this one needs --url {found['url']}")
            try:
                await errors.show(found["logs"])
            except asyncio.CancelledError:
                if local.emulator is None or not local.emulator.died.is_set():
                    output.say("Stopping …")
                raise


def _keeps(settings: StandaloneSettings) -> bool:
    """Whether the photos are in our data folder, and there after the end."""
    return settings.data_dir is not None and settings.endpoint_url is None


def _show(found: dict[str, Any], output: Output, *, keeps: bool) -> None:
    if output.json:
        output.document(found)
        return
    for name, address in (
        *(
            [("Gallery", found["gallery"]), ("API docs", found["docs"])]
            if found["gallery"]
            else [("API", found["url"]), ("Control", found["control"])]
        ),
        ("Metrics", found["metrics"]),
        ("Logs", found["logs"]),
        *([("Hosts", found["hosts"])] if found["hosts"] else []),
    ):
        output.line(f"{name:<9} {address}")
    kept = "photos" if found["gallery"] else "data"
    end = f"stops everything and keeps the {kept}" if keeps else "stops everything"
    upload = "Upload: shoebox upload PATH. " if found["gallery"] else ""
    output.say(f"[dim]{upload}Ctrl-C {end}.[/dim]")
