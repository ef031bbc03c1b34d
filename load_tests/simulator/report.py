"""A simulated day as results: the same document as a load run's."""

from __future__ import annotations

import math
import platform
from collections.abc import Iterable, Iterator
from datetime import datetime
from importlib.metadata import version

from fleet.limits.plan import Need, NeedStatus, nearest_first
from load_tests.cost import cost_of, gb_seconds
from load_tests.observe.billed import BilledUsage
from load_tests.results import Cost, Distribution, Limit, Offered, PhotoCounts, Queue, Results, Series, Throttle
from load_tests.simulator.capacity import needs
from load_tests.simulator.day import Day
from load_tests.simulator.limits import API, AUTHORIZER, INGEST
from load_tests.simulator.model import SimulationSettings
from load_tests.simulator.tally import Tally

_GB = 1e9


def results(day: Day, started_at: datetime) -> Results:
    """Return the day's results; `started_at` is when it was simulated."""
    settings, tally = day.settings, day.tally
    parameters, calls = settings.parameters, settings.parameters.calls
    ready_seconds = max(settings.seconds, tally.last_ready)
    return Results(
        kind="simulation",
        scenario=settings.curve,
        title=f"A simulated day of {settings.uploads:,} uploads: {settings.curve}",
        about="The way of a photo on the fleet's own limit objects, with a virtual clock. No photo was uploaded.",
        started_at=started_at.isoformat(timespec="seconds"),
        seconds=settings.seconds,
        drain_seconds=max(0.0, day.seconds - settings.seconds),
        scale=1.0 if math.isinf(settings.quotas.scale) else settings.quotas.scale,
        quotas=settings.quotas.name,
        seed=settings.seed,
        config={
            "uploads": settings.uploads,
            "curve": settings.curve,
            "tick_seconds": settings.tick,
            "photos_per_upload": calls.upload,
            "polls": calls.polls,
            "authorizer_seconds": calls.authorizer_seconds,
            "api_seconds": calls.api_seconds,
            "ingest_seconds": calls.ingest_seconds,
            **{name: getattr(parameters, name) for name in ("batch_share", "mapping_seconds", "upload_seconds")},
        },
        versions={"shoebox": version("shoebox"), "python": platform.python_version()},
        machine={},
        invalid=[],
        offered=Offered(
            visits=-(-settings.uploads // calls.upload),
            photos=settings.uploads,
            bytes=settings.uploads * parameters.photo_bytes,
            missed=0,
        ),
        # Nothing is lost in a simulation: dead letters can be redriven, and so are among the unfinished.
        photos=PhotoCounts(
            ready=tally.ready, rejected=0, refused=tally.refused, unfinished=day.unfinished + tally.dead, lost=0
        ),
        ready_per_second=tally.ready / ready_seconds,
        ready_seconds=ready_seconds,
        stages={
            name: found for name, times in tally.stages.items() if (found := Distribution.of_weighted(times.items()))
        },
        requests=[],
        limits=[*_limits(day)],
        throttles=[Throttle(subject=u.subject, reason=u.limit, count=u.throttled) for u in day.uses if u.throttled],
        queues=[_queue(day)],
        processes=[],
        cost=_cost(settings, tally),
        thresholds=[],
        series=[*_series(day)],
        notes=[*_notes(day)],
    )


def needs_of(settings: SimulationSettings) -> list[Need]:
    """Return what the busiest second needs of each limit, nearest first, as `shoebox quotas plan` has it."""
    return nearest_first(needs(settings.stack, settings.quotas, settings.load))


def _limits(day: Day) -> Iterator[Limit]:
    """Yield the limits that were used; to ask for is what the offered load needs, not what a backlog adds."""
    asks = {(need.limit, need.subject): need.raise_to for need in needs_of(day.settings)}
    for use in day.uses:
        name = use.limit, use.subject
        if use.peak or use.throttled:
            yield Limit(
                limit=use.limit,
                subject=use.subject,
                unit=use.unit,
                peak=use.peak,
                maximum=None if math.isinf(use.maximum) else use.maximum,
                throttled=use.throttled,
                first_at=day.first.get(name),
                raise_to=asks.get(name),
            )


def _queue(day: Day) -> Queue:
    tally = day.tally
    trigger = day.settings.stack.functions[INGEST].queue
    assert trigger is not None
    return Queue(
        name=trigger.name,
        peak_depth=tally.peak_backlog,
        peak_depth_at=tally.peak_backlog_at if tally.peak_backlog else None,
        peak_age=tally.peak_age,
        received_again=tally.received_again,
        dead_letters=tally.dead,
    )


def _cost(settings: SimulationSettings, tally: Tally) -> Cost | None:
    calls, parameters = tally.calls, settings.parameters
    counted = BilledUsage(
        gateway_requests=calls.requests,
        function_requests=dict(calls.invocations),
        function_gb_seconds={
            name: gb_seconds(settings.stack.functions[name].memory, seconds) for name, seconds in calls.seconds.items()
        },
        dynamodb_write_units=calls.write_units,
        dynamodb_read_units=calls.read_units,
        s3_puts=calls.puts,
        s3_gets=calls.gets,
        sqs_requests={"all": calls.messages},
        sns_publishes={"PublishBatch": calls.publishes},
    )
    stored_gb = {
        "originals": parameters.photo_bytes * tally.ready / _GB,
        "renditions": parameters.renditions_bytes * tally.ready / _GB,
    }
    return cost_of(counted, uploads=tally.ready, stored_gb=stored_gb)


def _series(day: Day) -> Iterator[Series]:
    began = [0.0, *(point.second for point in day.tally.points)]
    pairs = [(p, p.second - before) for p, before in zip(day.tally.points, began, strict=False) if p.second > before]
    points, times = [point for point, _ in pairs], [point.second for point, _ in pairs]

    def line(panel: str, name: str, unit: str, values: Iterable[float | None]) -> Series:
        return Series(panel=panel, name=name, unit=unit, t=times, values=list(values))

    queue = _queue(day).name
    yield line("photos/s", "offered", "photos/s", (point.offered / seconds for point, seconds in pairs))
    yield line("photos/s", "ready", "photos/s", (point.ready / seconds for point, seconds in pairs))
    yield line("delay", "p50", "s", (point.p50 for point in points))
    yield line("delay", "p99", "s", (point.p99 for point in points))
    yield line("backlog", queue, "messages", (point.backlog for point in points))
    yield line("age", queue, "s", (point.age for point in points))
    for function in (AUTHORIZER, API, INGEST):
        yield line("concurrency", function, "invocations", [point.concurrency[function] for point in points])
    limit = (point.max_batches if point.max_batches < 1e9 else None for point in points)  # no line where infinite
    yield line("concurrency", f"{INGEST} limit", "invocations", limit)
    for name in sorted({name for point in points for name in point.refusals}):
        refusals = [point.refusals.get(name, 0) / seconds for point, seconds in pairs]
        yield line("refusals/s", " of ".join(name), "refusals/s", refusals)


def _notes(day: Day) -> Iterator[str]:
    yield "Simulated: times of functions are parameters, not measurements of this run; see docs/reference/simulate.md."
    if day.settings.quotas.scale not in (1.0, math.inf):
        yield "Limits are divided, the uploads are as told: divide them by the same number."
    for need in needs_of(day.settings):
        if need.status is not NeedStatus.OK:
            yield f"The busiest second needs {need.needed:,.0f} of {need.limit} of {need.subject}: {need.advice}."
    if day.tally.dead:
        yield f"{day.tally.dead:,} messages are dead letters, and among the unfinished."
