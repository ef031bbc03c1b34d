"""The end of a run: its results from everything that is known, and the folder that they go to."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from load_tests import report, series, summary
from load_tests.arrivals import visits
from load_tests.cost import cost_of
from load_tests.generator import GeneratorOfRun
from load_tests.observe import Observed
from load_tests.records import PhotoRecord, Records
from load_tests.results import Results
from load_tests.scenarios import Plan
from load_tests.settings import LoadSettings
from load_tests.thresholds import judged

_MUCH_STEAL = 0.02


@dataclass(frozen=True, slots=True)
class Facts:
    """What a run left. Times in Unix seconds; `entries`, `errors`, `calls` are Locust's, `observed` is of the stack."""

    settings: LoadSettings
    plan: Plan
    records: Records
    started_at: float
    ended_at: float
    entries: Sequence[Any]
    errors: Sequence[Any]
    calls: Sequence[tuple[float, Mapping[str, tuple[int, int]]]]
    generator: summary.Generator
    watched: GeneratorOfRun
    observed: Observed | None


def write_outcome(facts: Facts) -> tuple[Results, Path]:
    """Make the results and write the run's folder: report, tables, and a line for each photo."""
    results = results_of(facts)
    folder = facts.settings.folder or run_folder(facts.settings.results, results.scenario, facts.started_at)
    folder.mkdir(parents=True, exist_ok=True)
    settings = facts.settings.model_dump_json(indent=2, by_alias=True, exclude_none=True)
    (folder / "config.json").write_text(settings + "\n", encoding="utf-8")
    _write_photos(facts.records.photos, folder / "photos.csv", facts.started_at)
    report.write(results, folder)  # last: it links to the other files
    if facts.settings.folder is None:  # else whoever named it knows where the other runs are
        report.write_trend(facts.settings.results)
    return results, folder


def run_folder(results: Path, scenario: str, started_at: float) -> Path:
    """The folder of a run in the folder of all runs; they sort by time."""
    return results / f"{datetime.fromtimestamp(started_at, UTC):%Y%m%dT%H%M%SZ}-{scenario}"


def results_of(facts: Facts) -> Results:
    """The results, with the thresholds judged."""
    plan, records, observed = facts.plan, facts.records, facts.observed
    schedule = list(visits(plan.shape, facts.settings.seed))
    offered = summary.offered(schedule, records)
    took = facts.ended_at - facts.started_at
    photos = summary.photos(
        records, observed.still_queued if observed else None, observed.repeated if observed else None
    )
    load_seconds = min(took, plan.seconds)
    ready_seconds = summary.ready_seconds(records.photos, start=facts.started_at, load_seconds=load_seconds)
    photo_series = series.photo_series(records.photos, schedule, start=facts.started_at, seconds=took)
    results = Results(
        kind="load",
        scenario=plan.scenario.name,
        title=plan.scenario.title,
        about=plan.scenario.about,
        started_at=datetime.fromtimestamp(facts.started_at, UTC).isoformat(timespec="seconds"),
        seconds=load_seconds,
        drain_seconds=max(0.0, took - plan.seconds),
        scale=plan.scale,
        quotas=facts.settings.quotas,
        seed=facts.settings.seed,
        config=_config(facts),
        versions=summary.versions(),
        machine=summary.machine(),
        invalid=summary.invalid(offered, records, facts.generator),
        offered=offered,
        photos=photos,
        ready_per_second=photos.ready / ready_seconds if ready_seconds else 0.0,
        ready_seconds=ready_seconds,
        stages=summary.stages(records.photos),
        requests=summary.requests(facts.entries, facts.errors),
        limits=list(observed.limits) if observed else [],
        throttles=list(observed.throttles) if observed else [],
        queues=list(observed.queues) if observed else [],
        processes=[*(observed.processes if observed else ()), facts.watched.process()],
        host=facts.watched.host(),
        cost=cost_of(observed.usage, uploads=photos.ready) if observed else None,
        thresholds=[],
        series=[
            *photo_series,
            *series.call_series(facts.calls),
            *facts.watched.series(),
            *(observed.series if observed else ()),
        ],
        notes=list(_notes(facts)),
    )
    return results.model_copy(update={"thresholds": judged(results, plan.thresholds)})


def _config(facts: Facts) -> dict[str, str | int | float | bool | None]:
    plan, settings = facts.plan, facts.settings
    return {
        "uploads_per_day": plan.uploads_per_day,
        "photos": f"{plan.mix.name}: {plan.mix.about}",
        "users": plan.scenario.users or "one for each visit",
        "poll_seconds": settings.poll_seconds,
        "drain_seconds": settings.drain_seconds,
        "stack": settings.stack_name or "stack.yaml",
        "thresholds": ", ".join(plan.thresholds),
    }


def _notes(facts: Facts) -> Iterable[str]:
    scale = facts.plan.scale
    if scale != 1:
        yield (
            f"A wind tunnel: the load is 1/{scale:g} of what it stands for, and the stack keeps 1/{scale:g} of AWS's"
            f" limits ({facts.plan.quotas}). Sizes and times are not scaled."
        )
    if facts.settings.quotas != facts.plan.quotas:
        yield f"The stack keeps {facts.settings.quotas}, and the load's scale would be {facts.plan.quotas}."
    if facts.settings.stack_note:
        yield f"The stack: {facts.settings.stack_note}."
    if facts.observed is None:
        yield "Only the phones were watched: without the fleet's control port there are no queues, limits and costs."
    yield from facts.observed.notes if facts.observed else ()
    if (steal := facts.watched.host().steal) > _MUCH_STEAL:
        yield f"The hypervisor took {steal:.0%} of this machine's processors: times are longer than they would be."
    yield "The phones share this machine, and keep-alive connections; phones in the world would open their own."


def _write_photos(photos: Iterable[PhotoRecord], path: Path, started_at: float) -> None:
    """A line for each photo; moments in seconds of the run."""
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(PhotoRecord._fields)
        for photo in photos:
            moments = (photo.registered, photo.uploaded, photo.received, photo.finished)
            shown = ("" if moment is None else f"{moment - started_at:.3f}" for moment in moments)
            table.writerow((photo.visit, photo.fate, *shown, photo.reason))
