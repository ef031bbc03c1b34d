"""The generator: visits begin at their times whatever the service does, and those that can't are missed, not late."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from load_tests.arrivals import Visit
from load_tests.generator import VisitShare

ROOT = Path(__file__).parents[3]
PROGRAM = """
import json, sys, time
import gevent
from load_tests import generator
from load_tests.arrivals import Visit
from load_tests.generator import LoadGenerator
from load_tests.photos import Photos
from load_tests.records import PhotoRecord, Records

generator.MAX_VISITS = {max_visits}
begun = []
def visit(visit, photos):
    begun.append((visit.number, time.monotonic() - start, len(photos)))
    {body}
    return [PhotoRecord(visit.number, "READY") for _ in photos]
records = Records()
start = time.monotonic()
LoadGenerator(Photos([b"\\xff\\xd8x"]), records, visit, seed=1).run([Visit(n, n * {gap}, 2) for n in range({count})])
print(json.dumps({{"begun": begun, "took": time.monotonic() - start, "records": records.drain()}}))
"""


def run(body: str, *, count: int = 10, gap: float = 0.02, max_visits: int = 5000) -> Any:
    """Run a load generator in a process of its own, for its clock is the real one; return what it recorded."""
    program = PROGRAM.format(body=body, count=count, gap=gap, max_visits=max_visits)
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    return json.loads(done.stdout)


def test_a_slow_service_does_not_slow_the_arrivals() -> None:
    """Ten visits of two seconds each, a fiftieth of a second apart, are all there together: an open model."""
    found = run("gevent.sleep(2)")

    assert [number for number, _, _ in found["begun"]] == list(range(10))
    assert found["begun"][-1][1] < 2  # the last began before the first had ended
    assert found["took"] >= 2  # and all are waited for
    assert found["records"]["visits_begun"] == 10
    assert len(found["records"]["photos"]) == found["records"]["photos_begun"] == 20
    assert found["records"]["processes_done"] == 1


def test_a_busy_generator_misses_arrivals() -> None:
    """Each visit keeps the process for half a second: those that would be over a second late don't begin."""
    found = run("time.sleep(0.5)")

    assert 1 <= found["records"]["visits_begun"] < 10
    assert len(found["records"]["photos"]) == 2 * found["records"]["visits_begun"]
    assert len(found["records"]["late"]) == found["records"]["visits_begun"]


def test_more_visits_than_it_can_hold_are_missed() -> None:
    """The others go on undisturbed."""
    found = run("gevent.sleep(1)", max_visits=4)

    assert found["records"]["visits_begun"] == 4
    assert [number for number, _, _ in found["begun"]] == [0, 1, 2, 3]


def test_a_visit_that_fails_takes_no_other_with_it() -> None:
    """Its photos are on no record, by which the run is known to be wrong."""
    found = run("1 / (visit.number - 3)")

    assert found["records"]["visits_begun"] == 10
    assert len(found["records"]["photos"]) == found["records"]["photos_begun"] - 2


@pytest.mark.parametrize("of", [1, 2, 3])
def test_processes_share_the_visits(of: int) -> None:
    """Each visit is one process's, and none is two's."""
    everybody = [Visit(n, n * 0.1, 1) for n in range(30)]
    shares = [list(VisitShare("run", index, of).select(everybody)) for index in range(of)]

    assert sorted(visit for share in shares for visit in share) == everybody
    assert {len(share) for share in shares} == {30 // of}
