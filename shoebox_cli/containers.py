"""`shoebox containers`: start and stop the stack of compose.yaml, with checks before and reasons where it fails."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from console.exits import CliError, Exit
from console.options import Json, Quiet
from console.output import Output, size_text
from shoebox_cli import compose
from shoebox_cli.access import gallery_link, mint_in_container
from shoebox_cli.compose import Engine, compose_folder

app = typer.Typer(help="The whole stack in containers (Docker).", no_args_is_help=True)
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
Yes = Annotated[bool, typer.Option("--yes", "-y", envvar="SHOEBOX_YES", help="Do not ask before photos are deleted.")]
_LOG_LINES = 12
_HASH = "com.docker.compose.config-hash"


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
        typer.Option(envvar="COMPOSE_PROFILES", help="Start this, too: metrics, grafana or load.", show_default=False),
    ] = None,
    file: File = None,
    reload: Annotated[
        bool,
        typer.Option("--reload", envvar="SHOEBOX_RELOAD", help="Source changes reach the functions as you save them."),
    ] = False,
    yes: Yes = False,
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
    output, engine = Output(json=json, quiet=quiet), Engine(compose_folder())
    engine.check()
    profiles = [name for text in profile or () for name in text.split(",") if name]
    files = _files(engine.folder, [*(file or ()), *(["compose/reload.yaml"] if reload else [])])
    ports = compose.published_ports(engine.environment)
    _check(engine, files, profiles, scale or [], ports)
    if not yes and _replaces_localstack(engine, files):
        _confirm("Settings of LocalStack have changed, so `up` makes it anew, empty: every photo in it is gone.")
    ended_before = {(container["Id"], container["State"]["FinishedAt"]) for container in _inspected(engine)}
    arguments = [*files, *(word for name in profiles for word in ("--profile", name))]
    scales = [word for text in scale or () for word in ("--scale", text)]
    if status := engine.show("compose", *arguments, "up", "--build", "--wait", "--remove-orphans", *scales):
        raise _failure(engine, status, ended_before)
    found = _addresses(engine, ports)
    if json:
        output.document(found)
        return
    for name in ("gallery", "docs", "metrics", "emulator"):
        output.line(f"{name.capitalize():<9} {found[name]}")
    output.say("[dim]Logs: docker compose logs -f. End, photos included: shoebox containers down[/dim]")


@app.command()
def down(
    keep: Annotated[
        bool, typer.Option("--keep", envvar="SHOEBOX_KEEP", help="Keep the volumes, the demo tenant's key among them.")
    ] = False,
    yes: Yes = False,
    file: File = None,
) -> None:
    """Stop and remove every container, network and volume of the stack, and with LocalStack every photo in it.

    [bold]Examples[/bold]
      shoebox containers down
      shoebox containers down --yes
    """
    engine = Engine(compose_folder())
    engine.check()
    if not yes and engine.containers("localstack"):
        _confirm("This removes LocalStack with every photo and every message in it; nothing else has them.")
    everything = [*_files(engine.folder, file or []), "--profile", "*", "down", "--remove-orphans"]
    if status := engine.show("compose", *everything, *([] if keep else ["--volumes"])):
        message = f"docker compose ended with {status}; its reason stands above."
        raise CliError(message, hint="What is left: docker compose ps --all", exit_code=Exit.LOCAL)


def _replaces_localstack(engine: Engine, files: list[str]) -> bool:
    """Tell whether Compose takes the running LocalStack for another than its files and the variables now describe."""
    for container in engine.containers("localstack"):
        labels = dict(label.partition("=")[::2] for label in container.get("Labels", "").split(","))
        wanted = engine.run("compose", *files, "config", "--hash", "localstack").stdout.split()[-1:]
        return _HASH in labels and wanted != [labels[_HASH]]
    return False


def _confirm(what: str) -> None:
    if not sys.stdin.isatty():
        raise CliError(f"{what} Nobody is here to ask.", hint="Add --yes.", exit_code=Exit.USAGE)
    if not typer.confirm(f"{what} Go on?", err=True):
        raise typer.Exit(Exit.FAILED)


def _files(folder: Path, more: list[str]) -> list[str]:
    """Return the options that name compose files; none where Compose's own choice is right."""
    override = ["compose.override.yaml"] if (folder / "compose.override.yaml").exists() else []
    return [word for name in ["compose.yaml", *override, *more] for word in ("--file", name)] if more else []


