"""`shoebox up`: the whole stack in the foreground. `shoebox demo` starts its own in the same way."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from datetime import datetime
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
from console.output import Output, plural, safe
from shoebox_cli.access import TENANT, USER, gallery_link, has_tenants, mint, publish_demo_key
from shoebox_cli.target import DataFolder

if TYPE_CHECKING:
    from console.errorline import ErrorLine
    from emulator.embedded import Recovery
    from standalone.stack import StandaloneSettings, StandaloneStack

_PANEL = "Local stack"
Fresh = Annotated[
    bool,
    typer.Option("--fresh", envvar="SHOEBOX_FRESH", help="Throw stored photos away first.", rich_help_panel=_PANEL),
]
FreePorts = Annotated[
    bool, typer.Option("--free-ports", envvar="SHOEBOX_FREE_PORTS", help="Take any free ports.", rich_help_panel=_PANEL)
]
Memory = Annotated[
    bool,
    typer.Option(
        "--memory",
        envvar="SHOEBOX_MEMORY",
        help="Keep nothing: all data in memory, which is quicker. For load tests.",
        rich_help_panel=_PANEL,
    ),
]
Join = Annotated[
    list[str] | None,
    typer.Option(
        envvar="SHOEBOX_JOIN",
        metavar="FUNCTION",
        show_default=False,
        help="Do not start this function's environments: `shoebox host FUNCTION` brings them. May be repeated.",
        rich_help_panel=_PANEL,
    ),
]


def up(
    fresh: Fresh = False,
    port: Port = 8080,
    emulator_port: EmulatorPort = 4566,
    control_port: ControlPort = 9001,
    runtime_port: RuntimePort = 9002,
    free_ports: FreePorts = False,
    memory: Memory = False,
    endpoint_url: Endpoint = None,
    join: Join = None,
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
    keeps = not memory and endpoint_url is None  # the photos are in our data folder, and there after the end
    try:
        run(_up(settings, folder, output, keeps=keeps))
    except KeyboardInterrupt:
        output.say(f"Stopped. Your photos are kept in {safe(str(folder.data))}." if keeps else "Stopped.")


async def _up(settings: StandaloneSettings, folder: DataFolder, output: Output, *, keeps: bool) -> None:
    import asyncio

    from console.errorline import ErrorLine

    errors = ErrorLine(output)
    async with started(settings, folder, output, errors) as local:
        found = addresses(local, folder)
        with folder.announced(found) as first:
            _show(found, output, keeps=keeps)
            if not first:
                output.say(f"Other commands find the stack that ran here before; this one needs --url {found['url']}")
            try:
                await errors.show(found["logs"])
            except asyncio.CancelledError:
                if local.emulator is None or not local.emulator.died.is_set():
                    output.say("Stopping …")
                raise


def _show(found: dict[str, Any], output: Output, *, keeps: bool) -> None:
    if output.json:
        output.document(found)
        return
    ours = bool(found["gallery"])  # else it is a stack of one's own functions, without tenants
    places = [("Gallery", found["gallery"]), ("API docs", found["docs"])]
    if not ours:
        places = [("API", found["url"]), ("Control", found["control"])]
    places += [("Metrics", found["metrics"]), ("Logs", found["logs"])]
    if found["hosts"]:
        places.append(("Hosts", found["hosts"]))
    for name, address in places:
        output.line(f"{name:<9} {address}")
    end = f"stops everything and keeps the {'photos' if ours else 'data'}" if keeps else "stops everything"
    output.say(f"[dim]{'Upload: shoebox upload PATH. ' if ours else ''}Ctrl-C {end}.[/dim]")


class Steps:
    """Shows the steps of a start on stderr: the one that runs, and each one's time when it is done."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._open = ExitStack()
        self._began = 0.0

    def __enter__(self) -> Steps:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._open.close()

    def begin(self, text: str) -> None:
        """Show that a step begins."""
        self._open.close()
        self._began = time.monotonic()
        if not self._output.progress:
            return
        if self._output.stderr.is_terminal:
            self._open.enter_context(self._output.stderr.status(f"{safe(text)} …"))
        else:
            self._output.say(f"… {safe(text)}")

    def done(self, text: str, seconds: float | None = None) -> None:
        """Show that it is done, and its time."""
        self._open.close()
        taken = time.monotonic() - self._began if seconds is None else seconds
        self._output.say(f"[green]✓[/green] {safe(text)} [dim]{taken:.1f} s[/dim]")


@asynccontextmanager
async def started(
    settings: StandaloneSettings, folder: DataFolder, output: Output, errors: ErrorLine
) -> AsyncIterator[StandaloneStack]:
    """Run the stack, from its first step to the end of the block.

    Raises:
        CliError: it cannot start, or its emulator died: one message, with what to do.
    """
    from console.messages import user_facing_errors
    from standalone.stack import StandaloneStack as Stack

    waits = published = False

    def on_wait() -> None:
        nonlocal waits
        if not waits:
            steps.begin("The last Shoebox was killed; waiting until its emulator has saved")
        waits = True

    async def publish(local: StandaloneStack) -> None:
        # At the start, and again whenever the emulator had to be restored.
        nonlocal published
        await publish_demo_key(folder, local.resolved, local.clients)
        summary = str(local.report).partition("\n")[0]
        if published:
            steps.done(f"The AWS emulator is back. {summary}", local.report.seconds)
            return
        published = True
        steps.done("AWS emulator", local.seconds["emulator"])
        steps.done(summary, local.report.seconds)
        steps.begin("Starting the functions and the gateway")

    with user_facing_errors(), Steps(output) as steps:
        errors.log_to(folder.log)
        where = f"Waiting for {settings.endpoint_url}" if settings.endpoint_url else "Starting the AWS emulator"
        steps.begin(f"{where} and creating what stack.yaml describes")
        async with Stack.start(settings, publish, on_line=errors.line, on_wait=on_wait) as local:
            steps.done(f"{plural(len(local.fleet.pools), 'function')} and the gateway")
            if local.emulator and local.emulator.recovery.cut_off:
                output.say(f"[yellow]![/yellow] {recovery_text(local.emulator.recovery)}")
            yield local


def recovery_text(recovery: Recovery) -> str:
    """Say what a kill of the last run's emulator cost."""
    since = f" (after {datetime.fromtimestamp(recovery.saved_at):%H:%M:%S})" if recovery.saved_at else ""
    text = f"The last run was killed before it could stop. Changes of its last second{since} may be lost."
    if again := recovery.uploads_again:
        text += f" {plural(again, 'upload')} of that time will be processed again."
    if others := recovery.other_objects:
        text += f" {plural(others, 'rendition')} of that time may belong to no photo, and only take room."
    return text


def addresses(local: StandaloneStack, folder: DataFolder) -> dict[str, Any]:
    """Return what is where, with a token for the demo tenant's user; a stack without tenants has no gallery either."""
    token = mint(folder.key_file(TENANT), TENANT, USER) if has_tenants(local.resolved.stack) else None
    gateway, control = local.fleet.gateway_url, local.fleet.runtime_url
    return {
        "url": gateway,
        "gallery": gallery_link(gateway, token) if token else None,
        "docs": f"{gateway}/docs" if token else None,
        "metrics": f"{control}/metrics",
        "control": control,
        "hosts": local.fleet.hosts_url,
        "emulator": local.endpoint_url,
        "token": token,
        "data": str(local.folder),
        "logs": str(local.folder / "logs"),
        "pid": os.getpid(),
        "emulator_pid": local.emulator.pid if local.emulator else None,
        "seconds": local.seconds,
    }
