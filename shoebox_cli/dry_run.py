"""`shoebox upload --dry-run`: what would be uploaded, without a service."""

from __future__ import annotations

from pathlib import Path

from console.output import DataTable, Output, plural, safe, size_text
from shoebox_client.exclusion import Exclusion
from shoebox_client.walk import LeftOut, Picture, Unreadable, walk


def show(paths: list[Path], output: Output, *, recursive: bool, exclusion: Exclusion) -> None:
    """List what would be uploaded, what would be left out, and what cannot be read."""
    things = list(walk(paths, recursive=recursive, exclusion=exclusion))
    found = [thing for thing in things if isinstance(thing, Picture)]
    left_out = [thing for thing in things if isinstance(thing, LeftOut)]
    unreadable = [thing for thing in things if isinstance(thing, Unreadable)]
    if output.json:
        output.document(
            {
                "files": [{"path": str(f.path), "size": f.size, "content_type": f.content_type} for f in found],
                "left_out": [{"path": str(s.path), "reason": s.reason} for s in left_out],
                "unreadable": [{"path": str(u.path), "detail": u.detail} for u in unreadable],
            }
        )
        return
    table = DataTable(("path", "type", "size"), right=("size",), whole=("size",), drop=("type", "size"))
    for thing in found:
        table.add_row(safe(str(thing.path)), thing.content_type, size_text(thing.size))
    output.table(table)
    for skipped in left_out:
        output.say(f"[dim]Left out: {safe(str(skipped.path))} ({skipped.reason})[/dim]")
    for bad in unreadable:
        output.say(f"[red]✗[/red] {safe(str(bad.path))} cannot be read: {safe(bad.detail)}")
    total = sum(thing.size for thing in found)
    output.say(f"Would upload {plural(len(found), 'photo')}, {size_text(total)}. Nothing was sent.")
