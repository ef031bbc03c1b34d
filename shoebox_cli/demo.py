"""`shoebox demo`: photos go in, renditions come out, and each outcome is checked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from console.options import DATA, Data, Json, NoProgress, Quiet
from console.output import Output, plural

if TYPE_CHECKING:
    from shoebox_cli.folder import DataFolder
    from shoebox_client.samples import Sample


def demo(
    small: Annotated[
        bool, typer.Option("--small", envvar="SHOEBOX_SMALL", help="Leave out the photos of 12 and 24 megapixels.")
    ] = False,
    data: Data = DATA,
    json: Json = False,
    quiet: Quiet = False,
    no_progress: NoProgress = False,
) -> None:
    """Start the stack, upload sample photos, wait for each, show what became of them, and stop.

    [bold]Examples[/bold]
      shoebox demo
      shoebox demo --small --json

    Two of the samples are damaged on purpose, and must be rejected.
    Exit code 0: every photo ended as it should. 1: some did not. 5: the stack could not start.
    """
    from console.exits import Exit
    from console.run import run

    output = Output(json=json, quiet=quiet, progress=not no_progress)
    if not run(_demo(data, output, small=small)):
        raise typer.Exit(Exit.FAILED)


async def _demo(data: Path, output: Output, *, small: bool) -> bool:
    from shoebox_cli.demo_samples import samples
    from shoebox_cli.folder import DataFolder

    folder = DataFolder(data)
    made = await samples(folder.samples, output, small=small)
    return await _run_through(made, folder, output)


async def _run_through(made: list[Sample], folder: DataFolder, output: Output) -> bool:
    """Start the stack, upload, show, stop; whether each photo ended as it should."""
    from console.errorline import ErrorLine
    from shoebox.stack.model import PROJECT
    from shoebox_cli.demo_results import show
    from shoebox_cli.local import addresses, started
    from shoebox_cli.progress import shown
    from shoebox_client.api import open_api
    from shoebox_client.uploads import Uploader
    from standalone.stack import StandaloneSettings

    settings = StandaloneSettings(
        stack_file=PROJECT / "stack.yaml",  # not one of the user's own: photos go through it
        task_root=PROJECT,
        data_dir=folder.demo,
        fresh=True,
        emulator_port=0,
        gateway_port=0,
        control_port=0,
    )
    async with started(settings, folder, output, ErrorLine(output)) as local:
        found = addresses(local, folder)
        output.say(f"Uploading {plural(len(made), 'photo')} to {found['url']}")
        async with open_api(found["url"], found["token"]) as api, shown(output) as listener:
            report = await Uploader(api, await api.limits(), listener=listener).run([sample.path for sample in made])
        well = show(report, made, output)
        output.say("[dim]Stopping the stack …[/dim]")
    return well
