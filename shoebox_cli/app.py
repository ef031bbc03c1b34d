"""The tree of commands. Only signatures are imported here; each command imports its work when it runs."""

from __future__ import annotations

from typing import Annotated

import typer

from shoebox_cli import (
    containers,
    demo,
    doctor,
    files,
    fleet,
    host,
    provision,
    queues,
    quotas,
    simulate,
    token,
    up,
    upload,
)

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
        from shoebox_cli.version import version_line

        Output().line(version_line())
        raise typer.Exit


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
app.add_typer(token.app, name="token", rich_help_panel="Local stack")
app.add_typer(queues.app, name="queues", rich_help_panel="Local stack")
app.add_typer(quotas.app, name="quotas", rich_help_panel="Local stack")
app.command(rich_help_panel="Local stack")(simulate.simulate)
app.add_typer(containers.app, name="containers", rich_help_panel="In containers")
app.command(rich_help_panel="In containers")(provision.provision)
app.command(rich_help_panel="In containers")(fleet.fleet)
app.command(rich_help_panel="In containers")(host.host)
