"""`shoebox doctor`: three lines when all is well; else what is wrong, and what to do."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import typer

from console.exits import Exit
from console.options import DATA, Data, EmulatorPort, Json, Port, StackFile, Url
from console.output import Output, plural, safe, size_text
from shoebox_cli.localstack import localstack_at
from shoebox_cli.target import DataFolder, Target, find_target

_MIN_PYTHON = (3, 11)
_MIN_FREE = 500 * 1000**2
_SCARCE = 5 * 1000**3


class Level(StrEnum):
    """How bad a finding is."""

    OK = "ok"
    WARNING = "warning"  # works, but not as well as it could
    PROBLEM = "problem"  # will not work


@dataclass(frozen=True, slots=True)
class Finding:
    """One fact, how bad it is, and what to do about it."""

    name: str
    level: Level
    found: str
    advice: str = ""

    def document(self) -> dict[str, Any]:
        """Return this finding as JSON."""
        return {**asdict(self), "level": self.level.value}


_MARKS = {
    Level.OK: "[green]✓[/green]",
    Level.WARNING: "[yellow]![/yellow]",
    Level.PROBLEM: "[red]✗[/red]",
}


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
    from console.run import run
    from shoebox.stack.model import stack_file

    output, target = Output(json=json), find_target(data)
    asked, what = url or (target.url if target else None), "gateway"
    if url is None and target and not target.has_gallery:  # a stack of one's own: its gateway need not have /healthz
        asked, what = target.control, "fleet"
    groups = [
        [*python_check(), *pictures_check(), *decoders_check()],
        [*ports_check((port, emulator_port), target), *disk_check(data), *recovery_check(data)],
        [*stack_check(stack or stack_file()), run(gateway_check(asked, what))],
        [*containers_check(target)],
    ]
    findings = [finding for group in groups for finding in group]
    well = all(finding.level is not Level.PROBLEM for finding in findings)
    if json:
        output.document({"ok": well, "findings": [finding.document() for finding in findings]})
    else:
        _show(groups, output)
    if not well:
        raise typer.Exit(Exit.LOCAL)


def _show(groups: list[list[Finding]], output: Output) -> None:
    """Write a line for each group, and one more for each finding that asks for something."""
    for group in groups:
        well = [finding for finding in group if finding.level is Level.OK]
        if well:
            output.markup(f"{_MARKS[Level.OK]} {safe('; '.join(finding.found for finding in well))}")
        for finding in group:
            if finding.level is not Level.OK:
                found = "\n  ".join(safe(line) for line in finding.found.splitlines())
                output.markup(f"{_MARKS[finding.level]} {found}\n  [cyan]→[/cyan] {safe(finding.advice)}")


def python_check() -> Iterator[Finding]:
    """Look at the interpreter."""
    running = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < _MIN_PYTHON:
        yield Finding("python", Level.PROBLEM, f"Python {running}", "Install Python 3.11 or newer, then: ./run setup")
    else:
        yield Finding("python", Level.OK, f"Python {running}")


def pictures_check(cpuinfo: Path = Path("/proc/cpuinfo")) -> Iterator[Finding]:
    """Look at Pillow or pillow-simd, libjpeg-turbo, libheif and libavif."""
    yield _pillow(_version("pillow-simd"), _version("pillow"), _has_avx2(cpuinfo))
    for name, package, what in (
        ("simplejpeg", "simplejpeg", "simplejpeg (libjpeg-turbo)"),
        ("pillow-heif", "pillow-heif", "pillow-heif"),
        ("pillow-avif", "pillow-avif-plugin", "pillow-avif-plugin"),
    ):
        found = _version(package)
        if found:
            yield Finding(name, Level.OK, f"{what} {found}")
        else:
            yield Finding(name, Level.PROBLEM, f"{what} is missing", "./run setup")


def decoders_check() -> Iterator[Finding]:
    """Look whether each accepted type can be decoded here."""
    decoders = _decoders()
    missing = [name for name, works in decoders.items() if not works]
    if missing:
        advice = "Set the environment up anew: ./run setup"
        yield Finding("decoders", Level.PROBLEM, f"no decoder for {', '.join(missing)}", advice)
    else:
        yield Finding("decoders", Level.OK, f"decoders: {', '.join(decoders)}")


def ports_check(wanted: Iterable[int], target: Target | None) -> Iterator[Finding]:
    """Look whether the ports are free, or held by our own stack, or by whom."""
    from fleet.http.ports import PortTaken, holder_of, listen

    own = target.ports if target else set()
    for port in wanted:
        try:
            listen(port, "doctor").close()
            yield Finding(f"port {port}", Level.OK, f"port {port} is free")
        except PermissionError:
            advice = "Choose one from 1024 on, or --free-ports."
            yield Finding(f"port {port}", Level.PROBLEM, f"port {port} may not be used", advice)
        except PortTaken:
            holder = holder_of(port) or "a program that cannot be named"
            if port in own:
                yield Finding(f"port {port}", Level.OK, f"port {port} is held by {holder}, the stack running here")
            else:
                ours = "It is a container's; docker ps tells whose. " if "docker-proxy" in holder else ""
                advice = f"{ours}Stop that program, or: shoebox up --free-ports"
                yield Finding(f"port {port}", Level.PROBLEM, f"port {port} is held by {holder}", advice)


def disk_check(data: Path) -> Iterator[Finding]:
    """Look at the room for photos where the stack keeps them."""
    from emulator.disk_space import free_and_reserve

    there = next(path for path in (data.absolute(), *data.absolute().parents) if path.exists())
    free, reserve = free_and_reserve(there)
    found = f"{free / 1000**3:.1f} GB free in {there}"
    level = Level.PROBLEM if free < max(reserve, _MIN_FREE) else Level.WARNING if free < _SCARCE else Level.OK
    advice = "" if level is Level.OK else "Make room, or keep the data elsewhere: --data FOLDER"
    if free < reserve:
        found += f"; uploads are refused below {reserve / 1000**3:.1f} GB"
    yield Finding("disk", level, found, advice)


def recovery_check(data: Path) -> Iterator[Finding]:
    """Look whether the last start found that the run before it had been killed."""
    from emulator.embedded import read_recovery
    from shoebox_cli.up import recovery_text

    found = read_recovery(DataFolder(data).data / "aws")
    if found and found.cut_off:
        advice = "Look for photos that are missing, and upload them again. A clean stop (Ctrl-C) loses nothing."
        yield Finding("data", Level.WARNING, recovery_text(found), advice)


def containers_check(target: Target | None) -> Iterator[Finding]:
    """Look whether each container of the stack is well, and what LocalStack's memory comes to."""
    if target is None or target.engine is None:
        return
    found = target.engine.containers("--all")
    ill = [c for c in found if c["ExitCode"] or c["State"] == "restarting" or c["Health"] not in ("", "healthy")]
    for container in ill:
        advice = f"docker logs --tail 50 {container['Name']}. To start what has ended: docker compose up -d --wait"
        yield Finding("container", Level.PROBLEM, f"{container['Name']}: {container['Status']}", advice)
    if not ill:
        yield Finding("containers", Level.OK, f"{len(found)} containers are well")
    localstack = localstack_at(target.emulator)
    if localstack is None:
        return
    for text in filter(None, (localstack.warning(), localstack.loss())):
        what, _, advice = text.partition(". ")
        yield Finding("localstack", Level.WARNING, f"{what}.", advice)
    if localstack.limit and not localstack.warning():
        used, limit = size_text(localstack.used), size_text(localstack.limit)
        yield Finding("localstack", Level.OK, f"LocalStack uses {used} of {limit} of memory")


