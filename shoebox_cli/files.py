"""`shoebox files`: list, show and delete."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from console.exits import CliError, Exit
from console.options import DATA, Data, Json, Quiet, Token, Url
from console.output import DataTable, Output, plural, safe, size_text, state_text

if TYPE_CHECKING:
    from shoebox_client.api import Api

app = typer.Typer(help="Look after stored photos.", no_args_is_help=True)
_PAGE = 100
Id = Annotated[str, typer.Argument(metavar="ID", help="Id of the file.", envvar="SHOEBOX_FILE")]


class FileState(StrEnum):
    """States to filter by."""

    READY = "READY"
    REGISTERED = "REGISTERED"
    REJECTED = "REJECTED"


@app.command("list")
def list_(
    state: Annotated[
        FileState | None,
        typer.Option(envvar="SHOEBOX_STATE", case_sensitive=False, help="Only files in this state."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, envvar="SHOEBOX_LIMIT", help="How many at most.")] = 50,
    everything: Annotated[bool, typer.Option("--all", envvar="SHOEBOX_ALL", help="All of them.")] = False,
    url: Url = None,
    token: Token = None,
    data: Data = DATA,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """List files, newest first.

    [bold]Examples[/bold]
      shoebox files list --state rejected
      shoebox files list --all --json
    """
    from console.run import run
    from shoebox_cli.access import open_service

    output = Output(json=json, quiet=quiet)

    async def work() -> tuple[list[dict[str, Any]], bool]:
        files: list[dict[str, Any]] = []
        cursor: str | None = None
        async with open_service(url, token, data, output) as api:
            while everything or len(files) < limit:
                wanted = _PAGE if everything else min(_PAGE, limit - len(files))
                page = await api.list_files(limit=wanted, cursor=cursor, state=state)
                files += page["files"]
                cursor = page["next_cursor"]
                if cursor is None:
                    return files, False
        return files, True

    files, more = run(work())
    if output.json:
        output.document({"files": files, "more": more})
        return
    output.table(_table(files))
    output.say(f"[dim]{plural(len(files), 'file')}{'; there are more: --limit or --all' if more else ''}[/dim]")


@app.command()
def show(
    file_id: Id, url: Url = None, token: Token = None, data: Data = DATA, json: Json = False, quiet: Quiet = False
) -> None:
    """Show one file, with its renditions' addresses.

    [bold]Example[/bold]
      shoebox files show f2ekcdgrbl3hwpgqoy6yfqd2o7vhnumux --json
    """
    from console.run import run
    from shoebox_cli.access import open_service
    from shoebox_client.errors import NotFound

    output = Output(json=json, quiet=quiet)

    async def work() -> dict[str, Any]:
        async with open_service(url, token, data, output) as api:
            return await api.file(file_id)

    try:
        file = run(work())
    except CliError as error:
        if isinstance(error.__cause__, NotFound):
            raise CliError(f"There is no file {file_id}.", hint="List yours: shoebox files list --all") from error
        raise
    if output.json:
        output.document(file)
        return
    _show(file, output)


@app.command()
def delete(
    file_ids: Annotated[list[str], typer.Argument(metavar="ID…", help="Ids of the files.", envvar="SHOEBOX_FILES")],
    yes: Annotated[bool, typer.Option("--yes", "-y", envvar="SHOEBOX_YES", help="Do not ask.")] = False,
    url: Url = None,
    token: Token = None,
    data: Data = DATA,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Delete files for good, with their renditions.

    [bold]Example[/bold]
      shoebox files delete f2ekcdgrbl3hwpgqoy6yfqd2o7vhnumux --yes

    Exit code 1: some of them are not there.
    """
    from console.run import run
    from shoebox_cli.access import open_service

    output = Output(json=json, quiet=quiet)
    if not yes and not sys.stdin.isatty():
        raise CliError("Deleting needs a yes, and nobody is here to ask.", hint="Add --yes.", exit_code=Exit.USAGE)
    if not yes and not typer.confirm(f"Delete {plural(len(file_ids), 'file')} for good?", err=True):
        raise typer.Exit(Exit.FAILED)

    async def work() -> tuple[list[str], list[str]]:
        async with open_service(url, token, data, output) as api:
            return await _delete(api, list(dict.fromkeys(file_ids)))

    deleted, missing = run(work())
    if output.json:
        output.document({"deleted": deleted, "not_found": missing})
    else:
        for file_id in deleted:
            output.line(file_id)
    for file_id in missing:
        output.error(f"There is no file {file_id}.")
    if missing:
        raise typer.Exit(Exit.FAILED)


async def _delete(api: Api, file_ids: list[str]) -> tuple[list[str], list[str]]:
    """Delete files; return the ids of those that were there, and of those that were not."""
    from shoebox_client.errors import NotFound

    deleted: list[str] = []
    missing: list[str] = []
    for file_id in file_ids:
        try:
            await api.delete(file_id)
        except NotFound:
            missing.append(file_id)
        else:
            deleted.append(file_id)
    return deleted, missing


def _table(files: list[dict[str, Any]]) -> DataTable:
    columns = ("id", "name", "state", "size", "registered")
    table = DataTable(columns, right=("size",), whole=("id", "size", "registered"), drop=("registered", "size", "name"))
    for file in files:
        state = state_text(file["state"], file.get("reason"))
        table.add_row(file["file_id"], safe(file["name"]), state, size_text(file["size"]), file["registered_at"])
    return table


def _show(file: dict[str, Any], output: Output) -> None:
    """Write a line for each fact, never folded or cut: ids and addresses can be copied."""
    size = f"{file['width']} × {file['height']}, " if file.get("width") else ""
    rows = [
        ("id", file["file_id"]),
        ("name", safe(file["name"])),
        ("state", state_text(file["state"], file.get("reason"))),
        ("detail", safe(file.get("detail") or "")),
        ("size", f"{size}{size_text(file['size'])}, {file['content_type']}"),
        ("sha256", file["sha256"]),
        *((name, file.get(f"{name}_at") or "") for name in ("registered", "uploaded", "received", "finished")),
        ("warnings", safe(", ".join(file.get("warnings") or []))),
        *((key, safe(str(value))) for key, value in (file.get("metadata") or {}).items() if value is not None),
        *((f"rendition {r['name']}", safe(r["url"])) for r in file.get("renditions") or []),
        ("original", safe(file.get("original_url") or "")),
    ]
    width = max(len(name) for name, value in rows if value)
    for name, value in rows:
        if value:
            output.markup(f"{safe(name):<{width}}  {value}")
