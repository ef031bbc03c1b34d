"""`shoebox upload`: photos and folders of them to the service."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from console.options import DATA, Data, Json, NoProgress, Quiet, Token, Url, seconds
from console.output import Output

if TYPE_CHECKING:
    from shoebox_client.events import Listener
    from shoebox_client.records import Report
    from shoebox_client.uploads import Uploader, UploadSettings

_PANEL = "Upload"


Paths = Annotated[
    list[Path],
    typer.Argument(exists=True, metavar="PATH…", help="Photos, and folders of photos.", envvar="SHOEBOX_PATHS"),
]
Concurrency = Annotated[
    int,
    typer.Option(
        "--concurrency",
        "-c",
        min=1,
        max=64,
        envvar="SHOEBOX_CONCURRENCY",
        help="Uploads at once.",
        rich_help_panel=_PANEL,
    ),
]
Wait = Annotated[
    bool,
    typer.Option(envvar="SHOEBOX_WAIT", help="Wait until each photo is READY or REJECTED.", rich_help_panel=_PANEL),
]
Patience = Annotated[
    int | None,
    typer.Option(
        parser=seconds,
        metavar="TIME",
        envvar="SHOEBOX_PATIENCE",
        help="Stop waiting when nothing becomes ready for so long; without it the service says how long.",
        rich_help_panel=_PANEL,
    ),
]
Recursive = Annotated[
    bool,
    typer.Option(envvar="SHOEBOX_RECURSIVE", help="Go into folders within folders.", rich_help_panel=_PANEL),
]
Watch = Annotated[
    bool,
    typer.Option(
        "--watch",
        envvar="SHOEBOX_WATCH",
        help="Go on with what is new or changed, until Ctrl-C.",
        rich_help_panel=_PANEL,
    ),
]
Exclude = Annotated[
    list[str] | None,
    typer.Option(
        envvar="SHOEBOX_EXCLUDE",
        metavar="PATTERN",
        show_default=False,
        help="Leave out what matches, as in .gitignore; may be repeated. Folders may have a .shoeboxignore.",
        rich_help_panel=_PANEL,
    ),
]
DefaultExcludes = Annotated[
    bool,
    typer.Option(
        envvar="SHOEBOX_DEFAULT_EXCLUDES",
        help="Leave out what is hidden, and thumbnails and waste of NAS and photo programs.",
        rich_help_panel=_PANEL,
    ),
]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run",
        envvar="SHOEBOX_DRY_RUN",
        help="Say what would be uploaded; send nothing.",
        rich_help_panel=_PANEL,
    ),
]


def upload(
    paths: Paths,
    concurrency: Concurrency = 4,
    wait: Wait = True,
    patience: Patience = None,
    recursive: Recursive = True,
    watch: Watch = False,
    exclude: Exclude = None,
    default_excludes: DefaultExcludes = True,
    dry_run: DryRun = False,
    url: Url = None,
    token: Token = None,
    data: Data = DATA,
    json: Json = False,
    quiet: Quiet = False,
    no_progress: NoProgress = False,
) -> None:
    """Upload photos; what is stored already is not sent again.

    [bold]Examples[/bold]
      shoebox upload holiday.jpg
      shoebox upload ~/Pictures --concurrency 8
      shoebox upload ~/Pictures --exclude '*.png' --exclude screenshots/
      shoebox upload ~/Pictures --watch
      shoebox upload ~/Pictures --json > result.json

    It can be interrupted at any time: run it again, and it goes on where it was.
    Exit code 1: some photos were rejected or failed.
    """
    from shoebox_client.exclusion import Exclusion, PatternError, parse_patterns

    output = Output(json=json, quiet=quiet, progress=not no_progress)
    try:
        exclusion = Exclusion(parse_patterns(exclude or ()), default_excludes)
    except PatternError as error:
        raise typer.BadParameter(str(error), param_hint="'--exclude'") from error
    if dry_run:
        from shoebox_cli import results

        results.dry_run(paths, output, recursive=recursive, exclusion=exclusion)
        return

    from console.exits import Exit
    from console.run import run
    from shoebox_client.retry import RetryPolicy
    from shoebox_client.uploads import UploadSettings
    from shoebox_client.walk import scan_pauses

    settings = UploadSettings(
        concurrency=concurrency,
        wait=wait,
        recursive=recursive,
        exclusion=exclusion,
        processing_timeout=patience,
        between_scans=scan_pauses() if watch else None,
        retry=RetryPolicy.endless() if watch else RetryPolicy(),
    )
    report = run(_upload(paths, settings, url, token, data, output))
    if not report.succeeded:
        raise typer.Exit(Exit.FAILED)


async def _upload(
    paths: list[Path], settings: UploadSettings, url: str | None, token: str | None, data: Path, output: Output
) -> Report:
    from shoebox_cli import results
    from shoebox_cli.access import open_service
    from shoebox_cli.progress import shown
    from shoebox_client.uploads import Uploader

    async with open_service(url, token, data, output, connections=2 * settings.concurrency + 4) as api:
        limits: dict[str, Any] = await api.limits()
        async with shown(output, wait=settings.wait) as listener:
            if settings.between_scans:
                return await _watch(Uploader(api, limits, settings, _telling(listener, output)), paths, output)
            uploader = Uploader(api, limits, settings, listener)
            try:
                report = await uploader.run(paths)
            except BaseException:
                results.interrupted(uploader.report, output)
                raise
        results.show(report, output)
    return report


async def _watch(uploader: Uploader, paths: list[Path], output: Output) -> Report:
    """Upload until Ctrl-C, which is the normal end here."""
    import asyncio

    from shoebox_cli import results

    try:
        return await uploader.run(paths)
    except asyncio.CancelledError:
        return uploader.report
    finally:
        results.watched(uploader.report, output)


def _telling(listener: Listener, output: Output) -> Listener:
    """Return the listener with a line more for each photo, as soon as nothing more happens to it."""
    from shoebox_cli import results
    from shoebox_client.events import Event, FileFinished

    def listen(event: Event) -> None:
        listener(event)
        if isinstance(event, FileFinished):
            results.finished(event.record, output)

    return listen
