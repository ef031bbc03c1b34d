"""The end of an invocation's log: bounded, and nobody else's."""

from fleet.environments.invocation import InvokeResult
from fleet.environments.log_tail import TAIL_BYTES, LogTail

RESULT = InvokeResult(b"{}")


def test_it_is_the_last_4_kb_whatever_is_printed():
    """In bytes, though a character may lose its first ones; nothing more is kept meanwhile."""
    tail = LogTail("r1", alone=True, init_seconds=None)
    for _ in range(100):
        tail.write("é".encode() * 30_000 + b"\xff\n")
        assert len(tail._lines) == TAIL_BYTES
    end = tail.end(RESULT, 1.0, 128, None)
    assert len(end) == TAIL_BYTES
    assert end.endswith(b"Memory Size: 128 MB\t\n")


def test_of_several_slots_only_lines_with_its_id_are_its_own():
    """Those of other invocations are not shown; a record in text format is one line with its traceback."""
    tail = LogTail("r1", alone=False, init_seconds=None)
    tail.write(b"secret of r2\n[ERROR]\tr1\tbroken\rTraceback\r  line 1\nof nobody\n")
    start, *lines = tail.end(RESULT, 1.0, 128, None).split(b"\n")
    assert start.startswith(b"START RequestId: r1")
    assert lines[:2] == [b"[ERROR]\tr1\tbroken\rTraceback\r  line 1", b"END RequestId: r1"]
