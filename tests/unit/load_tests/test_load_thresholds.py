"""Thresholds: read, refused with what there is, and judged on a run's results."""

from __future__ import annotations

from typing import Any

import pytest

from load_tests.results import Distribution, PhotoCounts, RequestStats, Results, Series
from load_tests.thresholds import METRICS, ThresholdError, judge, parse_threshold
from tests.unit.load_tests import report_runs


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("lost==0", ("lost", "==", 0)),
        (" ready_p99 < 5.5 ", ("ready_p99", "<", 5.5)),
        ("ready_per_second>=60", ("ready_per_second", ">=", 60)),
        ("missed_share<=0.01", ("missed_share", "<=", 0.01)),
    ],
)
def test_a_threshold_is_read(text: str, parts: tuple[str, str, float]) -> None:
    """Metric, operator, bound."""
    assert parse_threshold(text) == parts


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is no threshold"),
        ("lost", "is no threshold"),
        ("lost=0", "is no threshold"),
        ("lost<none", "is no threshold"),
        ("0<lost", "is no threshold"),
        ("speed>9", "there are .*ready_p99"),
    ],
)
def test_anything_else_is_refused(text: str, says: str) -> None:
    """With how it is written, or with all metrics."""
    with pytest.raises(ThresholdError, match=says):
        parse_threshold(text)


def made(**changed: Any) -> Results:
    """Return a whole run's results, changed."""
    return report_runs.christmas().model_copy(update=changed)


@pytest.mark.parametrize("metric", METRICS)
def test_every_metric_has_a_value_for_a_whole_run(metric: str) -> None:
    """None of them is a name without a measure."""
    (threshold,) = judge(made(), [f"{metric}>=0"])

    assert threshold.value is not None
    assert threshold.ok


def test_thresholds_are_met_or_not() -> None:
    """On either side of the bound, and on it."""
    photos = PhotoCounts(ready=97, rejected=1, refused=2, unfinished=0, lost=0)
    found = judge(made(photos=photos), ["lost==0", "refused<2", "refused<=2", "rejected>1"])

    assert [threshold.ok for threshold in found] == [True, False, True, False]
    assert [threshold.value for threshold in found] == [0, 2, 2, 1]


def test_what_was_not_seen_is_not_met() -> None:
    """No stage times, no queues, nobody came: a threshold on it fails, for nothing shows that it holds."""
    nothing = made(stages={}, queues=[], requests=[])

    assert [(t.value, t.ok) for t in judge(nothing, ["ready_p99<5", "dead_letters==0", "api_failures_share<1"])] == [
        (None, False)
    ] * 3


def test_the_api_is_its_calls_alone() -> None:
    """PUTs go to S3, and don't count."""
    slow = Distribution.of([9.0])
    calls = [
        RequestStats(name="POST /v1/files", count=90, failures=3, seconds=Distribution.of([0.1, 0.2]), reasons={}),
        RequestStats(name="GET /v1/files?id=…", count=10, failures=2, seconds=Distribution.of([0.4]), reasons={}),
        RequestStats(name="PUT presigned URL", count=900, failures=90, seconds=slow, reasons={}),
    ]
    found = judge(made(requests=calls), ["api_failures==5", "api_failures_share==0.05", "api_p99<0.5"])

    assert all(threshold.ok for threshold in found), found


def test_drift_compares_the_last_quarter_with_the_first() -> None:
    """Of the worst series; gaps are no values, and the drain after the load doesn't count."""
    t = [float(n) for n in range(101)]
    series = [
        Series(panel="memory", name="function ingest", unit="MB", t=t, values=[100.0 if n < 50 else 150.0 for n in t]),
        Series(panel="memory", name="function api", unit="MB", t=t, values=[None if n % 2 else 80.0 for n in t]),
        Series(panel="memory", name="emulator", unit="MB", t=t, values=[1.0 + n for n in t]),
        Series(panel="delay", name="p99", unit="s", t=[*t, 120.0], values=[2.0] * 101 + [50.0]),
    ]
    growth, drift = judge(made(series=series, seconds=100.0), ["memory_growth<1.2", "delay_drift<1.5"])

    assert (growth.value, growth.ok) == (1.5, False)
    assert (drift.value, drift.ok) == (1.0, True)
