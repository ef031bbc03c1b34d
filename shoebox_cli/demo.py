"""`shoebox demo`: photos go in, renditions come out, and each outcome is checked."""

from __future__ import annotations

import json as jsonlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from console.exits import Exit
from console.options import DATA, Data, Json, NoProgress, Quiet
from console.output import DataTable, Output, plural, safe, size_text, state_text
from shoebox_cli.target import DataFolder
from shoebox_cli.up import Steps, addresses, started

if TYPE_CHECKING:
    from shoebox_client.records import Report
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
    from console.run import run

    output = Output(json=json, quiet=quiet, progress=not no_progress)
    if not run(_demo(data, output, small=small)):
        raise typer.Exit(Exit.FAILED)


async def _demo(data: Path, output: Output, *, small: bool) -> bool:
    """Start the stack, upload, show, stop; return whether each photo ended as it should."""
    from console.errorline import ErrorLine
    from shoebox.stack.model import PROJECT
    from shoebox_cli.progress import shown
    from shoebox_client.api import open_api
    from shoebox_client.uploads import Uploader
    from standalone.stack import StandaloneSettings

    folder = DataFolder(data)
    samples = await _samples(folder.samples / ("small" if small else "full"), output, small=small)
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
        output.say(f"Uploading {plural(len(samples), 'photo')} to {found['url']}")
        async with open_api(found["url"], found["token"]) as api, shown(output) as listener:
            uploader = Uploader(api, await api.limits(), listener=listener)
            report = await uploader.run([sample.path for sample in samples])
        as_expected = _show(report, samples, output)
        output.say("[dim]Stopping the stack …[/dim]")
    return as_expected


async def _samples(folder: Path, output: Output, *, small: bool) -> list[Sample]:
    """Return the samples in `folder`; made when they are not there, or were made by another version.

    A note beside the folder tells what each must come to.
    """
    import asyncio
    import hashlib
    import inspect
    from dataclasses import asdict

    from shoebox_client import samples
    from shoebox_client.samples import Sample

    note = folder.with_suffix(".json")
    version = hashlib.sha256(inspect.getsource(samples).encode()).hexdigest()[:16]
    try:
        kept = jsonlib.loads(note.read_text())
        found = [Sample(folder / e["name"], e["media_type"], e["state"], e["reason"]) for e in kept["samples"]]
        whole = all(s.path.stat().st_size == e["size"] for s, e in zip(found, kept["samples"], strict=True))
        if found and whole and kept.get("version") == version:
            output.say(f"[green]✓[/green] {len(found)} sample photos from {safe(str(folder))}")
            return found
    except (OSError, ValueError, KeyError, TypeError):
        pass  # there are none, or not as the note says: make them anew
    with Steps(output) as steps:
        steps.begin("Making sample photos from formulas")
        made = await asyncio.to_thread(samples.write_samples, folder, small=small)
        entries = [
            {**asdict(sample), "path": None, "name": sample.path.name, "size": sample.path.stat().st_size}
            for sample in made
        ]
        note.write_text(jsonlib.dumps({"version": version, "samples": entries}))
        steps.done(f"{len(made)} sample photos in {safe(str(folder))}")
    return made


def _show(report: Report, samples: list[Sample], output: Output) -> bool:
    """Write the table and the summary; return whether each photo ended as it should."""
    from shoebox_cli.results import document, summary_line

    ends = {record.path: (record.outcome.value, record.code) for record in report.records}
    surprises = [
        f"{sample.path.name} should have ended as {_words(sample.state, sample.reason)}, "
        f"but ended as {_words(*ends.get(sample.path, ('MISSING', None)))}."
        for sample in samples
        if ends.get(sample.path) != (sample.state, sample.reason)
    ]
    if output.json:
        output.document({**document(report), "surprises": surprises, "as_expected": not surprises})
    else:
        numbers = ("megapixels", "size", "ms")
        table = DataTable(("name", "state", *numbers), right=numbers, whole=numbers, drop=numbers)
        for record in report.records:
            megapixels = f"{record.width * record.height / 1e6:.1f}" if record.width and record.height else ""
            ms = "" if record.milliseconds is None else f"{record.milliseconds:,}"
            state = state_text(record.outcome, record.code)
            table.add_row(safe(record.name), state, megapixels, size_text(record.size), ms)
        output.table(table)
        output.say(summary_line(report, well=not surprises))
    for surprise in surprises:
        output.error(surprise)
    if not surprises:
        rejected = sum(sample.state == "REJECTED" for sample in samples)
        output.say(f"Each ended as it should, also the {rejected} that are damaged on purpose.")
    return not surprises


def _words(state: str, reason: str | None) -> str:
    return f"{state} ({reason})" if reason else state
