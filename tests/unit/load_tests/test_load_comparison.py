"""Two stacks under one load: the first must hold, and the second must show why there is a first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from console.exits import Exit
from console.output import Output
from load_tests.results import Throttle
from load_tests.run import compare
from load_tests.scenarios import SCENARIOS
from tests.unit.load_tests import report_runs

THROTTLED: dict[str, Any] = {
    "throttles": [Throttle(subject="api", reason="ConcurrentInvocationLimitExceeded", count=9)]
}


@pytest.mark.parametrize(
    ("queue", "naive", "code"),
    [
        pytest.param(0, THROTTLED, Exit.OK, id="it shows what it is to show"),
        pytest.param(0, {"throttles": []}, Exit.FAILED, id="the naive stack held, too"),
        pytest.param(0, THROTTLED | {"invalid": ["saturated"]}, Exit.INVALID, id="the second run says nothing"),
        pytest.param(1, THROTTLED, 1, id="the queue did not hold"),
        pytest.param(6, THROTTLED, 6, id="the first run says nothing"),
    ],
)
def test_the_exit_code_of_a_comparison(tmp_path: Path, queue: int, naive: dict[str, Any], code: int) -> None:
    """And the page is there in any case."""
    runs = (report_runs.christmas(), report_runs.naive(**{"invalid": []} | naive))
    documents = [tmp_path / "queue.json", tmp_path / "naive.json"]
    for path, results in zip(documents, runs, strict=True):
        path.write_text(results.model_dump_json(), encoding="utf-8")

    assert compare(SCENARIOS["naive"], queue, documents, tmp_path, Output(quiet=True)) == code
    assert "<html" in (tmp_path / "comparison.html").read_text(encoding="utf-8")
