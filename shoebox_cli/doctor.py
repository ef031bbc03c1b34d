"""`shoebox doctor`: three lines when all is well; else what is wrong, and what to do."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from console.options import DATA, Data, EmulatorPort, Json, Port, StackFile, Url
from console.output import Output, safe

if TYPE_CHECKING:
    from shoebox_cli.checks import Finding

_MARKS = {"ok": "[green]✓[/green]", "warning": "[yellow]![/yellow]", "problem": "[red]✗[/red]"}


def doctor(
    port: Port = 8080,
    emulator_port: EmulatorPort = 4566,
    stack: StackFile = None,
    url: Url = None,
    data: Data = DATA,
    json: Json = False,
) -> None:
    """Look whether everything is there and well: pictures, machine, stack.

    [bold]Examples[/bold]
      shoebox doctor
      shoebox doctor --json

    Exit code 5: something will not work.
    """
    from console.exits import Exit
    from shoebox_cli.checks import Level

    output = Output(json=json)
    groups = _look((port, emulator_port), _stack_file(stack), url, data)
    findings = [finding for group in groups for finding in group]
    well = all(finding.level is not Level.PROBLEM for finding in findings)
    if json:
        output.document({"ok": well, "findings": [finding.document() for finding in findings]})
    else:
        _show(groups, output)
    if not well:
        raise typer.Exit(Exit.LOCAL)


def _look(ports: tuple[int, ...], stack: Path, url: str | None, data: Path) -> list[list[Finding]]:
    from console.run import run
    from shoebox_cli import checks
    from shoebox_cli.deployment import running_deployment

    running = running_deployment(data)
    if url is None and running and not running.has_gallery:  # a stack of one's own: its gateway need not have /healthz
        looking = checks.gateway(running.control, "fleet")
    else:
        looking = checks.gateway(url or (running.url if running else None))
    return [
        [*checks.python(), *checks.pictures(), *checks.decoders()],
        [*checks.ports(ports, running), *checks.disk(data), *checks.recovery(data)],
        [*checks.stack(stack), run(looking)],
        [*checks.containers(running)],
    ]


def _show(groups: list[list[Finding]], output: Output) -> None:
    """A line for each group, and one more for each finding that asks for something."""
    for group in groups:
        well = [finding for finding in group if finding.level == "ok"]
        if well:
            output.markup(f"{_MARKS['ok']} {safe('; '.join(finding.found for finding in well))}")
        for finding in group:
            if finding.level != "ok":
                found = "\n  ".join(safe(line) for line in finding.found.splitlines())
                output.markup(f"{_MARKS[finding.level]} {found}\n  [cyan]→[/cyan] {safe(finding.advice)}")


def _stack_file(named: Path | None) -> Path:
    from shoebox.stack.model import stack_file

    return named or stack_file()
