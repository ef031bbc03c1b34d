"""The output at the end of an upload, or of a `--dry-run`: a table and a summary line, or JSON."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from console.output import DataTable, Output, plural, safe, size_text, state_text
from shoebox_client.records import Outcome, Record, Report

if TYPE_CHECKING:
    from shoebox_client.exclusion import Exclusion

_MAX_ROWS = 200
_INTERESTING = {Outcome.REJECTED, Outcome.FAILED, Outcome.UNFINISHED}


def dry_run(paths: list[Path], output: Output, *, recursive: bool, exclusion: Exclusion) -> None:
    """Write what would be uploaded, what would be left out, and what cannot be read."""
    from shoebox_client.walk import LeftOut, Picture, Unreadable, walk

    items = list(walk(paths, recursive=recursive, exclusion=exclusion))
    pictures = [item for item in items if isinstance(item, Picture)]
    left_out = [item for item in items if isinstance(item, LeftOut)]
    unreadable = [item for item in items if isinstance(item, Unreadable)]
    if output.json:
        output.document(
            {
                "files": [{"path": str(f.path), "size": f.size, "content_type": f.content_type} for f in pictures],
                "left_out": [{"path": str(s.path), "reason": s.reason} for s in left_out],
                "unreadable": [{"path": str(u.path), "detail": u.detail} for u in unreadable],
            }
        )
        return
    table = DataTable(("path", "type", "size"), right=("size",), whole=("size",), drop=("type", "size"))
    for picture in pictures:
        table.add_row(safe(str(picture.path)), picture.content_type, size_text(picture.size))
    output.table(table)
    for item in left_out:
        output.say(f"[dim]Left out: {safe(str(item.path))} ({item.reason})[/dim]")
    for error in unreadable:
        output.say(f"[red]✗[/red] {safe(str(error.path))} cannot be read: {safe(error.detail)}")
    total = sum(picture.size for picture in pictures)
    output.say(f"Would upload {plural(len(pictures), 'photo')}, {size_text(total)}. Nothing was sent.")


def finished(record: Record, output: Output) -> None:
    """Write a line about a photo of a run that has no end."""
    if output.json:
        output.record(record.document())
    else:
        why = f": {safe(record.detail)}" if record.detail else ""
        output.markup(f"{state_text(record.outcome, record.code)} {safe(str(record.path))}{why}")


def watched(report: Report, output: Output) -> None:
    """End a run that has none by itself: what it left undone, and a summary of all of it."""
    for record in report.records:
        if not record.finished:
            finished(record, output)
    if output.json:
        output.record({"summary": report.summary()})
    _left_out(report, output)
    output.say(summary_line(report))


def show(report: Report, output: Output) -> None:
    """Write the whole report."""
    if output.json:
        output.document(document(report))
        return
    _left_out(report, output)
    rows = report.records
    if len(rows) > _MAX_ROWS:  # only those that somebody must look at
        rows = [record for record in rows if record.outcome in _INTERESTING]
    if rows:
        _table(rows, output)
    hidden = len(report.records) - len(rows)
    if hidden:
        output.say(f"[dim]Well, and not listed: {plural(hidden, 'photo')}; --json lists all.[/dim]")
    output.say(summary_line(report))


def interrupted(report: Report, output: Output) -> None:
    """Say how far a run came that was cut off, and how to go on."""
    if output.json:
        output.document(document(report, interrupted=True))
    if not report.records:
        return
    stored = sum(record.stored for record in report.records)
    output.say(
        f"[yellow]■[/yellow] Stopped: of {plural(len(report.records), 'photo')} found so far, {stored:,} stored. "
        "Run the same command again to go on; what is stored is not sent again."
    )


def document(report: Report, *, interrupted: bool = False) -> dict[str, Any]:
    """Return the report as JSON; docs/reference/cli.md describes it."""
    return {
        "files": [record.document() for record in report.records],
        "left_out": [{"path": str(path), "reason": reason} for path, reason in report.left_out],
        "interrupted": interrupted,
        "summary": report.summary(),
    }


def summary_line(report: Report, *, well: bool | None = None) -> str:
    """Return counts, bytes, time and rate, for people; `well` decides the mark where success is something else."""
    summary = report.summary()
    counts = [f"{summary[o.value.lower()]} {o.value.lower()}" for o in Outcome if summary[o.value.lower()]]
    notes = [
        *([f"{summary['already_stored']} already stored"] if summary["already_stored"] else []),
        *([plural(summary["duplicates"], "duplicate")] if summary["duplicates"] else []),
    ]
    mark = "[green]✓[/green]" if (report.succeeded if well is None else well) else "[red]✗[/red]"
    return (
        f"{mark} {plural(summary['files'], 'photo')}: {', '.join(counts) or 'none'}"
        + (f" ({', '.join(notes)})" if notes else "")
        + f"; {size_text(report.bytes_sent)} sent in {report.seconds:.1f} s, "
        f"{summary['files_per_second']:.1f} photos/s"
    )


def _left_out(report: Report, output: Output) -> None:
    if report.left_out:
        reasons = Counter(reason for _, reason in report.left_out)
        said = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
        examples = ", ".join(path.name for path, _ in report.left_out[:3])
        output.say(f"[dim]Left out: {said} ({safe(examples)}{', …' if len(report.left_out) > 3 else ''})[/dim]")


def _table(records: list[Record], output: Output) -> None:
    table = DataTable(("name", "state", "size", "ms"), right=("size", "ms"), whole=("size", "ms"), drop=("ms", "size"))
    for record in records:
        notes = " [dim]already stored[/dim]" if record.already_stored else ""
        notes += f" [dim]same as {safe(record.duplicate_of.name)}[/dim]" if record.duplicate_of else ""
        notes += f" [dim]{safe(', '.join(record.warnings))}[/dim]" if record.warnings else ""
        state = state_text(record.outcome, record.code) + notes
        ms = "" if record.milliseconds is None else str(record.milliseconds)
        table.add_row(safe(record.name), state, size_text(record.size), ms)
        if record.outcome is Outcome.FAILED and record.detail:
            output.say(f"[red]✗[/red] {safe(record.name)}: {safe(record.detail)}")
    output.table(table)
