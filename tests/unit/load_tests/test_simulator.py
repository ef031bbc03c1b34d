"""The day simulator: nothing gets lost in it, limits throttle where their numbers say, and its work is bounded."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import Any

import pytest

from fleet.limits.plan import DAY_SECONDS, NeedStatus
from fleet.limits.quotas import AWS_QUOTAS, Quotas, load_quotas
from load_tests.results import Results
from load_tests.simulator.capacity import PhotoCalls
from load_tests.simulator.day import Day, simulate
from load_tests.simulator.limits import Limits
from load_tests.simulator.model import Parameters, SimulationSettings
from load_tests.simulator.report import needs_of, results
from shoebox.stack.model import Stack, StackError, load_stack
from shoebox_client.renditions import RENDITIONS

STACK = load_stack(Path(__file__).parents[3] / "stack.yaml")
SHORT = 300
NOW = datetime(2026, 12, 1, tzinfo=UTC)


def with_maximum(maximum: int | None, stack: Stack = STACK) -> Stack:
    """Return the stack with another maximum concurrency of ingest, or none."""
    ingest = stack.functions["ingest"]
    assert ingest.queue is not None
    queue = ingest.queue.model_copy(update={"maximum_concurrency": maximum})
    functions = {**stack.functions, "ingest": ingest.model_copy(update={"queue": queue})}
    return stack.model_copy(update={"functions": functions})


def lowered(family: str, **changes: float) -> Quotas:
    """AWS's quotas with some of one family changed."""
    return AWS_QUOTAS.model_copy(update={family: getattr(AWS_QUOTAS, family).model_copy(update=changes)})


def minutes(uploads: int, curve: str = "flat", quotas: Quotas = AWS_QUOTAS, **more: Any) -> SimulationSettings:
    """Five minutes of a stack whose mapping has no limit of its own."""
    few: dict[str, Any] = {"stack": with_maximum(None), "seconds": SHORT, "drain_seconds": 60}
    return SimulationSettings(**{**few, **more}, uploads=uploads, curve=curve, quotas=quotas)


def first_of(day: Day) -> str:
    """Return the limit that refused first."""
    return min(day.first.items(), key=lambda item: item[1])[0][0]


@pytest.mark.parametrize("curve", ["flat", "day", "christmas"])
@pytest.mark.parametrize("quotas", ["off", "aws", "aws/100", "aws/2000"])
def test_every_photo_ends_somewhere(quotas: str, curve: str) -> None:
    """Photos are READY, refused, dead letters or on their way; the points of the charts have all of them."""
    settings = SimulationSettings(STACK, 20_003, curve, load_quotas(quotas), seconds=600, drain_seconds=900)

    day = simulate(settings)

    tally = day.tally
    assert min(tally.ready, tally.refused, tally.dead, day.unfinished) >= 0
    assert tally.ready + tally.refused + tally.dead + day.unfinished == tally.offered == 20_003
    assert sum(point.offered for point in tally.points) == 20_003
    assert sum(point.ready for point in tally.points) == tally.ready
    assert all(times.total() == tally.ready for times in tally.stages.values())


@pytest.mark.parametrize(
    ("family", "changes", "limit"),
    [
        pytest.param("gateway", {"rate": 5, "burst": 5}, "gateway.rate", id="gateway"),
        pytest.param("functions", {"concurrency": 2}, "lambda.concurrency", id="concurrency"),
        pytest.param("functions", {"requests_per_environment": 0.01}, "lambda.requests", id="requests"),
        pytest.param("functions", {"scaling_environments": 1}, "lambda.scaling", id="scaling"),
        pytest.param("dynamodb", {"new_table_writes": 60, "table_writes": 60}, "dynamodb.table_writes", id="writes"),
        pytest.param("dynamodb", {"new_table_reads": 20, "table_reads": 20}, "dynamodb.table_reads", id="reads"),
        pytest.param("s3", {"prefix_writes": 5}, "s3.prefix_writes", id="puts"),
        pytest.param("s3", {"prefix_reads": 5}, "s3.prefix_reads", id="gets"),
        pytest.param("mappings", {"concurrency_most": 1, "pollers": 1}, "lambda.mapping_concurrency", id="mapping"),
    ],
)
def test_the_lowered_limit_throttles_first(family: str, changes: dict[str, float], limit: str) -> None:
    """67 photos a second, and one quota too low for them: it is named, with the second at which it refused."""
    day = simulate(minutes(20_000, quotas=lowered(family, **changes)))

    assert first_of(day) == limit
    assert 0 <= min(day.first.values()) < SHORT


