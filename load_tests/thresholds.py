"""Expectations of a run as text, such as `ready_p99<5`: pass or fail as code (k6: "Thresholds")."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable
from statistics import fmean
from typing import Any, Literal, cast

from load_tests.results import PERCENTILES, WHOLE, Results, Threshold

_TEXT = re.compile(r"\s*([a-z][a-z0-9_.]*)\s*(<=|>=|==|<|>)\s*(-?\d+(?:\.\d+)?)\s*")
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
}
Operator = Literal["<", "<=", ">", ">=", "=="]
Metric = Callable[[Results], float | None]


class ThresholdError(ValueError):
    """A threshold can't be read, or names an unknown metric; the message says which metrics there are."""


def parse_threshold(text: str) -> tuple[str, Operator, float]:
    """Return the metric, operator and bound of a threshold.

    Raises:
        ThresholdError: it can't be read.
    """
    found = _TEXT.fullmatch(text)
    if not found:
        raise ThresholdError(f"{text!r} is no threshold; write it like ready_p99<5 or lost==0")
    if found[1] not in METRICS:
        raise ThresholdError(f"{found[1]!r} is not measured; there are {', '.join(sorted(METRICS))}")
    return found[1], cast("Operator", found[2]), float(found[3])


def judge(results: Results, texts: Iterable[str]) -> list[Threshold]:
    """Return each threshold with its value; one without a value isn't met.

    Raises:
        ThresholdError: one of them can't be read.
    """
    thresholds = []
    for metric, sign, bound in map(parse_threshold, texts):
        value = METRICS[metric](results)
        met = value is not None and _COMPARE[sign](value, bound)
        note = _note(results, metric)
        thresholds.append(Threshold(metric=metric, operator=sign, bound=bound, value=value, ok=met, note=note))
    return thresholds


def _note(results: Results, metric: str) -> str:
    """Return the note of a percentile of too few values: it is their maximum, an upper bound of the percentile."""
    found, percentile = results.stages.get(WHOLE), _READY.get(metric)
    if metric == "api_p99":
        slowest = max((r.seconds for r in _api(results) if r.seconds), key=lambda s: s.percentiles["99"], default=None)
        found, percentile = slowest, "99"
    few = found and percentile and found.percentile(percentile) is None
    return f"max of {found.count}" if found and few else ""


def _percentile(stage: str, percentile: str) -> Metric:
    def value(results: Results) -> float | None:
        found = results.stages.get(stage)
        return found.percentiles[percentile] if found else None

    return value


def _api(results: Results) -> Iterable[Any]:
    return (request for request in results.requests if "/v1/" in request.name)


def _failures_share(results: Results) -> float | None:
    count = sum(request.count for request in _api(results))
    return sum(request.failures for request in _api(results)) / count if count else None


def _slowest_p99(results: Results) -> float | None:
    return max((r.seconds.percentiles["99"] for r in _api(results) if r.seconds), default=None)


def _throttles(prefix: str) -> Metric:
    return lambda results: sum(t.count for t in results.throttles if t.subject.startswith(prefix))


def _limited(prefix: str) -> Metric:
    return lambda results: sum(limit.throttled for limit in results.limits if limit.limit.startswith(prefix))


def _drift(panel: str, of: Callable[[list[float]], float], name: Callable[[str], bool]) -> Metric:
    """Return the ratio of the run's last quarter to its first; the worst of the series."""

    def value(results: Results) -> float | None:
        ratios = []
        for series in results.series:
            first = [v for t, v in zip(series.t, series.values, strict=True) if v and t <= results.seconds / 4]
            last = [
                v
                for t, v in zip(series.t, series.values, strict=True)
                if v and results.seconds * 3 / 4 <= t <= results.seconds
            ]
            if series.panel == panel and name(series.name) and first and last:
                ratios.append(of(last) / of(first))
        return max(ratios, default=None)

    return value


_READY = {f"ready_p{p:g}".replace(".", ""): f"{p:g}" for p in PERCENTILES}
METRICS: dict[str, Metric] = {
    "lost": lambda r: r.photos.lost,
    "refused": lambda r: r.photos.refused,
    "rejected": lambda r: r.photos.rejected,
    "unfinished": lambda r: r.photos.unfinished,
    "repeated": lambda r: r.photos.repeated,
    "missed_share": lambda r: r.offered.missed / r.offered.visits if r.offered.visits else None,
    "dead_letters": lambda r: sum(queue.dead_letters for queue in r.queues) if r.queues else None,
    "ready_per_second": lambda r: r.ready_per_second,
    **{name: _percentile(WHOLE, percentile) for name, percentile in _READY.items()},
    "api_failures": lambda r: sum(request.failures for request in _api(r)),
    "api_failures_share": _failures_share,
    "api_p99": _slowest_p99,
    "api_throttles": _throttles("api"),
    "throttles": _throttles(""),
    "dynamodb_throttles": _limited("dynamodb."),
    "s3_throttles": _limited("s3."),
    "delay_drift": _drift("delay", fmean, lambda name: name == "p99"),
    "memory_growth": _drift("memory", max, lambda name: name.startswith("function")),
}
"""The metrics of thresholds, by name. Times in seconds; shares from 0 to 1."""
