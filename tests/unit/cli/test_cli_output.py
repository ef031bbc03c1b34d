"""What a command writes: JSON and tables on every encoding and width, counts and sizes in words."""

from __future__ import annotations

import io
import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
from command import shoebox

from console.output import DataTable, Output, plural, prepare_streams, size_text
from shoebox_cli.files import _table

ENCODINGS = ["utf-8", "latin-1", "ascii", "cp1252"]
ODD = "caf\udce9 日本 ✓ \N{ROMAN NUMERAL ONE}.jpg"
SIZES = json.loads((Path(__file__).parents[2] / "fixtures" / "sizes.json").read_text())
ID = "f2ekcdgrbl3hwpgqoy6yfqd2o7vhnumux"
WHEN = "2026-11-23T12:00:00.123Z"
FILES = [
    {"file_id": ID, "name": "A holiday by the sea.jpg", "state": "READY", "size": 31_372, "registered_at": WHEN},
    {
        "file_id": ID[::-1],
        "name": "b.jpg",
        "state": "REJECTED",
        "reason": "too_many_pixels",
        "size": 5,
        "registered_at": WHEN,
    },
]


class Stream(io.TextIOWrapper):
    """A stdout of an encoding, which may be a terminal."""

    def __init__(self, encoding: str = "utf-8", *, terminal: bool = False) -> None:
        self.bytes = io.BytesIO()
        self._terminal = terminal
        super().__init__(self.bytes, encoding=encoding)

    def isatty(self) -> bool:
        """As asked for."""
        return self._terminal

    def text(self) -> str:
        """Return what was written, without colours."""
        self.flush()
        return re.sub(r"\x1b\[[\d;]*m", "", self.bytes.getvalue().decode(self.encoding))


@contextmanager
def streams(encoding: str) -> Iterator[tuple[Stream, Stream]]:
    """stdout and stderr of an encoding, prepared as the command does."""
    made = Stream(encoding), Stream(encoding)
    with redirect_stdout(made[0]), redirect_stderr(made[1]):
        prepare_streams()
        yield made


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_json_is_the_same_on_every_encoding(encoding: str) -> None:
    """A name of any bytes is text: what is no UTF-8 is a replacement character; infinity is null."""
    with streams(encoding) as (stdout, _):
        Output().document({"name": ODD, "deep": [{ODD: (1, float("inf"))}]})
        Output().record({"name": ODD})

    document, _, line = stdout.text().rpartition("}\n{")
    name = ODD.replace("\udce9", "\ufffd")
    assert json.loads(document + "}") == {"name": name, "deep": [{name: [1, None]}]}
    assert json.loads("{" + line) == {"name": name}


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_text_can_be_written_on_every_encoding(encoding: str) -> None:
    """A character that the encoding lacks has a substitute: in tables, lines, talk and errors."""
    table = DataTable(("name",))
    table.add_row("✓ ä 日")
    with streams(encoding) as (stdout, stderr):
        output = Output()
        output.table(table)
        output.line(ODD)
        output.markup("✗")
        output.say("… 日")
        output.error(ODD, ODD)

    assert ("✓" in stdout.text()) is (encoding == "utf-8")
    assert ("ä" in stdout.text()) is (encoding != "ascii")
    assert stderr.text().count("caf") == 2


def test_closed_streams_lead_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """`>&-` closes a stream; Python has None in its place."""
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    prepare_streams()

    Output().document({})
    Output().error("x")


@pytest.mark.parametrize(
    ("columns", "header"),
    [
        (20, ["id", "state"]),
        (40, ["id", "state"]),
        (60, ["id", "name", "state"]),
        (80, ["id", "name", "state", "size"]),
        (120, ["id", "name", "state", "size", "registered"]),
        (None, ["id", "name", "state", "size", "registered"]),
    ],
)
def test_ids_are_whole_at_every_width(columns: int | None, header: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A narrow terminal has fewer and shorter columns, each file is one line; a pipe has all of everything."""
    monkeypatch.setenv("COLUMNS", str(columns or 40))

    with redirect_stdout(Stream(terminal=columns is not None)) as stdout:
        Output().table(_table(FILES))

    first, _, *rows = stdout.text().splitlines()
    assert first.split() == header
    assert [row.split()[0] for row in rows] == [file["file_id"] for file in FILES]
    if columns is None:
        assert "A holiday by the sea.jpg" in rows[0]
        assert "REJECTED too_many_pixels" in rows[1]
    elif columns > 33:
        assert max(map(len, rows)) <= columns


@pytest.mark.parametrize(("count", "text"), [(0, "0 photos"), (1, "1 photo"), (2, "2 photos"), (1200, "1,200 photos")])
def test_counts_agree_with_their_noun(count: int, text: str) -> None:
    """One photo is no photos."""
    assert plural(count, "photo") == text


@pytest.mark.parametrize(("size", "text"), SIZES)
def test_sizes_are_by_thousands(size: float, text: str) -> None:
    """The page has the same table (tests/page/test_gallery_modules.py)."""
    assert size_text(size) == text


async def test_the_version_is_one_line(tmp_path: Path) -> None:
    """Name, version and Python, for a bug report; from any folder."""
    ended = await shoebox("--version", folder=tmp_path)

    assert ended.code == 0
    assert re.fullmatch(r"shoebox \d+\.\d+\.\d+ \(Python \d+\.\d+\.\d+(, commit [0-9a-f]{12,}\+?)?\)\n", ended.stdout)