def _check(engine: Engine, files: list[str], profiles: list[str], scales: list[str], ports: dict[str, int]) -> None:
    """Check everything that can be known before something is built.

    Raises:
        CliError: what is wrong, and what to do.
    """
    from console.messages import user_facing_errors
    from shoebox.stack.model import load_stack, stack_file

    with user_facing_errors():
        stack = load_stack(Path(engine.environment.get("SHOEBOX_STACK") or stack_file()))  # as compose.yaml names it
    services = compose.services_of(engine, files)
    compose.check_profiles(profiles, services)
    compose.check_scales(scales, services, stack)
    chosen = {"*", *profiles}
    starting = {name for name, service in services.items() if chosen & set(service.get("profiles") or ["*"])}
    compose.check_ports(ports, starting, {container["Service"] for container in engine.containers()})


def _inspected(engine: Engine) -> list[dict[str, Any]]:
    """Return every container of the project, ended ones too, as `docker inspect` shows it."""
    identities = [container["ID"] for container in engine.containers("--all")]
    return list(json.loads(engine.run("inspect", *identities).stdout or "[]")) if identities else []


def _failure(engine: Engine, status: int, ended_before: set[tuple[str, str]]) -> CliError:
    """Return why `up` failed: containers that ended since it began or are not healthy, with the end of their own logs.

    One that somebody stopped before is not to blame, nor is one that is well beside another of its service.
    """
    culprits = []
    for container in _inspected(engine):
        state, name = container["State"], container["Name"].removeprefix("/")
        ended = state["ExitCode"] and (container["Id"], state["FinishedAt"]) not in ended_before
        health = (state.get("Health") or {}).get("Status", "healthy")
        if not ended and (not state["Running"] or health == "healthy"):
            continue
        if state.get("OOMKilled"):
            limit = size_text(container["HostConfig"]["Memory"])
            more = "; SHOEBOX_LOCALSTACK_MEMORY raises it" if "localstack" in name else ""
            what = f"ran out of memory (OOMKilled; its limit is {limit}{more})"
        else:
            what = f"ended with {state['ExitCode']}" if state["ExitCode"] else "is not healthy"
        log = engine.run("logs", "--tail", str(_LOG_LINES), container["Id"])
        words = (log.stdout + log.stderr).strip()
        culprits.append(f"The container {name} {what}. The end of its log:\n{words}")
    if culprits:
        hint = "What is well goes on running. When it is mended, again: shoebox containers up"
        return CliError("\n".join(culprits), hint=hint, exit_code=Exit.LOCAL)
    message = f"docker compose ended with {status}; its reason stands above."
    return CliError(message, hint=engine.full_disk() or "All logs: docker compose logs", exit_code=Exit.LOCAL)


def _addresses(engine: Engine, ports: dict[str, int]) -> dict[str, Any]:
    """Return the addresses, and a token for the gallery.

    Raises:
        CliError: no token was minted.
    """
    gateway = f"http://127.0.0.1:{ports['SHOEBOX_PORT']}"
    control = f"http://127.0.0.1:{ports['SHOEBOX_CONTROL_PORT']}"
    token = mint_in_container(engine)
    return {
        "url": gateway,
        "gallery": gallery_link(gateway, token),
        "docs": f"{gateway}/docs",
        "metrics": f"{control}/metrics",
        "control": control,
        "emulator": f"http://127.0.0.1:{ports['SHOEBOX_EMULATOR_PORT']}",
        "token": token,
    }