def test_without_limits_nothing_waits() -> None:
    """With quotas off a photo takes its upload and one batch; nothing refuses, and no photo is a backlog."""
    day = simulate(minutes(3_000, quotas=load_quotas("off")))

    delays = results(day, NOW).stages["registered → ready"].percentiles
    assert (day.tally.ready, day.first) == (3_000, {})
    assert 1.5 < delays["50"] <= delays["99"] < 1.5 + 0.7 + 2 * day.settings.tick


def test_the_same_seed_is_the_same_day() -> None:
    """A simulation can be repeated; another seed has other arrivals."""
    settings = minutes(5_000, "day", load_quotas("aws/1000"))
    documents = [results(simulate(replace(settings, seed=seed)), NOW) for seed in (1, 1, 2)]

    assert documents[0] == documents[1]
    assert documents[0].series != documents[2].series


def test_a_narrow_mapping_works_at_the_rate_that_arithmetic_gives() -> None:
    """Four batches of ten in 0.73 s are 54.8 photos a second; the backlog grows by the rest of a hundred."""
    calls = PhotoCalls(ingest_seconds=0.7)
    parameters = Parameters(calls=calls, mapping_seconds=0.03)
    uploads = 100 * SHORT

    day = simulate(minutes(uploads, stack=with_maximum(4), parameters=parameters, drain_seconds=900))

    rate = 4 * 10 / 0.73
    assert day.tally.last_ready == pytest.approx(uploads / rate, rel=0.03)
    assert day.tally.peak_backlog == pytest.approx((100 - rate) * SHORT, rel=0.05)
    assert day.tally.peak_backlog_at == pytest.approx(SHORT, abs=3)


@pytest.mark.parametrize("tick", [0.05, 0.1, 0.5])
def test_concurrency_is_rate_times_seconds(tick: float) -> None:
    """Little's law, whether an invocation is longer than a tick or shorter: 20 requests a second of 0.2 s are 4."""
    calls = PhotoCalls(upload=1, polls=0.0, api_seconds=0.2, authorizer_seconds=0.1)
    day = simulate(minutes(20 * SHORT, quotas=load_quotas("off"), tick=tick, parameters=Parameters(calls=calls)))

    points = day.tally.points[5 : SHORT - 5]
    highest = [point.concurrency["api"] for point in points]
    assert 4 <= sum(highest) / len(highest) <= 10  # the highest of a second: above the mean, as arrivals vary
    assert 0.4 < sum(p.concurrency["authorizer"] for p in points) / sum(highest) < 0.8


def test_the_longer_functions_take_the_more_run_at_once() -> None:
    """Concurrency that others need is not given back before an invocation ends: the API's takes away from ingest."""
    slow = Parameters(calls=PhotoCalls(api_seconds=3.0))
    quick = Parameters(calls=PhotoCalls(api_seconds=0.07))
    quotas = lowered("functions", concurrency=100)

    days = [simulate(minutes(20_000, quotas=quotas, parameters=parameters)) for parameters in (quick, slow)]

    quickly, slowly = (max(point.concurrency["api"] for point in day.tally.points) for day in days)
    assert (quickly < 10, slowly > 60) == (True, True)
    assert [("lambda.concurrency", "account") in day.first for day in days] == [False, True]


def test_calls_are_those_of_the_plan() -> None:
    """What a photo costs without retries: 5 WCU (a transaction twice), 2.5 RCU, its PUTs, 1 GET, 0.4 requests."""
    day = simulate(minutes(30_000, quotas=load_quotas("off")))

    calls, photos = day.tally.calls, PhotoCalls()
    assert calls.write_units / 30_000 == photos.table_writes + photos.index_writes == 5
    assert calls.read_units / 30_000 == pytest.approx(photos.table_reads, rel=0.01)
    assert (calls.puts, calls.gets) == ((1 + len(RENDITIONS)) * 30_000, 30_000)
    assert calls.requests == pytest.approx(0.4 * 30_000, rel=0.01)
    assert calls.invocations["authorizer"] == 3_000


def test_what_s3_refuses_too_often_becomes_a_dead_letter() -> None:
    """Renditions are tried again in ingest, then the message comes again, then it is dead; all tries are paid for."""
    stack = with_maximum(None)
    impatient = stack.queues["uploads"].model_copy(update={"visibility_timeout": 12, "max_receive_count": 3})
    stack = stack.model_copy(update={"queues": {**stack.queues, "uploads": impatient}})
    day = simulate(minutes(9_000, quotas=lowered("s3", prefix_writes=40), stack=stack, drain_seconds=600))

    tally, found = day.tally, results(day, NOW)
    assert tally.dead > 0
    assert tally.received_again > 0
    assert tally.calls.puts > 3 * tally.ready
    assert (found.queues[0].dead_letters, found.photos.lost) == (tally.dead, 0)
    assert tally.ready + tally.refused + tally.dead + day.unfinished == 9_000


