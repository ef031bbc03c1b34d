"""The end of a run: its results from everything that is known, and the folder that they are written to."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from load_tests import report, summary
from load_tests.arrivals import visits
from load_tests.cost import cost_of
from load_tests.observe import Observed
from load_tests.observe.generator import GeneratorOfRun
from load_tests.records import PhotoRecord, Records
from load_tests.results import Results
from load_tests.scenarios import Plan
from load_tests.settings import LoadSettings
from load_tests.thresholds import judge

_MUCH_STEAL = 0.02
_PHOTO_COLUMNS = ("visit", "fate", "registered", "uploaded", "received", "finished", "reason")
"""Of photos.csv, which others read: `fate` is the outcome."""


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What a run left. Times in Unix seconds; `entries`, `errors`, `calls` are Locust's, `observed` is of the stack."""

    settings: LoadSettings
    plan: Plan
    records: Records
    started_at: float
    ended_at: float
    entries: Sequence[Any]
    errors: Sequence[Any]
    calls: Sequence[tuple[float, Mapping[str, tuple[int, int]]]]
    generator_state: summary.GeneratorState
    generator: GeneratorOfRun
    observed: Observed | None


def write_outcome(facts: RunFacts) -> tuple[Results, Path]:
    """Make the results and write the run's folder: report, tables, and a line for each photo."""
    results = make_results(facts)
    folder = facts.settings.folder or run_folder(facts.settings.results, results.scenario, facts.started_at)
    folder.mkdir(parents=True, exist_ok=True)
    settings = facts.settings.model_dump_json(indent=2, by_alias=True, exclude_none=True)
    (folder / "config.json").write_text(settings + "\n", encoding="utf-8")
    with (folder / "photos.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(_PHOTO_COLUMNS)
        table.writerows(_photo_row(photo, facts.started_at) for photo in facts.records.photos)
    report.write(results, folder)  # last: it links to the other files
    if facts.settings.folder is None:  # else whoever named it knows where the other runs are
        report.write_trend(facts.settings.results)
    return results, folder


def run_folder(results: Path, scenario: str, started_at: float) -> Path:
    """Return the folder of a run in the folder of all runs; they sort by time."""
    return results / f"{datetime.fromtimestamp(started_at, UTC):%Y%m%dT%H%M%SZ}-{scenario}"


def make_results(facts: RunFacts) -> Results:
    """Return the results, with the thresholds judged."""
    plan, settings, records, observed = facts.plan, facts.settings, facts.records, facts.observed
    schedule = list(visits(plan.shape, settings.seed))
    offered = summary.offered(schedule, records)
    took = facts.ended_at - facts.started_at
    photos = summary.photo_counts(
        records, observed.still_queued if observed else None, observed.repeated if observed else None
    )
    load_seconds = min(took, plan.seconds)
    ready_seconds = summary.ready_seconds(records.photos, start=facts.started_at, load_seconds=load_seconds)
    results = Results(
        kind="load",
        scenario=plan.scenario.name,
        title=plan.scenario.title,
        about=plan.scenario.about,
        started_at=datetime.fromtimestamp(facts.started_at, UTC).isoformat(timespec="seconds"),
        seconds=load_seconds,
        drain_seconds=max(0.0, took - plan.seconds),
        scale=plan.scale,
        quotas=settings.quotas,
        seed=settings.seed,
        config={
            "uploads_per_day": plan.uploads_per_day,
            "photos": f"{plan.mix.name}: {plan.mix.about}",
            "users": plan.scenario.users or "one for each visit",
            "poll_seconds": settings.poll_seconds,
            "drain_seconds": settings.drain_seconds,
            "stack": settings.stack_name or "stack.yaml",
            "thresholds": ", ".join(plan.thresholds),
        },
        versions=summary.versions(),
        machine=summary.machine(),
        invalid=summary.invalid_reasons(offered, records, facts.generator_state),
        offered=offered,
        photos=photos,
        ready_per_second=photos.ready / ready_seconds if ready_seconds else 0.0,
        ready_seconds=ready_seconds,
        stages=summary.stages(records.photos),
        requests=summary.requests(facts.entries, facts.errors),
        limits=list(observed.limits) if observed else [],
        throttles=list(observed.throttles) if observed else [],
        queues=list(observed.queues) if observed else [],
        processes=[*(observed.processes if observed else ()), facts.generator.process()],
        host=facts.generator.host(),
        cost=cost_of(observed.usage, uploads=photos.ready) if observed else None,
        thresholds=[],
        series=[
            *summary.photo_series(records.photos, schedule, start=facts.started_at, seconds=took),
            *summary.call_series(facts.calls),
            *facts.generator.series(),
            *(observed.series if observed else ()),
        ],
        notes=list(_notes(facts)),
    )
    return results.model_copy(update={"thresholds": judge(results, plan.thresholds)})


def _notes(facts: RunFacts) -> Iterator[str]:
    scale = facts.plan.scale
    if scale != 1:
        yield (
            f"Scaled down: the load is 1/{scale:g} of what it stands for, and the stack keeps 1/{scale:g} of AWS's"
            f" limits ({facts.plan.quotas}). Sizes and times are not scaled."
        )
    if facts.settings.quotas != facts.plan.quotas:
        yield f"The stack keeps {facts.settings.quotas}, and the load's scale would be {facts.plan.quotas}."
    if facts.settings.stack_note:
        yield f"The stack: {facts.settings.stack_note}."
    if facts.observed is None:
        yield "Only the phones were watched: without the fleet's control port there are no queues, limits and costs."
    yield from facts.observed.notes if facts.observed else ()
    if (steal := facts.generator.host().steal) > _MUCH_STEAL:
        yield f"The hypervisor took {steal:.0%} of this machine's processors: times are longer than they would be."
    yield "The phones share this machine, and keep-alive connections; phones in the world would open their own."


def _photo_row(photo: PhotoRecord, started_at: float) -> tuple[object, ...]:
    """Return a photo's row of photos.csv: times in seconds of the run."""
    times = (photo.registered, photo.uploaded, photo.received, photo.finished)
    shown = ("" if time is None else f"{time - started_at:.3f}" for time in times)
    return (photo.visit, photo.outcome, *shown, photo.reason)
