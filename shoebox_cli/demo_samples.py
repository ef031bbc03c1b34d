"""The demo's sample photos: made once, and kept with a note of what each must come to."""

from __future__ import annotations

import asyncio
import hashlib
import json
from dataclasses import asdict
from pathlib import Path

import shoebox_client.samples
from console.output import Output, safe
from shoebox_cli.local import Steps
from shoebox_client.samples import Sample, write_samples


async def samples(folder: Path, output: Output, *, small: bool) -> list[Sample]:
    """The samples in `folder`; made when they are not there, or were made by another version."""
    place = folder / ("small" if small else "full")
    if kept := _kept(place):
        output.say(f"[green]✓[/green] {len(kept)} sample photos from {safe(str(place))}")
        return kept
    with Steps(output) as steps:
        steps.begin("Making sample photos from formulas")
        made = await asyncio.to_thread(write_samples, place, small=small)
        _note(place).write_text(json.dumps({"version": _version(), "samples": [_entry(s) for s in made]}))
        steps.done(f"{len(made)} sample photos in {safe(str(place))}")
    return made


def _kept(place: Path) -> list[Sample] | None:
    """The samples that lie there, whole and of this version."""
    try:
        note = json.loads(_note(place).read_text())
        found = [Sample(place / e["name"], e["media_type"], e["state"], e["reason"]) for e in note["samples"]]
        whole = all(s.path.stat().st_size == e["size"] for s, e in zip(found, note["samples"], strict=True))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if whole and note.get("version") == _version() else None


def _entry(sample: Sample) -> dict[str, object]:
    return {**asdict(sample), "path": None, "name": sample.path.name, "size": sample.path.stat().st_size}


def _note(place: Path) -> Path:
    return place.with_suffix(".json")


def _version() -> str:
    return hashlib.sha256(Path(shoebox_client.samples.__file__).read_bytes()).hexdigest()[:16]
