"""`shoebox quotas`: each of AWS's limits, how much of it is used, and what a busy day needs of it (`quotas plan`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from console.exits import CliError, Exit
from console.options import DATA, Data, Json, Quotas, StackFile, address, count, finite
from console.output import DataTable, Output, number_text, plural, safe

if TYPE_CHECKING:
    from fleet.limits.quotas import Quotas as Limits

_REQUEST_SECONDS = 10
app = typer.Typer(invoke_without_command=True)


def _load(envvar: str, help_: str, **more: Any) -> Any:
    """Return an option about the load that is planned for; `shoebox simulate` has the same."""
    return typer.Option(envvar=envvar, help=help_, rich_help_panel="Load", **more)


UploadsPerDay = Annotated[
    float, _load("SHOEBOX_UPLOADS_PER_DAY", "Photos in a day: 10M, 2.5M, 500k.", parser=count, metavar="COUNT")
]
PeakFactor = Annotated[
    float,
    _load("SHOEBOX_PEAK_FACTOR", "How many times the day's mean its busiest seconds are.", min=1.0, callback=finite),
]
PhotosPerUpload = Annotated[
    int, _load("SHOEBOX_PHOTOS_PER_UPLOAD", "Photos that are registered, and asked for, together.", min=1, max=100)
]
Polls = Annotated[
    float, _load("SHOEBOX_POLLS", "How often a client asks until all are READY.", min=0.0, callback=finite)
]
UserRate = Annotated[
    float, _load("SHOEBOX_USER_RATE", "Photos a second of the busiest user.", min=0.0, callback=finite)
]
AuthorizerSeconds = Annotated[
    float, _load("SHOEBOX_AUTHORIZER_SECONDS", "How long a check of a token takes.", min=0.0, callback=finite)
]
ApiSeconds = Annotated[
    float, _load("SHOEBOX_API_SECONDS", "How long a request to the API takes.", min=0.0, callback=finite)
]
IngestSeconds = Annotated[
    float, _load("SHOEBOX_INGEST_SECONDS", "How long ingest takes for a full batch.", min=0.0, callback=finite)
]


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
    from shoebox_cli.target import required_target

    output = Output(json=json)
    if quotas:
        with user_facing_errors():
            _show_numbers(load_quotas(quotas), load_quotas(), output)
        return
    hint = "Start one with `shoebox up`, or name its control port: --control-url http://127.0.0.1:9001"
    _show_use(_fetched(control_url or required_target(data, hint).control), output, every=every)


def _fetched(control: str) -> dict[str, Any]:
    import json
    import urllib.request

    try:
        with urllib.request.urlopen(f"{control}/quotas", timeout=_REQUEST_SECONDS) as response:  # noqa: S310
            found = json.load(response)
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
    """Name the limit that refused most, or else what growing load would hit first; the nearest is first in `shown`."""
    refused = max(shown, key=lambda limit: limit["throttled"], default=None)
    if refused and refused["throttled"]:
        refusing = sum(limit["throttled"] > 0 for limit in shown)
        beside = f", the most of {refusing} limits that refused" if refusing > 1 else ""
        what, times = safe(f"{refused['limit']} of {refused['subject']}"), plural(refused["throttled"], "time")
        return f"[yellow]{what} has refused {times}{beside}.[/yellow]"
    if not shown or shown[0]["factor"] is None:
        return "Nothing is limited so far."
    what = safe(f"{shown[0]['limit']} of {shown[0]['subject']}")
    return f"Growing load would hit {what} first, at {_times(shown[0]['factor'])} the highest so far."


def _show_numbers(chosen: Limits, plain: Limits, output: Output) -> None:
    if output.json:
        output.document(chosen.model_dump())
        return
    # One column where AWS's own were chosen.
    sources = {source.name: source.model_dump(exclude={"name", "scale"}) for source in (chosen, plain)}
    table = DataTable(("quota", *sources), right=sources, whole=("quota", *sources))
    for family, numbers in sources[chosen.name].items():
        for name in numbers:
            values = (number_text(source[family][name]) for source in sources.values())
            table.add_row(f"{family}.{name}", *values)
    output.table(table)


def _times(factor: float | None, digits: int = 1) -> str:
    return "–" if factor in (None, float("inf")) else f"{factor:,.{digits}f} ×"


@app.command()
def plan(
    uploads_per_day: UploadsPerDay,
    peak_factor: PeakFactor = 10.0,
    photos_per_upload: PhotosPerUpload = 10,
    polls: Polls = 3.0,
    user_rate: UserRate = 50.0,
    authorizer_seconds: AuthorizerSeconds = 0.05,
    api_seconds: ApiSeconds = 0.07,
    ingest_seconds: IngestSeconds = 0.7,
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
    from console.messages import user_facing_errors
    from fleet.limits.plan import nearest_first, peak_rate
    from fleet.limits.quotas import load_quotas
    from load_tests.simulator.capacity import PhotoLoad, needs
    from shoebox.stack.model import load_stack, stack_file

    load = PhotoLoad(
        rate=peak_rate(uploads_per_day, peak_factor),
        upload=photos_per_upload,
        polls=polls,
        user_rate=user_rate,
        authorizer_seconds=authorizer_seconds,
        api_seconds=api_seconds,
        ingest_seconds=ingest_seconds,
    )
    with user_facing_errors():
        chosen = load_quotas(quotas)
        needed = nearest_first(needs(load_stack(stack or stack_file()), chosen, load))
    output = Output(json=json)
    if json:
        rows = [
            {
                "limit": need.limit,
                "subject": need.subject,
                "needed": need.needed,
                "most": need.maximum,
                "factor": need.factor,
                "unit": need.unit,
                "verdict": need.status.value,
                "raise_to": need.raise_to,
                "advice": need.advice,
            }
            for need in needed
        ]
        output.document({"photos_per_second": load.rate, "quotas": chosen.name, "limits": rows})
        return
    numbers = ("needed", chosen.name, "factor")
    table = DataTable(
        ("quota", "of", *numbers, "unit", "what to do"),
        right=numbers,
        whole=("quota", *numbers),
        drop=("unit", "factor", "of"),
    )
    for need in needed:
        factor = _times(need.factor, digits=2)  # what is below 1 matters, and by how much
        cells = (number_text(need.needed), number_text(need.maximum), factor)
        table.add_row(need.limit, need.subject, *cells, need.unit, need.advice)
    output.line(f"At the peak: {load.rate:,.0f} photos a second")
    output.table(table)
