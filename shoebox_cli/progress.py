"""Shows an upload on stderr: live bars where people look, a line now and then where a log is written."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from console.output import Output, plural, safe, size_text
from shoebox_cli.tally import Tally
from shoebox_client import events

_REFRESH = 0.1
_LINE_SECONDS = 5.0


@asynccontextmanager
async def shown(output: Output, *, wait: bool = True) -> AsyncIterator[events.Listener]:
    """A listener whose events are shown while the `async with` lasts. `wait`: the processing is shown, too."""
    if not output.progress:
        yield events.ignore
        return
    tally = Tally()
    retries = RetryLines()

    def listen(event: events.Event) -> None:
        tally(event)
        if isinstance(event, events.RetryScheduled) and (line := retries.line(event)):
            output.say(line)

    show = _bars(tally, output, wait=wait) if output.talk.is_terminal else lines(tally, output)
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
        """A line in rich's markup; None if one was given a moment ago."""
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


async def _bars(tally: Tally, output: Output, *, wait: bool) -> None:
    bars = _Bars(tally, output, wait=wait)
    with bars.progress:
        try:
            while True:
                bars.update()
                await asyncio.sleep(_REFRESH)
        finally:
            bars.update()


class _Bars:
    """Three bars: files read, bytes uploaded, files processed."""

    def __init__(self, tally: Tally, output: Output, *, wait: bool) -> None:
        self._tally = tally
        self.progress = Progress(
            TextColumn("{task.description:<10}"),
            BarColumn(),
            TextColumn("{task.fields[text]}"),
            _Rate(),
            TimeRemainingColumn(compact=True),
            console=output.talk,
            transient=True,
        )
        self._reading = self.progress.add_task("Reading", total=None, text="")
        self._uploading = self.progress.add_task("Uploading", total=None, text="", in_bytes=True)
        self._processing = self.progress.add_task("Processing", total=None, text="", visible=wait)

    def update(self) -> None:
        """Show what the tally says now."""
        tally, update = self._tally, self.progress.update
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
