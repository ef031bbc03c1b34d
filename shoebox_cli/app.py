"""The tree of commands. Only signatures are imported here; each command imports its work when it runs."""

from __future__ import annotations

from typing import Annotated

import typer

from shoebox_cli import access, containers, demo, doctor, files, queues, quotas, services, simulate, up, upload

_GIT_SECONDS = 5

app = typer.Typer(
    name="shoebox",
    help=(
        "Shoebox keeps photos: upload them, look after them, run the whole stack on this machine.\n\n"
        "[bold]Examples[/bold]\n"
        "  shoebox demo                  [dim]photos go in, renditions come out[/dim]\n"
        "  shoebox up                    [dim]the whole stack; Ctrl-C ends it[/dim]\n"
        "  shoebox upload ~/Pictures     [dim]to the stack that runs[/dim]\n"
        "  shoebox files list --json     [dim]for other programs[/dim]"
    ),
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from console.output import Output

        Output().line(_version_line())
        raise typer.Exit


def _version_line() -> str:
    """Return name, version, Python, and the commit where the code is a git checkout, for a bug report."""
    import platform
    from importlib.metadata import version

    commit = _commit()
    source = f", commit {commit}" if commit else ""
    return f"shoebox {version('shoebox')} (Python {platform.python_version()}{source})"


def _commit() -> str | None:
    """Return the checkout's commit, with a plus where something was changed since; None where there is no checkout."""
    import subprocess

    from shoebox.stack.model import PROJECT

    if not (PROJECT / ".git").exists():  # a folder above may be somebody else's repository
        return None
    command = ("git", "-C", str(PROJECT), "describe", "--always", "--exclude=*", "--abbrev=12", "--dirty=+")
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=_GIT_SECONDS, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip()


@app.callback()
def shoebox(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="The version of Shoebox, and of what it runs on."
        ),
    ] = False,
) -> None:
    """Options that stand before the command."""


app.command(rich_help_panel="Photos")(upload.upload)
app.add_typer(files.app, name="files", rich_help_panel="Photos")
app.command(rich_help_panel="Local stack")(up.up)
app.command(rich_help_panel="Local stack")(demo.demo)
app.command(rich_help_panel="Local stack")(doctor.doctor)
app.add_typer(access.app, name="token", rich_help_panel="Local stack")
app.add_typer(queues.app, name="queues", rich_help_panel="Local stack")
app.add_typer(quotas.app, name="quotas", rich_help_panel="Local stack")
app.command(rich_help_panel="Local stack")(simulate.simulate)
app.add_typer(containers.app, name="containers", rich_help_panel="In containers")
app.command(rich_help_panel="In containers")(services.provision)
app.command(rich_help_panel="In containers")(services.fleet)
app.command(rich_help_panel="In containers")(services.host)
