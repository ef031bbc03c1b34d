"""The verdict on a run: passed, failed or invalid, in a sentence and a few large figures."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from load_tests.arrivals import DAY
from load_tests.report.charts import span_of
from load_tests.report.formats import (
    DASH,
    SPACE,
    clock,
    dollars,
    duration,
    large,
    number,
    quantity,
    round_duration,
    share,
    sign,
)
from load_tests.results import WHOLE, Limit, Results, Threshold, min_count

_UNITS = (("per_second", "photos/s"), ("_drift", "×"), ("_growth", "×"))
_NEAR = 0.8  # as fleet.limits.plan.TARGET: above it a limit has no room for a busy second


@dataclass(frozen=True, slots=True)
class Figure:
    """A large number, its unit if that is a word, and what it is; `bad`: it should not be so."""

    value: str
    about: str
    unit: str = ""
    bad: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """`state` is "passed", "failed", "invalid" or "unjudged": nothing was asked of the run.

    `reasons` say why it failed or is invalid, `scale` what a photo stands for.
    """

    state: str
    sentence: str
    reasons: tuple[str, ...]
    figures: tuple[Figure, ...]
    scale: str


def verdict_of(results: Results) -> Verdict:
    """Return the verdict on a run."""
    return Verdict(
        state=state_of(results),
        sentence=_sentence(results),
        reasons=tuple(results.invalid) + tuple(_missed(one) for one in results.thresholds if not one.ok),
        figures=_figures(results),
        scale=_scale(results),
    )


def state_of(results: Results) -> str:
    """Return the verdict's word."""
    if results.invalid:
        return "invalid"
    if not results.thresholds:
        return "unjudged"
    return "passed" if results.passed else "failed"


def refused_limits(limits: Iterable[Limit]) -> list[Limit]:
    """Return the limits that refused, the first one first; those whose first refusal was not observed come last."""
    return sorted(
        (limit for limit in limits if limit.throttled),
        key=lambda limit: (limit.first_at is None, limit.first_at or 0, -limit.throttled),
    )


def use_of(limit: Limit) -> float | None:
    """Return the highest used part of a limit; None where there is no limit."""
    return limit.peak / limit.maximum if limit.maximum else None


def refusals(results: Results) -> int | None:
    """Count the refusals by all limits; None where the limits were not seen."""
    return sum(throttle.count for throttle in results.throttles) if results.limits else None


def limited_by(results: Results) -> str:
    """Say which of AWS's limits was hit first, or else came nearest."""
    if not results.limits:
        return "limits were not seen from here"
    if refused := refused_limits(results.limits):
        first = refused[0]
        when = "" if first.first_at is None else f" at {clock(first.first_at, span_of(results))}"
        return f"first limit hit: {name_of(first)}{when}"
    used = [(use, limit) for limit in results.limits if (use := use_of(limit)) is not None]
    if not used:
        return "no limit of AWS was kept"
    use, nearest = max(used, key=lambda pair: pair[0])
    how = "nearest" if use >= _NEAR else "the nearest was"
    return f"no limit of AWS was hit; {how} {name_of(nearest)}, {share(use, 1)} used"


def name_of(limit: Limit) -> str:
    """Return a limit and what it holds for, as text."""
    return f"{limit.limit} of {limit.subject}"


def p99_of(results: Results) -> float | None:
    """Return the p99 of seconds from registration until READY; None of fewer than 100 photos."""
    whole = results.stages.get(WHOLE)
    return whole.percentile("99") if whole else None


def per_day(results: Results) -> float:
    """Return the uploads a day at this run's rate, at full scale."""
    return results.ready_per_second * DAY * results.scale


def _sentence(results: Results) -> str:
    day = f"{large(per_day(results))} a day"
    if results.scale != 1:
        day = f"{large(per_day(results) / results.scale)} a day here, {day} at full scale ({results.quotas})"
    whole = results.stages.get(WHOLE)
    slowest = f"all {number(whole.count)} were READY within {duration(whole.max)}" if whole else "no photo was READY"
    if (p99 := p99_of(results)) is not None:
        slowest = f"99 in 100 photos were READY within {duration(p99)}"
    return "; ".join(
        (
            f"{number(results.ready_per_second)}{SPACE}photos/s READY ({rate_base(results)}) = {day}",
            slowest,
            f"{large(results.photos.lost)} lost",
            limited_by(results) + ".",
        )
    )


def rate_base(results: Results) -> str:
    """Say of which photos and seconds the rate is."""
    base, load = round_duration(results.rate_seconds), round_duration(results.seconds)
    return f"{number(results.photos.ready)} in {base}" + ("" if base == load else f", {load} of it load")


def threshold_value(threshold: Threshold, value: float | None) -> str:
    """Return a threshold's bound or value with the unit of its metric (`load_tests.thresholds.METRICS`)."""
    if value is None:
        return DASH
    if threshold.metric.endswith("_share"):
        return quantity(value * 100, "%")
    if re.search(r"_p\d+$", threshold.metric):
        return round_duration(value)
    return quantity(value, next((unit for ending, unit in _UNITS if threshold.metric.endswith(ending)), ""))


def _missed(threshold: Threshold) -> str:
    bound = threshold_value(threshold, threshold.bound)
    found = (
        "nothing was seen of it" if threshold.value is None else f"it was {threshold_value(threshold, threshold.value)}"
    ) + (f" ({threshold.note})" if threshold.note else "")
    return f"{threshold.metric} {sign(threshold.operator)} {bound} was not met: {found}"


def _figures(results: Results) -> tuple[Figure, ...]:
    photos, refused = results.photos, refusals(results)
    failed = photos.refused + photos.unfinished
    whole = results.stages.get(WHOLE)
    day, _, unit = large(per_day(results)).partition(SPACE)
    p99 = Figure(duration(p99_of(results)), "p99, registered → READY")
    if whole and whole.percentile("99") is None:
        about = f"slowest of {number(whole.count)}, registered → READY: p99 needs {min_count(99)}"
        p99 = Figure(duration(whole.max), about)
    figures = [
        Figure(number(results.ready_per_second), f"READY: {rate_base(results)}", unit="photos/s"),
        Figure(day, "uploads a day" + (" at full scale" if results.scale != 1 else ""), unit),
        Figure(duration(whole.percentiles.get("50")) if whole else DASH, "p50, registered → READY"),
        p99,
        Figure(large(photos.lost), "photos lost", bad=photos.lost > 0),
        Figure(share(failed, results.offered.photos), "refused or unfinished", bad=failed > 0),
        Figure(DASH if refused is None else large(refused), "refusals by limits", bad=bool(refused)),
    ]
    if results.cost:
        figures.append(Figure(dollars(results.cost.usd), "for a million uploads"))
    return tuple(figures)


def _scale(results: Results) -> str:
    how = "Simulated, not measured: no photo was uploaded. " if results.kind == "simulation" else ""
    if results.scale == 1:
        return f"{how}Full scale: a photo is a photo, and limits are as they are (quotas: {results.quotas})."
    return (
        f"{how}Scaled down: every photo stands for {number(results.scale)}, and load and limits are one part in "
        f"{number(results.scale)} of what they stand for (quotas: {results.quotas}). Times are as they would be."
    )
