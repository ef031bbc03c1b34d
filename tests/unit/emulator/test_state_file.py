"""The file of the emulator's state, and how its persistence ends."""

import os
import sqlite3
from pathlib import Path

import pytest

from emulator.server.state import StatePersistence
from emulator.server.state_file import Changes, StateFile

ROW = ("item", "table", "key")


def test_an_older_write_that_comes_late_does_not_undo_the_last_one(tmp_path: Path):
    """A thread that still has the save before the stop in hand finds the file closed, and leaves it alone."""
    file = StateFile(tmp_path / "state.db")
    file.write(Changes({ROW: b"first"}))
    file.end(Changes({ROW: b"last"}))
    file.write(Changes({ROW: b"older"}))
    assert [value for _, _, value in StateFile(tmp_path / "state.db").rows("item")] == [b"last"]


class Ended(Exception):
    """The process would have ended."""


@pytest.mark.parametrize("error", [RuntimeError("dictionary changed size"), sqlite3.OperationalError("full")])
def test_a_stop_that_cannot_save_says_so_whatever_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
):
    """uvicorn takes an error at the end for a good end; only the status tells."""

    def end(status: int) -> None:
        raise Ended(status)

    def fail() -> Changes:
        raise error

    persistence = StatePersistence(tmp_path)
    monkeypatch.setattr(persistence, "_collect", fail)
    monkeypatch.setattr("emulator.server.state.os._exit", end)
    with pytest.raises(Ended, match=str(os.EX_IOERR)):
        persistence.close()
