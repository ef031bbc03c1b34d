"""A command's output: data on stdout, messages on stderr; with `--json` stdout holds one JSON document only.

Nothing that is written can fail for its characters: `prepare_streams` lets both streams take what their encoding
lacks, and a document is made of characters that every encoding has.
"""

from __future__ import annotations

import codecs
import json
import math
import os
import re
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from io import TextIOWrapper
from typing import TYPE_CHECKING, Any, Literal

from shoebox_client.names import as_unicode

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_READABLE_WIDTH = 10  # columns are left out until each of the others has so much room
_MIN_WIDTH = 5  # and then shortened down to this
_GAP = 2  # columns of text between two columns of a table
_SUBSTITUTES = str.maketrans(
    {"✓": "+", "✗": "x", "→": "->", "↻": "~", "■": "#", "█": "#", "▏": "|", "…": "...", "·": "-", "–": "-", "×": "x"}
    | {"’": "'", "≤": "<=", "≥": ">=", "∞": "unlimited"}
)


def prepare_streams() -> None:
    """Let stdout and stderr take any text: a character that their encoding lacks is replaced by a similar one, or "?".

    A stream that the caller has closed (`>&-`), which Python has as None, leads nowhere.
    """
    codecs.register_error("shoebox", _replaced)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123 - as long as the process
        elif isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="shoebox")


def _replaced(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end].translate(_SUBSTITUTES)
    return text.encode("ascii", "replace").decode(), error.end


class Output:
    """Where a command writes. rich leaves colours out where NO_COLOR is set, or the stream is no terminal."""

    def __init__(self, *, json: bool = False, quiet: bool = False, progress: bool = True) -> None:
        self.json = json
        self.quiet = quiet
        self.progress = progress and not quiet
        self._stderr: Console | None = None

    @property
    def stderr(self) -> Console:
        """The console on stderr."""
        from rich.console import Console

        if self._stderr is None:
            self._stderr = Console(stderr=True, highlight=False, soft_wrap=True)
        return self._stderr

    def say(self, text: str) -> None:
        """Tell people something, unless they want quiet. rich's markup is understood."""
        if not self.quiet:
            self.stderr.print(text)

    def error(self, message: str, hint: str = "") -> None:
        """Tell people what went wrong and what to do, quiet or not."""
        lines = [safe(line) for line in message.splitlines()]
        self.stderr.print("[red]✗[/red] " + "\n  ".join(lines))
        if hint:
            self.stderr.print(f"  [cyan]→[/cyan] {safe(hint)}")

    def document(self, document: Any) -> None:
        """Write a JSON document to stdout."""
        import orjson

        self._json(orjson.dumps(_cleaned(document), option=orjson.OPT_INDENT_2))

    def record(self, record: Any) -> None:
        """Write a JSON document to stdout in one line, of which there are many."""
        import orjson

        self._json(orjson.dumps(_cleaned(record)))

    def _json(self, document: bytes) -> None:
        """Where stdout's encoding is none of Unicode's, all that is not ASCII is escaped, which JSON means the same."""
        text = document.decode()
        if not (sys.stdout.encoding or "utf-8").lower().startswith("utf"):
            text = re.sub(r"[^\0-\x7f]", lambda found: json.dumps(found[0])[1:-1], text)
        self.line(text)

    def line(self, text: str) -> None:
        """Write a line of data to stdout, as it is."""
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    def markup(self, text: str) -> None:
        """Write a line of data to stdout; rich's markup is understood."""
        from rich.console import Console

        Console(file=sys.stdout, highlight=False, soft_wrap=True).print(text)

    def table(self, table: DataTable) -> None:
        """Write a table to stdout: as wide as the terminal, or, where a program reads it, as wide as it is."""
        from rich.console import Console

        terminal = Console(file=sys.stdout, highlight=False)
        fitted, width = table.fitted(terminal.width if sys.stdout.isatty() else None)
        terminal.width = width
        terminal.print(fitted)


