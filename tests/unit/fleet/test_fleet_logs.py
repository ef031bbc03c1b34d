import asyncio
import errno
from pathlib import Path

import pytest

from fleet.logs import FunctionLog, pump


def test_a_log_is_bounded_and_keeps_the_newest_lines(tmp_path: Path):
    """At its size it is set aside once, and the one before that is gone."""
    with FunctionLog(tmp_path / "logs", "api", max_bytes=10) as log:
        for line in (b"first\n", b"second\n", b"third\n"):
            log.write(line)
    assert log.path.read_bytes() == b"third\n"
    assert log.path.with_suffix(".log.1").read_bytes() == b"second\n"


def test_a_log_goes_on_where_it_was(tmp_path: Path):
    """A fleet that starts again appends."""
    for line in (b"one\n", b"two\n"):
        with FunctionLog(tmp_path, "api", max_bytes=100) as log:
            log.write(line)
    assert (tmp_path / "api.log").read_bytes() == b"one\ntwo\n"


async def pumped(*chunks: bytes) -> list[bytes]:
    """Return what is written when these chunks come."""
    stream = asyncio.StreamReader()
    written: list[bytes] = []
    task = asyncio.create_task(pump(stream, written.append))
    for chunk in chunks:
        stream.feed_data(chunk)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    stream.feed_eof()
    await task
    return written


async def test_lines_are_written_whole():
    """A line that comes in pieces is put together; the last one gets its end."""
    assert await pumped(b"a\nb", b"c\nd") == [b"a\n", b"bc\n", b"d\n"]


async def test_a_line_without_end_is_cut():
    """Memory is bounded, whatever a function prints."""
    written = await pumped(*[b"x" * 50_000] * 4)
    assert max(map(len, written)) <= 2 * 65_536
    assert sum(map(len, written)) - len(written) == 200_000


class FullDisk:
    """A file on a disk that has no room left."""

    def write(self, _: bytes) -> int:
        """Raise what the kernel reports."""
        raise OSError(errno.ENOSPC, "No space left on device")

    def close(self) -> None:
        """As a file."""


def test_a_full_disk_stops_no_one_who_logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """What cannot be written is counted, and the log goes on where there is room again."""
    with FunctionLog(tmp_path, "api", max_bytes=100) as log:
        with monkeypatch.context() as full:
            full.setattr(log, "_file", FullDisk())
            log.write(b"lost\n")
        log.write(b"kept\n")
    assert (log.lost, log.path.read_bytes()) == (5, b"kept\n")


def test_a_log_that_cannot_be_set_aside_goes_on(tmp_path: Path):
    """There is always a file to write to, whatever a rotation meets."""
    with FunctionLog(tmp_path, "api", max_bytes=10) as log:
        log.write(b"first\n")
        (tmp_path / "api.log.1").mkdir()
        log.write(b"second\n")
        (tmp_path / "api.log.1").rmdir()
        log.write(b"third\n")
    assert (log.lost, log.path.read_bytes()) == (7, b"third\n")


def test_a_log_whose_new_file_could_not_be_opened_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The former one was set aside already: the next rotation finds nothing to set aside, and opens a new one."""

    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    with FunctionLog(tmp_path, "api", max_bytes=10) as log:
        log.write(b"0123456789\n")
        with monkeypatch.context() as busy:
            busy.setattr(Path, "open", fail)
            log.write(b"lost\n")
        log.write(b"kept\n")
    assert (log.lost, log.path.read_bytes()) == (5, b"kept\n")


async def test_a_pipe_is_read_on_when_nothing_can_be_written():
    """Whoever prints would wait for ever otherwise."""
    stream = asyncio.StreamReader()
    seen: list[bytes] = []

    def fail(lines: bytes) -> None:
        seen.append(lines)
        raise OSError(errno.ENOSPC, "No space left on device")

    stream.feed_data(b"a\nb")
    stream.feed_eof()
    await pump(stream, fail)
    assert seen == [b"a\n", b"b\n"]
