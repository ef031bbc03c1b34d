"""The table of invocations in flight, and how slots are shared out."""

import asyncio
from pathlib import Path

import pytest

from workers.runtime.http1 import Response
from workers.runtime.protocol import InFlightInvocation, Invocation
from workers.runtime.supervisor import WorkerProcess, split_slots
from workers.runtime.worker import InFlightTable, in_flight_file


def invocation(request_id: str, nonce: str | None = None) -> Invocation:
    """Return what `next` brought."""
    headers = {"lambda-runtime-aws-request-id": request_id, "lambda-runtime-invocation-id": nonce or ""}
    return Invocation.parse(Response(200, headers, b"{}", keep_alive=True))


@pytest.mark.parametrize(
    ("slots", "processes", "expected"),
    [(64, 4, [16, 16, 16, 16]), (7, 3, [3, 2, 2]), (2, 2, [1, 1]), (1, 1, [1]), (1600, 64, [25] * 64)],
)
def test_split_slots(slots: int, processes: int, expected: list[int]) -> None:
    """As even as can be; nothing is lost, nobody is idle."""
    assert split_slots(slots, processes) == expected


def test_both_sides_see_the_same() -> None:
    """What one side of the file notes, the other reads: taken, reported, taken again."""
    with in_flight_file(3) as file:
        theirs, ours = InFlightTable(file.fileno(), 3), InFlightTable(file.fileno(), 3)
        first, last = theirs.entry(0), theirs.entry(2)
        assert ours.invocations() == []
        first.begin(invocation("8f5a1e6c-3d5b-4a0e-9a51-0e5a3f9c1d11", "n" * 36))
        last.begin(invocation("r-3"))
        expected = InFlightInvocation("8f5a1e6c-3d5b-4a0e-9a51-0e5a3f9c1d11", "n" * 36)
        assert ours.invocations() == [expected, InFlightInvocation("r-3")]
        first.end()
        assert ours.invocations() == [InFlightInvocation("r-3")]
        first.begin(invocation("r-4", "m"))
        assert ours.invocations() == [InFlightInvocation("r-4", "m"), InFlightInvocation("r-3")]


def test_an_id_that_does_not_fit_is_not_noted() -> None:
    """It must not spill into the next slot's entry."""
    with in_flight_file(2) as file:
        table = InFlightTable(file.fileno(), 2)
        table.entry(1).begin(invocation("r-2"))
        table.entry(0).begin(invocation("r" * 255))
        assert table.invocations() == [InFlightInvocation("r-2")]


def open_descriptors() -> set[Path]:
    """Return this process's open file descriptors."""
    return set(Path("/proc/self/fd").iterdir())


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts descriptors in /proc")
async def test_a_process_that_cannot_start_leaves_no_descriptor_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """The supervisor tries again for as long as it lives."""

    async def refuse(*_: object, **__: object) -> None:
        raise OSError("no more processes")

    monkeypatch.setattr(asyncio, "create_subprocess_exec", refuse)
    before = open_descriptors()

    with pytest.raises(OSError, match="no more processes"):
        await WorkerProcess.start(0, 2)

    assert open_descriptors() == before