@dataclass
class DataTable:
    """A plain table, whose cells are rich's markup and one line each.

    On a terminal that is too narrow the columns of `drop` are left out, the first one first. Then columns are
    shortened, the widest first, but for those of `whole`: an id that is folded or cut cannot be copied. Those of
    `right` hold numbers.
    """

    columns: tuple[str, ...]
    right: Collection[str] = ()
    whole: Collection[str] = ()
    drop: Sequence[str] = ()
    rows: list[tuple[str, ...]] = field(default_factory=list)

    def add_row(self, *cells: str) -> None:
        """Add a row: a cell for each column."""
        self.rows.append(cells)

    def fitted(self, width: int | None) -> tuple[Table, int]:
        """Return the table for a terminal of `width` columns, None for any, and its own width, which may be more."""
        from rich.box import SIMPLE_HEAD
        from rich.table import Table

        widths = self._widths(math.inf if width is None else width)
        table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False, collapse_padding=True)
        for column, fitting in widths.items():
            justify: Literal["left", "right"] = "right" if column in self.right else "left"
            table.add_column(safe(column), justify=justify, width=fitting, no_wrap=True, overflow="ellipsis")
        for row in self.rows:
            table.add_row(*(cell for column, cell in zip(self.columns, row, strict=True) if column in widths))
        return table, _full(widths)

    def _widths(self, max_width: float) -> dict[str, int]:
        """Return the columns that are shown, with their widths."""
        from rich.text import Text

        cells = zip(self.columns, *self.rows, strict=True)
        natural = {
            name: max(Text.from_markup(cell).cell_len for cell in (safe(name), *column)) for name, *column in cells
        }
        min_widths = {name: n if name in self.whole else min(n, _READABLE_WIDTH) for name, n in natural.items()}
        for name in self.drop:
            if _full(min_widths) > max_width:
                del natural[name], min_widths[name]
        text = natural.keys() - set(self.whole)
        while _full(natural) > max_width and (longer := [name for name in text if natural[name] > _MIN_WIDTH]):
            natural[max(longer, key=natural.__getitem__)] -= 1
        return natural


def _full(widths: Mapping[str, int]) -> int:
    return sum(widths.values()) + _GAP * (len(widths) - 1)


def plural(count: int, noun: str) -> str:
    """Write a count with its noun: 1 photo, 1,200 photos."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def state_text(state: str, reason: str | None = None) -> str:
    """Write a state in its colour, with the reason where there is one, as rich's markup."""
    colour = {"READY": "green", "REJECTED": "yellow", "FAILED": "red", "UNFINISHED": "red"}.get(state, "cyan")
    return f"[{colour}]{state}[/{colour}]" + (f" {safe(reason)}" if reason else "")


def safe(text: str) -> str:
    """Escape somebody's text for rich's markup: its brackets mean nothing, and it cannot steer the terminal."""
    from rich.markup import escape

    return escape("".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text))


def size_text(size: int | float) -> str:
    """Write bytes for people, by powers of 1000 as in SI: 1.2 MB. The gallery does the same (api/static/words.js)."""
    if math.floor(size + 0.5) < 1000:
        return f"{math.floor(size + 0.5)} B"
    for power, unit in enumerate(("kB", "MB", "GB", "TB"), 1):
        tenths = math.floor(size / 1000**power * 10 + 0.5)
        if tenths < 10_000 or unit == "TB":  # what would be rounded to 1000 has the next unit
            return f"{tenths / 10:.1f} {unit}"
    raise AssertionError("unreachable: the last unit takes all")


def number_text(value: float | None) -> str:
    """Write a number whole, or with two digits where it is small; ∞ where it is infinite, which JSON writes as null."""
    if value is None or value == float("inf"):
        return "∞"
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:,.2f}"


def _cleaned(value: Any) -> Any:
    """Return a document whose strings can be encoded, paths of any bytes too."""
    if isinstance(value, dict):
        return {_cleaned(key): _cleaned(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_cleaned(each) for each in value]
    return as_unicode(value) if isinstance(value, str) else value
