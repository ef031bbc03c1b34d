"""Data goes to stdout, talk to stderr; with `--json` stdout holds one JSON document and nothing else."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_PIPE_WIDTH = 200  # a table in a pipe is for grep: never folded to 80 columns


class Output:
    """Where a command writes. rich leaves colours out where NO_COLOR is set or nobody looks."""

    def __init__(self, *, json: bool = False, quiet: bool = False, progress: bool = True) -> None:
        self.json = json
        self.quiet = quiet
        self.progress = progress and not quiet
        self._talk: Console | None = None

    @property
    def talk(self) -> Console:
        """The console on stderr."""
        from rich.console import Console

        if self._talk is None:
            self._talk = Console(stderr=True, highlight=False, soft_wrap=True)
        return self._talk

    def say(self, text: str) -> None:
        """Tell people something, unless they want quiet. rich's markup is understood."""
        if not self.quiet:
            self.talk.print(text)

    def error(self, message: str, hint: str = "") -> None:
        """Tell people what went wrong and what to do, quiet or not."""
        lines = [safe(line) for line in message.splitlines()]
        self.talk.print("[red]✗[/red] " + "\n  ".join(lines))
        if hint:
            self.talk.print(f"  [cyan]→[/cyan] {safe(hint)}")

    def document(self, document: Any) -> None:
        """Write a JSON document to stdout."""
        import orjson

        text = orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
        sys.stdout.write(text.decode())
        sys.stdout.flush()

    def line(self, text: str) -> None:
        """Write a line of data to stdout, as it is."""
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    def markup(self, text: str) -> None:
        """Write a line of data to stdout; rich's markup is understood."""
        from rich.console import Console

        Console(file=sys.stdout, highlight=False, soft_wrap=True).print(text)

    def table(self, table: Table) -> None:
        """Write a table to stdout."""
        from rich.console import Console

        width = None if sys.stdout.isatty() else _PIPE_WIDTH
        Console(file=sys.stdout, width=width, highlight=False).print(table)


def new_table(*columns: str, right: tuple[str, ...] = ()) -> Table:
    """A plain table; the columns named in `right` hold numbers."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    return table


def state_text(state: str, reason: str | None = None) -> str:
    """A state in its colour, with the reason where there is one, as rich's markup."""
    colour = {"READY": "green", "REJECTED": "yellow", "FAILED": "red", "UNFINISHED": "red"}.get(state, "cyan")
    return f"[{colour}]{state}[/{colour}]" + (f" {safe(reason)}" if reason else "")


def safe(text: str) -> str:
    """Somebody's text for rich's markup: its brackets mean nothing, and it cannot steer the terminal."""
    from rich.markup import escape

    return escape("".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text))


def size_text(size: int | float) -> str:
    """Bytes for people: 1.2 MB."""
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"


def number_text(value: float | None) -> str:
    """Whole, or with two digits where it is small; without limit where it is infinite, which JSON tells as null."""
    if value is None or value == float("inf"):
        return "∞"
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:,.2f}"
