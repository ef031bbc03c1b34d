"""The tables: every number already a text with its unit, so that templates only lay out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from console.output import number_text, plural
from load_tests.report.charts import span_of
from load_tests.report.formats import DASH, SPACE, clock, dollars, duration, large, number, quantity, share, sign, size
from load_tests.report.verdict import per_day, refusals, refused_limits, threshold_value, use_of
from load_tests.results import PERCENTILES, CostLine, Distribution, Limit, Process, RequestStats, Results, min_count

_CALL_PERCENTILES = (50, 95, 99)
MAPPING = "lambda.mapping_concurrency"
WAITED = (
    f"{MAPPING}: batches that had to wait in their queue for the mapping’s maximum concurrency. No call failed by it."
)
NOT_SEEN = "Limits were not seen from here: the fleet’s control port was not watched."


@dataclass(frozen=True, slots=True)
class Column:
    """A column's head; `numbers` stand to the right. `term`: where the glossary explains it."""

    title: str
    numbers: bool = True
    term: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """A row's cells, or one for all columns. `kind` is "", "good", "bad", "group", "detail" or "total"."""

    cells: tuple[str, ...]
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """Columns and rows; `empty` is said where there are no rows, `note` below them."""

    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    empty: str = ""
    note: str = ""


def thresholds(results: Results) -> Table:
    """Show each expectation, its value and whether it was met."""
    return Table(
        (Column("threshold", numbers=False), Column("bound"), Column("value"), Column("", numbers=False)),
        tuple(
            Row(
                (
                    one.metric,
                    f"{sign(one.operator)} {threshold_value(one, one.bound)}",
                    threshold_value(one, one.value) + (f" ({one.note})" if one.note else ""),
                    "✓ met" if one.ok else "✗ missed",
                ),
                "good" if one.ok else "bad",
            )
            for one in results.thresholds
        ),
        empty="This run has no thresholds.",
    )


def outcomes(results: Results) -> Table:
    """Show how the photos that were offered ended."""
    photos, offered = results.photos, results.offered
    rows = (
        ("READY", photos.ready, "all renditions stored"),
        ("rejected", photos.rejected, "not a picture that Shoebox takes; the owner sees why"),
        ("refused", photos.refused, "a registration or a PUT never succeeded"),
        ("unfinished", photos.unfinished, "no final state when the run ended"),
        ("lost", photos.lost, "stored, and without a final state after the drain: must be 0"),
    )
    bad = {"refused", "unfinished", "lost"}
    return Table(
        (Column("photos", numbers=False), Column("count"), Column("share"), Column("meaning", numbers=False)),
        tuple(
            Row((name, number(count), share(count, offered.photos), meaning), "bad" if name in bad and count else "")
            for name, count, meaning in rows
        ),
        note=_offered_note(results),
    )


def stages(results: Results) -> Table:
    """Show percentiles of each stage's seconds."""
    return Table(
        (
            Column("stage", numbers=False),
            Column("photos"),
            Column("mean"),
            *(Column(f"p{p:g}", term="percentile") for p in PERCENTILES),
            Column("max"),
        ),
        tuple(
            Row((stage, number(seconds.count), *_times(seconds, PERCENTILES)))
            for stage, seconds in results.stages.items()
        ),
        empty="No photo went through a stage.",
        note=_few(results.stages.values(), PERCENTILES, "photos"),
    )


def limits(results: Results) -> Table:
    """Show each limit that was used, the first to refuse first, then the nearest."""
    span = span_of(results)
    used = [limit for limit in results.limits if limit.peak or limit.throttled]
    left_out = len(results.limits) - len(used)
    not_refused = sorted(
        (limit for limit in used if not limit.throttled),
        key=lambda limit: (-(use_of(limit) or 0), limit.limit, limit.subject),
    )
    return Table(
        (
            Column("limit", numbers=False),
            Column("of", numbers=False),
            Column("highest use"),
            Column("limit"),
            Column("used"),
            Column("hit at", term="factor"),
            Column("refusals"),
            Column("first at"),
            Column("ask for"),
        ),
        tuple(_limit_row(limit, span) for limit in (*refused_limits(used), *not_refused)),
        empty="No limit was used." if results.limits else NOT_SEEN,
        note=f"In limits.csv also those that nothing used: {left_out}." if left_out else "",
    )


