"""The live view of a run on stderr: a screen where somebody looks, a line now and then where a log is written."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from console.output import number_text
from load_tests.records import Outcome, Records
from load_tests.report.verdict import verdict_of
from load_tests.results import Results
from load_tests.scenarios import Plan

_LINE_EVERY = 10.0
_WINDOW = 10.0


@dataclass(frozen=True, slots=True)
class Moment:
    """The run `t` seconds after its start. `cpu`: of the busiest of the generator's `processes`, in per cent.

    `stack`: what the stack reports, as names and texts.
    """

    t: float
    records: Records
    calls: int
    failed: int
    cpu: float
    processes: int = 1
    stack: Sequence[tuple[str, str]] = ()


class LiveView:
    """Shows moments as they come."""

    def __init__(self, plan: Plan, console: Console | None = None) -> None:
        self._plan = plan
        self._console = console or Console(stderr=True, highlight=False)
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._recent: deque[tuple[float, Counter[str]]] = deque()
        self._next_line = 0.0
        if self._console.is_terminal:
            self._live.start()

    def show(self, moment: Moment) -> None:
        """Show the run at this moment."""
        counts = Counter(record.outcome for record in moment.records.photos)
        self._recent.append((moment.t, counts))
        while moment.t - self._recent[0][0] > _WINDOW:
            self._recent.popleft()
        if self._console.is_terminal:
            self._live.update(self._screen(moment, counts), refresh=True)
        elif moment.t >= self._next_line:
            self._next_line = moment.t + _LINE_EVERY
            line = "  ".join(f"{name} {text}" for name, text in self._facts(moment, counts))
            self._console.print(line, soft_wrap=True)

    def close(self) -> None:
        """Restore the screen."""
        if self._live.is_started:
            self._live.stop()

    def verdict(self, results: Results, folder: Path) -> None:
        """Print how the run ended, threshold by threshold."""
        table = Table.grid(padding=(0, 2))
        for threshold in results.thresholds:
            mark = Text("✓", "green") if threshold.ok else Text("✗", "red")
            value = "–" if threshold.value is None else number_text(threshold.value)
            value += f" ({threshold.note})" if threshold.note else ""
            wanted = f"{threshold.metric} {threshold.operator} {threshold.bound:g}"
            table.add_row(mark, wanted, Text(value, justify="right"))
        self._console.print(table)
        for reason in results.invalid:
            self._console.print(Text(f"✗ Invalid: {reason}", "red"))
        self._console.print(Text(verdict_of(results).sentence), soft_wrap=True)
        word = "invalid" if results.invalid else "passed" if results.passed else "failed"
        self._console.print(f"{results.scenario} {word}: {folder / 'report.html'}", soft_wrap=True)

    def _screen(self, moment: Moment, counts: Counter[str]) -> Group:
        total = self._plan.seconds
        table = Table.grid(padding=(0, 2))
        for name, text in self._facts(moment, counts):
            table.add_row(Text(name, "dim"), text)
        title = Text(f"{self._plan.scenario.title}, {self._plan.quotas}", "bold")
        return Group(title, ProgressBar(total, min(moment.t, total), width=60), table)

    def _facts(self, moment: Moment, counts: Counter[str]) -> list[tuple[str, str]]:
        rate = self._plan.shape.rate(moment.t)
        then, before = self._recent[0]
        span = moment.t - then
        ready = (counts[Outcome.READY] - before[Outcome.READY]) / span if span else 0.0
        left = max(0.0, self._plan.seconds - moment.t)
        facts = [
            ("time", f"{moment.t:.0f} s, {f'{left:.0f} s to go' if left else 'waiting for the last photos'}"),
            ("photos/s", f"{rate:.1f} offered, {ready:.1f} ready"),
            (
                "photos",
                f"{counts[Outcome.READY]:,} ready, {counts[Outcome.REJECTED]:,} rejected,"
                f" {counts[Outcome.REFUSED]:,} refused",
            ),
            ("calls", f"{moment.calls:,}, {moment.failed:,} failed"),
            ("generator", f"{moment.cpu:.0f} % CPU" + (f", the busiest of {n}" if (n := moment.processes) > 1 else "")),
        ]
        return [*facts, *moment.stack]
