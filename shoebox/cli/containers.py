"""`shoebox containers`: the stack of compose.yaml, looked at before it starts and explained when it does not."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shoebox.cli.options import Json, Quiet
from shoebox.cli.output import Output

if TYPE_CHECKING:
    from shoebox.cli.engine import Engine

app = typer.Typer(help="The whole stack in containers (Docker).", no_args_is_help=True)
_PORTS = {
    "SHOEBOX_PORT": (8080, "the gateway"),
    "SHOEBOX_EMULATOR_PORT": (4566, "LocalStack"),
    "SHOEBOX_CONTROL_PORT": (9001, "the fleet's control port"),
}
_LAST_PORT = 65_535
File = Annotated[
    list[str] | None,
    typer.Option(
        "--file",
        "-f",
        envvar="SHOEBOX_COMPOSE",
        metavar="FILE",
        show_default=False,
        help="Another compose file, over compose.yaml and compose.override.yaml. May be repeated.",
    ),
]
_LOG_LINES = 12


@app.command()
def up(
    scale: Annotated[
        list[str] | None,
        typer.Option(
            envvar="SHOEBOX_SCALE", metavar="FUNCTION=N", help="Containers of a function.", show_default=False
        ),
    ] = None,
    profile: Annotated[
        list[str] | None,
        typer.Option(envvar="COMPOSE_PROFILES", help="Also: metrics, load.", show_default=False),
    ] = None,
    file: File = None,
    reload: Annotated[
        bool,
        typer.Option("--reload", envvar="SHOEBOX_RELOAD", help="Source changes reach the functions as you save them."),
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Build the images, start every container, wait until all are healthy, and tell the addresses.

    [bold]Examples[/bold]
      shoebox containers up
      shoebox containers up --scale ingest=3 --profile metrics
      shoebox containers up --reload
      shoebox containers up --file compose/official.yaml     [dim]# LocalStack's own image[/dim]

    It is `docker compose up --build --wait`, with a look at this machine before, and at the culprit's log after.
    Exit code 0: all are healthy. 5: something is missing, a port is taken, or a container did not become healthy.
    """
    from shoebox.cli.engine import Engine
    from shoebox.cli.explained import explained

    output, engine = Output(json=json, quiet=quiet), Engine(compose_folder())
    engine.check()
    with explained():
        _check_stack()
        _check_ports(engine)
    arguments = _files(engine.folder, [*(file or ()), *(["compose/reload.yaml"] if reload else [])])
    arguments += [word for name in profile or () for word in ("--profile", name)]
    scales = [word for text in scale or () for word in ("--scale", text)]
    _compose(engine, *arguments, "up", "--build", "--wait", "--remove-orphans", *scales)
    found = _addresses(engine)
    if json:
        output.document(found)
        return
    for name in ("gallery", "docs", "metrics", "emulator"):
        output.line(f"{name.capitalize():<9} {found[name]}")
    output.say("[dim]Logs: docker compose logs -f. End: shoebox containers down[/dim]")


@app.command()
def down(
    keep: Annotated[
        bool, typer.Option("--keep", envvar="SHOEBOX_KEEP", help="Keep the volumes, the demo tenant's key among them.")
    ] = False,
    file: File = None,
) -> None:
    """Stop and remove every container, network and volume of the stack. LocalStack keeps nothing: the photos go.

    [bold]Examples[/bold]
      shoebox containers down
    """
    from shoebox.cli.engine import Engine

    engine = Engine(compose_folder())
    engine.check()
    everything = [*_files(engine.folder, file or []), "--profile", "*", "down", "--remove-orphans"]
    _compose(engine, *everything, *([] if keep else ["--volumes"]))


def _files(folder: Path, more: list[str]) -> list[str]:
    """Options that name compose files; none where Compose's own choice does."""
    override = ["compose.override.yaml"] if (folder / "compose.override.yaml").exists() else []
    return [word for name in ["compose.yaml", *override, *more] for word in ("--file", name)] if more else []


