"""What became of the demo's photos, beside what was to become of them."""

from __future__ import annotations

from collections.abc import Sequence

from console.output import DataTable, Output, safe, size_text, state_text
from shoebox_cli.results import document, summary_line
from shoebox_client.records import Record, Report
from shoebox_client.samples import Sample


def show(report: Report, samples: Sequence[Sample], output: Output) -> bool:
    """Write the table and the summary; whether each photo ended as it should."""
    surprises = _surprises(report, samples)
    if output.json:
        output.document({**document(report), "surprises": surprises, "as_expected": not surprises})
    else:
        output.table(_table(report.records))
        output.say(summary_line(report, well=not surprises))
    for surprise in surprises:
        output.error(surprise)
    if not surprises:
        rejected = sum(sample.state == "REJECTED" for sample in samples)
        output.say(f"Each ended as it should, also the {rejected} that are damaged on purpose.")
    return not surprises


def _surprises(report: Report, samples: Sequence[Sample]) -> list[str]:
    ends = {record.path: (record.outcome.value, record.code) for record in report.records}
    return [
        f"{sample.path.name} should have ended as {_words(sample.state, sample.reason)}, "
        f"but ended as {_words(*ends.get(sample.path, ('MISSING', None)))}."
        for sample in samples
        if ends.get(sample.path) != (sample.state, sample.reason)
    ]


def _words(state: str, reason: str | None) -> str:
    return f"{state} ({reason})" if reason else state


def _table(records: Sequence[Record]) -> DataTable:
    numbers = ("megapixels", "size", "ms")
    table = DataTable(("name", "state", *numbers), right=numbers, whole=numbers, drop=numbers)
    for record in records:
        megapixels = f"{record.width * record.height / 1e6:.1f}" if record.width and record.height else ""
        ms = "" if record.milliseconds is None else f"{record.milliseconds:,}"
        table.add_row(
            safe(record.name), state_text(record.outcome, record.code), megapixels, size_text(record.size), ms
        )
    return table
