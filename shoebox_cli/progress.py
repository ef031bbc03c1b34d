"""Shows an upload on stderr: live bars where people look, a line now and then where a log is written."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from console.output import Output, plural, safe, size_text
from shoebox_client import events
from shoebox_client.records import Outcome, Record

_REFRESH = 0.1
_LINE_SECONDS = 5.0


@dataclass(slots=True)
class Tally:
    """Counts of files and bytes so far; `bytes_total` is what has to go out, as far as is known."""

    found: int = 0
    all_found: bool = False
    hashed: int = 0
    stored: int = 0
    finished: int = 0
    bytes_total: int = 0
    bytes_sent: int = 0
    _following: set[Record] = field(default_factory=set)

    def __call__(self, event: events.Event) -> None:
        """Take in an event."""
        match event:
            case events.FileFound(record):
                self.found += 1
                self.bytes_total += record.size
            case events.WalkFinished():
                self.all_found = True
            case events.FileHashed():
                self.hashed += 1
            case events.BytesSent(_, count):
                self.bytes_sent += count
            case events.FileStored(record):
                self.stored += 1
                self._following.add(record)
            case events.FileFinished(record):
                self.finished += 1
                if record in self._following:
                    self._following.discard(record)
                elif record.outcome is not Outcome.UNFINISHED or record.already_stored or record.duplicate_of:
                    self.bytes_total -= record.size  # none of its bytes have to go out

    @property
    def processing(self) -> int:
        """Files that are stored and not yet looked at."""
        return len(self._following)


@asynccontextmanager
async def shown(output: Output, *, wait: bool = True) -> AsyncIterator[events.Listener]:
    """Show the events of the listener that it gives, to the end of the block. `wait`: the processing is shown, too."""
    if not output.progress:
        yield events.ignore
        return
    tally = Tally()
    retries = RetryLines()

    def listen(event: events.Event) -> None:
        tally(event)
        if isinstance(event, events.RetryScheduled) and (line := retries.line(event)):
            output.say(line)

    show = _Bars(tally, output, wait=wait).run() if output.stderr.is_terminal else lines(tally, output)
    task = asyncio.create_task(show)
    try:
        yield listen
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


class RetryLines:
    """Says what is being tried again, and for how long already, without a line for each of many files."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._next = 0.0

    def line(self, event: events.RetryScheduled) -> str | None:
        """Return a line in rich's markup; None if one was given a moment ago."""
        if self._clock() < self._next:
            return None
        self._next = self._clock() + _LINE_SECONDS
        name = f"{safe(event.record.name)}: " if event.record else ""
        lasting = f" for {event.since:.0f} s" if event.since >= 1 else ""
        return f"[yellow]↻[/yellow] {name}trying again{lasting}. {safe(event.detail)}"


async def lines(tally: Tally, output: Output, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
    """Say how far the upload is, now and then.

    A line that would say nothing new is left out: `--watch` may wait for days, and would fill the log.
    """
    said = _line(tally)
    while True:
        await sleep(_LINE_SECONDS)
        line = _line(tally)
        if line != said:
            output.say(line)
        said = line


def _line(tally: Tally) -> str:
    return (
        f"… {tally.found} found, {tally.stored} stored "
        f"({size_text(tally.bytes_sent)} of {size_text(tally.bytes_total)}), "
        f"{tally.processing} being processed, {tally.finished} done"
    )


class _Bars:
    """Three bars: files read, bytes uploaded, files processed."""

    def __init__(self, tally: Tally, output: Output, *, wait: bool) -> None:
        self._tally = tally
        self._progress = Progress(
            TextColumn("{task.description:<10}"),
            BarColumn(),
            TextColumn("{task.fields[text]}"),
            _Rate(),
            TimeRemainingColumn(compact=True),
            console=output.stderr,
            transient=True,
        )
        self._reading = self._progress.add_task("Reading", total=None, text="")
        self._uploading = self._progress.add_task("Uploading", total=None, text="", in_bytes=True)
        self._processing = self._progress.add_task("Processing", total=None, text="", visible=wait)

    async def run(self) -> None:
        """Show the tally until cancelled, and once more at the end."""
        with self._progress:
            try:
                while True:
                    self._update()
                    await asyncio.sleep(_REFRESH)
            finally:
                self._update()

    def _update(self) -> None:
        tally, update = self._tally, self._progress.update
        of_all = f"of {plural(tally.found, 'file')}" if tally.all_found else f"of {tally.found:,}+ files"
        total = tally.found if tally.all_found else None
        sent = f"{size_text(tally.bytes_sent)} of {size_text(tally.bytes_total)}"
        update(self._reading, completed=tally.hashed, total=total, text=f"{tally.hashed} {of_all}")
        update(self._uploading, completed=tally.bytes_sent, total=max(tally.bytes_total, 1), text=sent)
        update(self._processing, completed=tally.finished, total=total, text=f"{tally.finished} {of_all}")


class _Rate(ProgressColumn):
    """Bytes a second, where bytes are counted."""

    def render(self, task: Task) -> Text:
        if not task.fields.get("in_bytes") or task.speed is None:
            return Text("")
        return Text(f"{size_text(task.speed)}/s", style="progress.data.speed")