def compose_folder() -> Path:
    """Where compose.yaml is: here, or else in Shoebox's own folder."""
    from shoebox.cli.local import ROOT

    return Path.cwd() if Path("compose.yaml").exists() else ROOT


def _check_stack() -> None:
    """The description holds; a container would find out much later."""
    from shoebox.cli.local import stack_file
    from shoebox.stack import load_stack

    load_stack(Path(os.environ.get("SHOEBOX_STACK") or stack_file()))  # as compose.yaml names it


def _check_ports(engine: Engine) -> None:
    """Nobody else has the ports; our own containers may.

    Raises:
        CliError: somebody has.
    """
    from fleet.http.ports import PortTaken, listen
    from shoebox.cli.exits import CliError, Exit

    if engine.run("compose", "ps", "--quiet", "localstack").stdout.strip():
        return
    with ExitStack() as held:
        for variable, port in _ports().items():
            purpose = _PORTS[variable][1]
            try:
                held.enter_context(listen(port, purpose))
            except PortTaken as error:
                by = f" by {error.holder}" if error.holder else ""
                hint = f"Stop that program, or take another port: {variable}={port + 1} shoebox containers up"
                message = f"Port {port} for {purpose} is taken{by}."
                raise CliError(message, hint=hint, exit_code=Exit.LOCAL) from error


def _ports() -> dict[str, int]:
    """Each port's variable and number, as compose.yaml takes them.

    Raises:
        CliError: one is no port.
    """
    from shoebox.cli.exits import CliError, Exit

    ports = {name: os.environ.get(name) or str(port) for name, (port, _) in _PORTS.items()}
    for name, port in ports.items():
        if not (port.isdecimal() and int(port) <= _LAST_PORT):
            raise CliError(f"{name} is {port!r}, which is no port.", exit_code=Exit.USAGE)
    return {name: int(port) for name, port in ports.items()}


def _compose(engine: Engine, *arguments: str) -> None:
    """Run `docker compose` with its own output on stderr.

    Raises:
        CliError: it failed; with the culprit's last words.
    """
    from shoebox.cli.exits import CliError, Exit

    status = engine.show("compose", *arguments)
    if status:
        culprits = list(_culprits(engine))
        message = "\n".join(culprits) or f"docker compose ended with {status}; its reason stands above."
        hint = "All of it: docker compose logs. Clear away what was started: shoebox containers down"
        raise CliError(message, hint=hint, exit_code=Exit.LOCAL)


def _culprits(engine: Engine) -> Iterator[str]:
    """Each container that failed, with the end of its log."""
    listed = engine.run("compose", "ps", "--all", "--format", "json").stdout
    for container in (json.loads(line) for line in listed.splitlines() if line.startswith("{")):
        if container.get("ExitCode") or container.get("Health") == "unhealthy":
            service = str(container["Service"])
            how = f"ended with {container['ExitCode']}" if container.get("ExitCode") else "is not healthy"
            log = engine.run("compose", "logs", "--no-log-prefix", "--tail", str(_LOG_LINES), service).stdout.strip()
            yield f"The container {service} {how}. Its last words:\n{log}"


def _addresses(engine: Engine) -> dict[str, Any]:
    """What is where, and a token.

    Raises:
        CliError: no token was minted.
    """
    from shoebox.cli.exits import CliError, Exit

    ports = _ports()
    gateway = f"http://127.0.0.1:{ports['SHOEBOX_PORT']}"
    control = f"http://127.0.0.1:{ports['SHOEBOX_CONTROL_PORT']}"
    minted = engine.run("compose", "run", "--rm", "token", seconds=60)
    gallery = minted.stdout.strip()
    if minted.returncode:
        raise CliError(f"The containers run, but there is no token: {minted.stderr.strip()}", exit_code=Exit.LOCAL)
    return {
        "url": gateway,
        "gallery": gallery,
        "docs": f"{gateway}/docs",
        "metrics": f"{control}/metrics",
        "control": control,
        "emulator": f"http://127.0.0.1:{ports['SHOEBOX_EMULATOR_PORT']}",
        "token": gallery.partition("#token=")[2],
    }