def first_refusals(results: Results) -> Table:
    """Show the limits in the order of their first refusals."""
    span, refused = span_of(results), refused_limits(results.limits)
    rows = [Row((clock(one.first_at, span), one.limit, one.subject, number(one.throttled))) for one in refused]
    total = Row(("together", "", "", number(sum(one.throttled for one in refused))), "total")
    return Table(
        (Column("first at"), Column("limit", numbers=False), Column("of", numbers=False), Column("refusals")),
        (*rows, total) if rows else (),
        empty="Nothing was throttled." if results.limits else NOT_SEEN,
    )


def throttles(results: Results) -> Table:
    """Show refusals by what was refused and AWS's reason."""
    counted = sorted(results.throttles, key=lambda throttle: -throttle.count)
    rows = [Row((one.subject, one.reason, number(one.count))) for one in counted]
    return Table(
        (Column("refused", numbers=False), Column("reason", numbers=False), Column("count")),
        (*rows, Row(("together", "", number(refusals(results))), "total")) if rows else (),
        empty="Nothing was throttled." if results.limits else NOT_SEEN,
        note=WAITED if any(one.reason == MAPPING for one in counted) else "",
    )


def requests(results: Results) -> Table:
    """Show each kind of call, and below it why calls failed."""
    columns = ("calls", "failed", "share", "calls/s", "mean", *(f"p{p:g}" for p in _CALL_PERCENTILES), "max")
    few = _few((one.seconds for one in results.requests if one.seconds), _CALL_PERCENTILES, "calls")
    return Table(
        (Column("call", numbers=False), *(Column(name) for name in columns)),
        tuple(row for request in results.requests for row in _request_rows(request, results.rate_seconds)),
        empty="No requests were made.",
        note=f"Calls/s over {duration(results.rate_seconds)}, as the photos’ rate. {few}" if results.requests else "",
    )


def queues(results: Results) -> Table:
    """Show each queue's highest depth and age, repeated deliveries and dead letters."""
    span = span_of(results)
    return Table(
        (
            Column("queue", numbers=False),
            Column("highest depth"),
            Column("at"),
            Column("oldest message"),
            Column("received again"),
            Column("dead letters"),
        ),
        tuple(
            Row(
                (
                    queue.name,
                    quantity(queue.peak_depth, "messages"),
                    clock(queue.peak_depth_at, span),
                    duration(queue.peak_age),
                    number(queue.received_again),
                    number(queue.dead_letters),
                ),
                "bad" if queue.dead_letters else "",
            )
            for queue in results.queues
        ),
        empty="No queue was seen.",
    )


def processes(results: Results) -> Table:
    """Show CPU and memory by role, and together."""
    seconds, ready = results.seconds + results.drain_seconds, results.photos.ready
    note = []
    if results.processes:
        note.append("Cores: the mean over load and drain.")
        note.append("Highest memory of each role; together they need not have had it at the same time.")
    if host := results.host:
        note.append(
            f"The generator’s machine was {share(host.busy, 1)} busy; its hypervisor took {share(host.steal, 1)}."
        )
    together = Process(
        role="together",
        count=sum(one.count for one in results.processes),
        cpu_seconds=sum(one.cpu_seconds for one in results.processes),
        memory_mb=sum(one.memory_mb for one in results.processes),
    )
    rows = [Row(_process_cells(one, seconds, ready)) for one in results.processes]
    names = ("processes", "CPU", "cores", "CPU per photo", "highest memory")
    return Table(
        (Column("role", numbers=False), *(Column(name) for name in names)),
        (*rows, Row(_process_cells(together, seconds, ready), "total")) if rows else (),
        empty="Processes were not seen from here.",
        note=" ".join(note),
    )


def cost(results: Results) -> Table:
    """Show the dollars for a million uploads by service and item."""
    names = ("for a million uploads", "price", "US dollars")
    columns = (Column("item", numbers=False), *(Column(name) for name in names))
    if results.cost is None:
        return Table(columns, (), empty="Costs are unknown: nothing was counted.")
    rows: list[Row] = []
    by_service = sorted(results.cost.lines, key=lambda line: line.service)
    for service, group in groupby(by_service, key=lambda line: line.service):
        lines = list(group)
        rows.append(Row((service, "", "", dollars(sum(line.usd for line in lines))), "group"))
        rows += map(_cost_row, lines)
    rows.append(Row(("together", "", "", dollars(results.cost.usd)), "total"))
    if results.cost.storage:
        month = dollars(sum(line.usd for line in results.cost.storage))
        rows += [Row(("kept for a month, beside that", "", "", month), "group"), *map(_cost_row, results.cost.storage)]
    return Table(columns, tuple(rows), note=_cost_note(results))


