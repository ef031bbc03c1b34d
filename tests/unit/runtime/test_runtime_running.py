"""The table of running invocations, and how slots are shared out."""

import pytest

from workers.runtime.http1 import Response
from workers.runtime.protocol import Invocation
from workers.runtime.running import RunningTable, Unanswered, shares, table_file


def invocation(request_id: str, nonce: str | None = None) -> Invocation:
    """What `next` brought."""
    headers = {"lambda-runtime-aws-request-id": request_id, "lambda-runtime-invocation-id": nonce or ""}
    return Invocation.parse(Response(200, headers, b"{}", keep_alive=True))


@pytest.mark.parametrize(
    ("slots", "processes", "expected"),
    [(64, 4, [16, 16, 16, 16]), (7, 3, [3, 2, 2]), (2, 2, [1, 1]), (1, 1, [1]), (1600, 64, [25] * 64)],
)
def test_shares(slots: int, processes: int, expected: list[int]) -> None:
    """As even as can be; nothing is lost, nobody is idle."""
    assert list(shares(slots, processes)) == expected


def test_both_sides_see_the_same() -> None:
    """What one side of the file notes, the other reads: taken, answered, taken again."""
    with table_file(3) as file:
        theirs, ours = RunningTable(file.fileno(), 3), RunningTable(file.fileno(), 3)
        first, last = theirs.row(0), theirs.row(2)
        assert ours.unanswered() == []
        first.begin(invocation("8f5a1e6c-3d5b-4a0e-9a51-0e5a3f9c1d11", "n" * 36))
        last.begin(invocation("r-3"))
        expected = Unanswered("8f5a1e6c-3d5b-4a0e-9a51-0e5a3f9c1d11", "n" * 36)
        assert ours.unanswered() == [expected, Unanswered("r-3")]
        first.end()
        assert ours.unanswered() == [Unanswered("r-3")]
        first.begin(invocation("r-4", "m"))
        assert ours.unanswered() == [Unanswered("r-4", "m"), Unanswered("r-3")]


def test_an_id_that_does_not_fit_is_not_noted() -> None:
    """It must not spill into the next slot's row."""
    with table_file(2) as file:
        table = RunningTable(file.fileno(), 2)
        table.row(1).begin(invocation("r-2"))
        table.row(0).begin(invocation("r" * 255))
        assert table.unanswered() == [Unanswered("r-2")]
