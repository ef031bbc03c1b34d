"""`shoebox quotas`: each of AWS's limits, how much of it is used, and what would be hit first."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shoebox.cli.exits import CliError, Exit
from shoebox.cli.options import DATA, Data, Json, Quotas, StackFile, count
from shoebox.cli.output import Output, new_table

if TYPE_CHECKING:
    from fleet.limits.plan import Need
    from fleet.limits.quotas import Quotas as Limits

_REQUEST_SECONDS = 10
_LOAD = "Load"
app = typer.Typer(invoke_without_command=True)


@app.callback()
def quotas(
    context: typer.Context,
    quotas: Quotas = "",
    control_url: Annotated[
        str | None,
        typer.Option(
            envvar="SHOEBOX_CONTROL_URL",
            metavar="URL",
            show_default=False,
            help="The fleet's control port, such as http://127.0.0.1:9001. Else: of the stack that runs here.",
        ),
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", envvar="SHOEBOX_ALL", help="Also the limits that nothing has used yet.")
    ] = False,
    data: Data = DATA,
    json: Json = False,
) -> None:
    """Show each limit that the running stack keeps, its use and headroom, and what growing load would hit first.

    [bold]Examples[/bold]
      shoebox quotas
      shoebox quotas --json
      shoebox quotas --control-url http://127.0.0.1:9001
      shoebox quotas --quotas aws/100     [dim]# the numbers themselves; no stack needed[/dim]
      shoebox quotas plan --uploads-per-day 10M

    Exit code 3: no stack runs.
    """
    if context.invoked_subcommand:
        return
    from fleet.limits.quotas import load_quotas
    from shoebox.cli.explained import explained

    output = Output(json=json)
    if quotas:
        with explained():
            _show_numbers(load_quotas(quotas), load_quotas(), output)
        return
    _show_use(_fetched(control_url or _control_of(data)), output, every=every)


@app.command()
def plan(
    uploads_per_day: Annotated[
        float,
        typer.Option(
            parser=count,
            envvar="SHOEBOX_UPLOADS_PER_DAY",
            metavar="COUNT",
            help="Photos in a day: 10M, 2.5M, 500k.",
            rich_help_panel=_LOAD,
        ),
    ],
    peak_factor: Annotated[
        float,
        typer.Option(
            min=1.0,
            envvar="SHOEBOX_PEAK_FACTOR",
            help="How many times the day's mean its busiest seconds are.",
            rich_help_panel=_LOAD,
        ),
    ] = 10.0,
    photos_per_upload: Annotated[
        int,
        typer.Option(
            min=1,
            max=100,
            envvar="SHOEBOX_PHOTOS_PER_UPLOAD",
            help="Photos that are registered, and asked for, together.",
            rich_help_panel=_LOAD,
        ),
    ] = 10,
    polls: Annotated[
        float,
        typer.Option(
            min=0.0, envvar="SHOEBOX_POLLS", help="How often a client asks until all are READY.", rich_help_panel=_LOAD
        ),
    ] = 3.0,
    user_rate: Annotated[
        float,
        typer.Option(
            min=0.0, envvar="SHOEBOX_USER_RATE", help="Photos a second of the busiest user.", rich_help_panel=_LOAD
        ),
    ] = 50.0,
    authorizer_seconds: Annotated[
        float,
        typer.Option(min=0.0, envvar="SHOEBOX_AUTHORIZER_SECONDS", help="A check of a token.", rich_help_panel=_LOAD),
    ] = 0.05,
    api_seconds: Annotated[
        float, typer.Option(min=0.0, envvar="SHOEBOX_API_SECONDS", help="An answer of the API.", rich_help_panel=_LOAD)
    ] = 0.07,
    ingest_seconds: Annotated[
        float,
        typer.Option(min=0.0, envvar="SHOEBOX_INGEST_SECONDS", help="A full batch of ingest.", rich_help_panel=_LOAD),
    ] = 0.7,
    quotas: Quotas = "aws",
    stack: StackFile = None,
    json: Json = False,
) -> None:
    """Plan for a busy day: what its peak needs of each limit, which ones to raise, and to what.

    [bold]Examples[/bold]
      shoebox quotas plan --uploads-per-day 10M
      shoebox quotas plan --uploads-per-day 2.5M --peak-factor 6 --quotas ours.yaml
      shoebox quotas plan --uploads-per-day 500k --json

    How the times are measured: docs/operations/capacity.md. No stack needs to run.
    """
    from fleet.limits.plan import nearest_first, peak_rate
    from fleet.limits.quotas import load_quotas
    from shoebox.cli.explained import explained
    from shoebox.cli.local import stack_file
    from shoebox.cli.photo_load import PhotoLoad, needs
    from shoebox.stack import load_stack

    load = PhotoLoad(
        rate=peak_rate(uploads_per_day, peak_factor),
        upload=photos_per_upload,
        polls=polls,
        user_rate=user_rate,
        authorizer_seconds=authorizer_seconds,
        api_seconds=api_seconds,
        ingest_seconds=ingest_seconds,
    )
    with explained():
        chosen = load_quotas(quotas)
        needed = nearest_first(needs(load_stack(stack or stack_file()), chosen, load))
    _show_plan(load.rate, needed, chosen.name, Output(json=json))


def _show_plan(rate: float, needed: list[Need], name: str, output: Output) -> None:
    if output.json:
        output.document({"photos_per_second": rate, "quotas": name, "limits": [_planned(need) for need in needed]})
        return
    numbers = ("needed", name, "factor")
    table = new_table("quota", "of", *numbers, "unit", "what to do", right=numbers)
    for need in needed:
        cells = (_number(need.needed), _number(need.most), _exact(need.factor))
        table.add_row(need.limit, need.subject, *cells, need.unit, need.advice)
    output.line(f"At the peak: {rate:,.0f} photos a second")
    output.table(table)


def _exact(factor: float) -> str:
    """With two digits, since what is below 1 matters most."""
    return "–" if factor == float("inf") else f"{factor:,.2f} ×"


def _planned(need: Need) -> dict[str, Any]:
    """A row for other programs; what is infinite becomes null."""
    return {
        "limit": need.limit,
        "subject": need.subject,
        "needed": need.needed,
        "most": need.most,
        "factor": need.factor,
        "unit": need.unit,
        "verdict": need.verdict.value,
        "raise_to": need.raise_to,
        "advice": need.advice,
    }


def _control_of(data: Path) -> str:
    from shoebox.cli.folder import DataFolder

    running = DataFolder(data).running()
    if running is None:
        hint = "Start one with `shoebox up`, or name its control port: --control-url http://127.0.0.1:9001"
        raise CliError("No stack runs here.", hint=hint, exit_code=Exit.UNREACHABLE)
    return str(running["control"])


def _fetched(control: str) -> dict[str, Any]:
    import json
    import urllib.request

    try:
        with urllib.request.urlopen(f"{control}/quotas", timeout=_REQUEST_SECONDS) as answer:  # noqa: S310
            found = json.load(answer)
        return {"quotas": found["quotas"], "limits": found["limits"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        hint = "Is it the control port (9001), and does the stack run?"
        message = f"No fleet answers at {control}: {error}"
        raise CliError(message, hint=hint, exit_code=Exit.UNREACHABLE) from error


def _show_use(found: dict[str, Any], output: Output, *, every: bool) -> None:
    if output.json:
        output.document(found)
        return
    columns = ("used", "highest", "limit", "headroom", "hit at", "refused")
    table = new_table("quota", "of", *columns, "unit", right=columns)
    shown = [limit for limit in found["limits"] if every or limit["peak"] or limit["throttled"]]
    for limit in shown:
        numbers = (_number(limit[key]) for key in ("used", "peak", "most", "headroom"))
        table.add_row(
            limit["limit"],
            limit["subject"],
            *numbers,
            _times(limit["factor"]),
            _number(limit["throttled"]),
            limit["unit"],
        )
    output.line(f"Quotas: {found['quotas']['name']}")
    output.table(table)
    output.say(_first(shown))
    if left := len(found["limits"]) - len(shown):
        output.say(f"[dim]{left} limits that nothing has used yet: --all[/dim]")


def _first(shown: list[dict[str, Any]]) -> str:
    """What growing load would hit first, in a sentence; the limits come nearest first."""
    if not shown or shown[0]["factor"] is None:
        return "Nothing is limited so far."
    nearest = shown[0]
    what = f"{nearest['limit']} of {nearest['subject']}"
    if nearest["throttled"]:
        return f"[yellow]{what} has refused {nearest['throttled']:,} times.[/yellow]"
    return f"Growing load would hit {what} first, at {_times(nearest['factor'])} the highest so far."


def _show_numbers(chosen: Limits, plain: Limits, output: Output) -> None:
    if output.json:
        output.document(chosen.model_dump())
        return
    table = new_table("quota", chosen.name, "aws", right=(chosen.name, "aws"))
    for family, numbers in chosen.model_dump(exclude={"name", "scale"}).items():
        for name, value in numbers.items():
            table.add_row(f"{family}.{name}", _number(value), _number(getattr(getattr(plain, family), name)))
    output.table(table)


def _number(value: float | None) -> str:
    """Whole, or with two digits where it is small; without limit where it is infinite, which JSON tells as null."""
    if value is None or value == float("inf"):
        return "∞"
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:,.2f}"


def _times(factor: float | None) -> str:
    return "–" if factor is None else f"{factor:,.1f} ×"