def _cost_row(line: CostLine) -> Row:
    quantity = large(line.quantity) if line.quantity >= 1000 else number(line.quantity)
    item = line.item + ("" if line.verified else " †")
    return Row((item, f"{quantity}{SPACE}{line.unit}", _price(line), dollars(line.usd)))


def facts(pairs: Iterable[tuple[str, object]]) -> Table:
    """Show names and values, such as a run's settings."""
    return Table(
        (Column("name", numbers=False), Column("value", numbers=False)),
        tuple(Row((name, DASH if value is None else str(value))) for name, value in pairs),
        empty="None were noted.",
    )


def identity(results: Results) -> Table:
    """Show which run this was."""
    return facts(
        (
            ("scenario", results.scenario),
            ("kind", results.kind),
            ("started at", results.started_at),
            ("load", duration(results.seconds)),
            ("drain", duration(results.drain_seconds)),
            ("quotas", results.quotas),
            ("scale", f"1 : {number(results.scale)}"),
            ("seed", results.seed),
        )
    )


def _times(seconds: Distribution | None, percentiles: Sequence[float]) -> tuple[str, ...]:
    if seconds is None:
        return (DASH,) * (len(percentiles) + 2)
    points = (duration(seconds.percentile(f"{p:g}")) for p in percentiles)
    return (duration(seconds.mean), *points, duration(seconds.max))


def _few(distributions: Iterable[Distribution], percentiles: Sequence[float], things: str) -> str:
    """Say why some percentiles are dashes."""
    fewest = min((one.count for one in distributions), default=min_count(percentiles[-1]))
    wanted = [f"p{p:g} needs {number(min_count(p))}" for p in percentiles if fewest < min_count(p)]
    return f"{DASH}: too few {things} ({', '.join(wanted)}); the slowest is below “max”." if wanted else ""


def _limit_row(limit: Limit, span: float) -> Row:
    use = use_of(limit)
    return Row(
        (
            limit.limit,
            limit.subject,
            quantity(limit.peak, limit.unit),
            number_text(limit.maximum),
            DASH if use is None else share(use, 1),
            f"{number(1 / use)} ×" if use else DASH,
            number(limit.throttled),
            clock(limit.first_at, span),
            quantity(limit.raise_to, limit.unit),
        ),
        "bad" if limit.throttled else "",
    )


def _request_rows(request: RequestStats, seconds: float) -> list[Row]:
    failed = share(request.failures, request.count)
    rate = number(request.count / seconds) if seconds else DASH
    times = _times(request.seconds, _CALL_PERCENTILES)
    row = Row((request.name, number(request.count), number(request.failures), failed, rate, *times))
    reasons = sorted(request.reasons.items(), key=lambda pair: -pair[1])
    return [row, *(Row((f"{number(count)} × {reason}",), "detail") for reason, count in reasons)]


def _process_cells(process: Process, seconds: float, ready: int) -> tuple[str, ...]:
    return (
        process.role,
        number(process.count),
        quantity(process.cpu_seconds, f"CPU{SPACE}s"),
        quantity(process.cpu_seconds / seconds, "cores") if seconds else DASH,
        quantity(process.cpu_seconds / ready * 1000, "ms") if ready else DASH,
        quantity(process.memory_mb, "MB"),
    )


def _price(line: CostLine) -> str:
    """Return a price as AWS's pages have it: small ones by the million."""
    many = 0 < line.price < 0.01
    price = f"{line.price * 1e6 if many else line.price:.4g}"
    _, _, cents = price.partition(".")
    return f"${float(price):.{max(2, len(cents))}f} / {'million' if many else line.unit}"


def _cost_note(results: Results) -> str:
    assert results.cost is not None
    dated = f"Prices of {results.cost.dated}, {results.cost.region}."
    unverified = " † not checked against AWS’s page." if not all(line.verified for line in results.cost.lines) else ""
    full = "" if results.scale == 1 else ", at full scale"
    day = results.cost.usd * per_day(results) / 1e6
    return f"{dated}{unverified} A day at this run’s rate{full}: {dollars(day)}. What is not listed is not in it."


def _offered_note(results: Results) -> str:
    offered = results.offered
    late = (
        ""
        if offered.late_p99 is None
        else f" 99 in 100 arrivals began within {duration(offered.late_p99)} of their time."
    )
    repeated = results.photos.repeated
    again = "" if repeated is None else f" Prepared once more although they had been: {plural(repeated, 'photo')}."
    return (
        f"Offered: {plural(offered.photos, 'photo')} ({size(offered.bytes)}) in {plural(offered.visits, 'visit')}; "
        f"missed by the generator: {number(offered.missed)}.{late}{again}"
    )