def test_advice_is_what_the_load_needs_and_it_helps() -> None:
    """A day with a backlog asks for what its peak needs, not for what the backlog used; given that, nothing waits."""
    narrow = SimulationSettings(with_maximum(4), 100 * SHORT, "flat", seconds=SHORT, drain_seconds=900)
    limits = {(limit.limit, limit.subject): limit for limit in results(simulate(narrow), NOW).limits}
    mapping = limits["lambda.mapping_concurrency", "ingest"]

    assert (mapping.peak, mapping.maximum) == (4, 4)
    assert mapping.raise_to == 9  # 100 photos a second × 0.7 s / 10 = 7, and a fifth free
    wide = simulate(replace(narrow, stack=with_maximum(int(mapping.raise_to))))
    before, after = (
        results(day, NOW).stages["registered → ready"].percentiles["99"] for day in (simulate(narrow), wide)
    )
    assert (before > 60, after < 5) == (True, True)


def test_advice_is_that_of_quotas_plan() -> None:
    """The needs are those of the curve's busiest second: ten times the mean at Christmas."""
    settings = SimulationSettings(STACK, 10_000_000, "christmas")

    needs = {(need.limit, need.subject): need for need in needs_of(settings)}

    assert settings.load.rate == pytest.approx(10_000_000 / DAY_SECONDS * 10)
    assert needs["lambda.mapping_concurrency", "ingest"].raise_to == 110
    assert needs["s3.prefix_writes", "personal/renditions/"].status is NeedStatus.FIXED


def test_work_is_bounded_by_ticks_not_by_photos(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred times the photos ask limits no more than twice as often, and at most 16 times a tick."""
    asked: Counter[str] = Counter()
    for name in (
        "request",
        "enter",
        "follow",
        "leave",
        "read",
        "write",
        "put_original",
        "get_original",
        "put_rendition",
    ):
        monkeypatch.setattr(Limits, name, _counted(getattr(Limits, name), asked))
    counts = []
    for uploads in (30_000, 3_000_000):
        asked.clear()
        simulate(minutes(uploads, quotas=load_quotas("off")))
        counts.append(asked.total())

    ticks = (SHORT + 5) / 0.5
    assert counts[1] < 2 * counts[0]
    assert counts[1] / ticks < 16


def _counted(method: Callable[..., Any], asked: Counter[str]) -> Callable[..., Any]:
    @wraps(method)
    def counting(*arguments: Any, **more: Any) -> Any:
        asked[method.__name__] += 1
        return method(*arguments, **more)

    return counting


def test_results_are_a_whole_document() -> None:
    """It reads back the same, its lines are as long as their times, and it has what the report shows."""
    found = results(simulate(SimulationSettings(STACK, 50_000, "christmas", seconds=600, drain_seconds=1200)), NOW)

    assert Results.model_validate_json(found.model_dump_json()) == found
    assert {series.panel for series in found.series} == {
        *("photos/s", "delay", "backlog", "age", "concurrency", "refusals/s")
    }
    assert all(len(series.t) == len(series.values) for series in found.series)
    assert (found.kind, found.offered.photos, found.queues[0].name) == ("simulation", 50_000, "uploads")
    assert found.cost is not None
    assert found.cost.usd > 0
    assert any("lambda.mapping_concurrency of ingest: raise to" in note for note in found.notes)


def test_a_stack_without_ingest_is_refused() -> None:
    """The simulator says which function photos would go through."""
    functions = {name: function for name, function in STACK.functions.items() if name != "ingest"}

    with pytest.raises(StackError, match="ingest"):
        simulate(SimulationSettings(STACK.model_copy(update={"functions": functions}), 10))


def test_the_simulator_needs_no_load_generator() -> None:
    """It is in the wheel for everybody: neither Locust and gevent, which patch sockets, nor the report's Jinja2."""
    heavy = ("locust", "gevent", "jinja2", "aiobotocore")
    code = f"import load_tests.simulator.report, sys; print([name for name in {heavy!r} if name in sys.modules])"

    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)

    assert ended.stdout.strip() == "[]", ended.stderr
