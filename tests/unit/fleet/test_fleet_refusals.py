"""Refused invocations are counted, and never in silence."""

from pathlib import Path

import pytest

from fleet.environments.refusals import Refusals
from fleet.metrics import Metrics


def test_the_first_refusal_is_logged_and_then_one_line_in_ten_seconds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """With how many there were meanwhile; each reason by itself; the metric has them all."""
    now = [0.0]
    metrics = Metrics(tmp_path)
    refusals = Refusals("api", metrics, lambda: now[0])
    for at in (0.0, 1.0, 9.9, 10.0):
        now[0] = at
        refusals.note("A")
    refusals.note("B")
    lines = [line for line in capsys.readouterr().out.splitlines() if "throttled" in line]
    assert [("reason=A" in line, "count=1" in line, "count=3" in line) for line in lines] == [
        (True, True, False),
        (True, False, True),
        (False, True, False),
    ]
    assert b'fleet_throttles_total{function="api",reason="A"} 4.0' in metrics.exposition()
