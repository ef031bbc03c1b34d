"""`shoebox quotas plan`: what a busy day needs of each of AWS's limits, and which ones to raise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from console.options import Json, Quotas, StackFile, count, finite
from console.output import DataTable, Output, number_text

if TYPE_CHECKING:
    from fleet.limits.plan import Need


def _load(envvar: str, help_: str, **more: Any) -> Any:
    """An option about the load that is planned for."""
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
    float, _load("SHOEBOX_AUTHORIZER_SECONDS", "A check of a token.", min=0.0, callback=finite)
]
ApiSeconds = Annotated[float, _load("SHOEBOX_API_SECONDS", "An answer of the API.", min=0.0, callback=finite)]
IngestSeconds = Annotated[float, _load("SHOEBOX_INGEST_SECONDS", "A full batch of ingest.", min=0.0, callback=finite)]


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
    _show(load.rate, needed, chosen.name, Output(json=json))


def _show(rate: float, needed: list[Need], name: str, output: Output) -> None:
    if output.json:
        output.document({"photos_per_second": rate, "quotas": name, "limits": [_planned(need) for need in needed]})
        return
    numbers = ("needed", name, "factor")
    table = DataTable(
        ("quota", "of", *numbers, "unit", "what to do"),
        right=numbers,
        whole=("quota", *numbers),
        drop=("unit", "factor", "of"),
    )
    for need in needed:
        cells = (number_text(need.needed), number_text(need.most), _exact(need.factor))
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
        "verdict": need.status.value,
        "raise_to": need.raise_to,
        "advice": need.advice,
    }
