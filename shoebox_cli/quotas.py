"""`shoebox quotas`: each of AWS's limits, how much of it is used, and what would be hit first."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from console.exits import CliError, Exit
from console.options import DATA, Data, Json, Quotas, address
from console.output import DataTable, Output, number_text, plural, safe
from shoebox_cli.quotas_plan import plan

if TYPE_CHECKING:
    from fleet.limits.quotas import Quotas as Limits

_REQUEST_SECONDS = 10
app = typer.Typer(invoke_without_command=True)
app.command()(plan)


@app.callback()
def quotas(
    context: typer.Context,
    quotas: Quotas = "",
    control_url: Annotated[
        str | None,
        typer.Option(
            parser=address,
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
    from console.messages import user_facing_errors
    from fleet.limits.quotas import load_quotas

    output = Output(json=json)
    if quotas:
        with user_facing_errors():
            _show_numbers(load_quotas(quotas), load_quotas(), output)
        return
    _show_use(_fetched(control_url or _control_of(data)), output, every=every)


def _control_of(data: Path) -> str:
    from shoebox_cli.target import required_target

    hint = "Start one with `shoebox up`, or name its control port: --control-url http://127.0.0.1:9001"
    return required_target(data, hint).control


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
    table = DataTable(
        ("quota", "of", *columns, "unit"),
        right=columns,
        whole=("quota", *columns),
        drop=("unit", "headroom", "used", "of", "highest"),
    )
    shown = [limit for limit in found["limits"] if every or limit["peak"] or limit["throttled"]]
    for limit in shown:
        numbers = (number_text(limit[key]) for key in ("used", "peak", "most", "headroom"))
        table.add_row(
            safe(limit["limit"]),
            safe(limit["subject"]),
            *numbers,
            _times(limit["factor"]),
            number_text(limit["throttled"]),
            safe(limit["unit"]),
        )
    output.line(f"Quotas: {found['quotas']['name']}")
    output.table(table)
    output.say(_first(shown))
    if left := len(found["limits"]) - len(shown):
        output.say(f"[dim]{plural(left, 'limit')} that nothing has used yet: --all[/dim]")


def _first(shown: list[dict[str, Any]]) -> str:
    """The limit that refused most, or else what growing load would hit first; the nearest comes first in `shown`."""
    refused = max(shown, key=lambda limit: limit["throttled"], default=None)
    if refused and refused["throttled"]:
        others = sum(limit["throttled"] > 0 for limit in shown) - 1
        beside = f", the most of {others + 1} limits that refused" if others else ""
        most = (
            f"{safe(refused['limit'])} of {safe(refused['subject'])} has refused {plural(refused['throttled'], 'time')}"
        )
        return f"[yellow]{most}{beside}.[/yellow]"
    if not shown or shown[0]["factor"] is None:
        return "Nothing is limited so far."
    what = safe(f"{shown[0]['limit']} of {shown[0]['subject']}")
    return f"Growing load would hit {what} first, at {_times(shown[0]['factor'])} the highest so far."


def _show_numbers(chosen: Limits, plain: Limits, output: Output) -> None:
    if output.json:
        output.document(chosen.model_dump())
        return
    sources = {chosen.name: chosen, plain.name: plain}  # one column where AWS's own were chosen
    table = DataTable(("quota", *sources), right=sources, whole=("quota", *sources))
    for family, numbers in chosen.model_dump(exclude={"name", "scale"}).items():
        for name in numbers:
            values = (number_text(getattr(getattr(source, family), name)) for source in sources.values())
            table.add_row(f"{family}.{name}", *values)
    output.table(table)


def _times(factor: float | None) -> str:
    return "–" if factor is None else f"{factor:,.1f} ×"
