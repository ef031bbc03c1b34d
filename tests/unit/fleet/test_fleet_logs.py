import asyncio
from pathlib import Path

from fleet.logs import FunctionLog, pump


def test_a_log_is_bounded_and_keeps_the_newest_lines(tmp_path: Path):
    """At its size it is set aside once, and the one before that is gone."""
    with FunctionLog(tmp_path / "logs", "api", most=10) as log:
        for line in (b"first\n", b"second\n", b"third\n"):
            log.write(line)
    assert log.path.read_bytes() == b"third\n"
    assert log.path.with_suffix(".log.1").read_bytes() == b"second\n"


def test_a_log_goes_on_where_it_was(tmp_path: Path):
    """A fleet that starts again appends."""
    for line in (b"one\n", b"two\n"):
        with FunctionLog(tmp_path, "api", most=100) as log:
            log.write(line)
    assert (tmp_path / "api.log").read_bytes() == b"one\ntwo\n"


async def pumped(*chunks: bytes) -> list[bytes]:
    """What is written when these chunks come."""
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