def stack_check(path: Path) -> Iterator[Finding]:
    """Look whether stack.yaml is valid."""
    from shoebox.stack.model import StackError, load_stack

    try:
        loaded = load_stack(path)
    except StackError as error:
        yield Finding("stack.yaml", Level.PROBLEM, str(error), f"Correct {path}.")
        return
    yield Finding("stack.yaml", Level.OK, f"stack.yaml is valid ({plural(len(loaded.functions), 'function')})")


async def gateway_check(url: str | None, what: str = "gateway") -> Finding:
    """Ask the gateway or the fleet of the stack that runs; None: none runs, which is well, too."""
    from shoebox_client.api import open_api
    from shoebox_client.errors import ClientError

    if url is None:
        return Finding("gateway", Level.OK, "no stack runs here (start it: shoebox up)")
    try:
        async with open_api(url) as api:
            status, document = await api.health()
    except ClientError as error:
        return Finding("gateway", Level.PROBLEM, error.detail, "Restart it: Ctrl-C, then shoebox up")
    if status == 200:
        return Finding("gateway", Level.OK, f"the {what} at {url} is well")
    ill = [name for name, state in (document.get("dependencies") or {}).items() if state != "ok"]
    found = f"the {what} at {url} answers {status}" + (f"; not well: {', '.join(ill)}" if ill else "")
    return Finding("gateway", Level.PROBLEM, found, "Look into the logs of `shoebox up`, or restart it.")


def _pillow(simd: str | None, plain: str | None, avx2: bool | None) -> Finding:
    if simd and plain:
        advice = "Both write to the same folder. Set the environment up anew: ./run setup"
        return Finding("pillow", Level.PROBLEM, f"both pillow-simd {simd} and Pillow {plain} are installed", advice)
    if simd:
        cpu = {True: "AVX2", False: "no AVX2", None: "processor unknown"}[avx2]
        level = Level.PROBLEM if avx2 is False else Level.OK
        advice = "It was compiled for AVX2. Use Pillow: SHOEBOX_PILLOW=pillow ./run setup" if avx2 is False else ""
        return Finding("pillow", level, f"pillow-simd {simd} ({cpu})", advice)
    if plain and avx2:
        advice = "pillow-simd would be quicker here: ./run setup tells what it needs."
        return Finding("pillow", Level.WARNING, f"Pillow {plain}, though the processor has AVX2", advice)
    if plain:
        return Finding("pillow", Level.OK, f"Pillow {plain}")
    return Finding("pillow", Level.PROBLEM, "neither pillow-simd nor Pillow is installed", "./run setup")


def _decoders() -> dict[str, bool]:
    try:
        from PIL import features
    except ImportError:
        return dict.fromkeys(("JPEG", "PNG", "WebP", "GIF", "HEIC", "AVIF"), False)
    try:
        import pillow_heif

        heic = bool(pillow_heif.libheif_info()["decoders"])
    except ImportError:
        heic = False
    try:
        from pillow_avif import _avif

        avif = bool(_avif.decoder_codec_available("dav1d"))
    except ImportError:
        avif = False
    jpeg, png, webp = (bool(features.check(name)) for name in ("jpg", "zlib", "webp"))
    return {"JPEG": jpeg, "PNG": png, "WebP": webp, "GIF": True, "HEIC": heic, "AVIF": avif}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _has_avx2(cpuinfo: Path) -> bool | None:
    try:
        return " avx2 " in cpuinfo.read_text().replace("\n", " ")
    except OSError:  # not Linux
        return None
