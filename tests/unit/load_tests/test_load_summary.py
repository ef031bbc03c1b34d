"""From records to results: what became of every photo, how long it took, and when a run says nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from load_tests import summary
from load_tests.arrivals import Visit
from load_tests.records import Outcome, PhotoRecord, Records
from load_tests.results import BOUNDS, Distribution, Offered
from load_tests.summary import GeneratorState

SCHEDULE = [Visit(0, 0.2, 3), Visit(1, 1.5, 2), Visit(2, 9.0, 5)]
START = 1_000_000.0


def ready(at: float, took: float, visit: int = 0) -> PhotoRecord:
    """Return a READY photo: registered at second `at`, sent after a fifth of `took`, received after half of it."""
    begin = START + at
    return PhotoRecord(visit, Outcome.READY, begin, begin + took / 5, begin + took / 2, begin + took)


def gone(outcome: str, count: int) -> list[PhotoRecord]:
    """Photos that did not get there."""
    return [PhotoRecord(0, outcome)] * count


@pytest.mark.parametrize(
    ("queued", "unfinished", "lost"),
    [
        pytest.param(0, 0, 3, id="no queue holds them: lost"),
        pytest.param(2, 2, 1, id="two are waiting still"),
        pytest.param(9, 3, 0, id="others wait, too"),
        pytest.param(None, 0, 3, id="nobody could look: lost, to be safe"),
    ],
)
def test_photos_without_an_end_are_lost_or_still_on_their_way(queued: int | None, unfinished: int, lost: int) -> None:
    """What the queues still hold may come; what they don't will not."""
    records = Records(
        [
            ready(0, 1),
            *gone(Outcome.UNSETTLED, 3),
            *gone(Outcome.REFUSED, 2),
            PhotoRecord(0, Outcome.REJECTED, reason="bomb"),
        ]
    )
    found = summary.photo_counts(records, queued, repeated=4)

    assert (found.ready, found.rejected, found.refused, found.repeated) == (1, 1, 2, 4)
    assert (found.unfinished, found.lost) == (unfinished, lost)


def test_arrivals_that_did_not_begin_are_missed() -> None:
    """Whether they were late, or their process went away: what was to come is in the schedule."""
    found = summary.offered(SCHEDULE, Records(visits_begun=2, bytes=5000, late=[0.001, 0.4]))

    assert (found.visits, found.photos, found.bytes, found.missed, found.late_p99) == (3, 10, 5000, 1, 0.4)


OFFERED = Offered(visits=1000, photos=5000, bytes=1, missed=0)


def missing(visits: int) -> Offered:
    """Return the same with some visits missed."""
    return OFFERED.model_copy(update={"missed": visits})


@pytest.mark.parametrize(
    ("offered", "generator", "records", "says"),
    [
        pytest.param(OFFERED, GeneratorState(), Records(), None, id="valid"),
        pytest.param(missing(10), GeneratorState(), Records(), None, id="a hundredth missed"),
        pytest.param(missing(11), GeneratorState(), Records(), r"missed 11 of 1,000", id="more"),
        pytest.param(OFFERED, GeneratorState(saturated=True), Records(), "saturated", id="its CPU was at its end"),
        pytest.param(OFFERED, GeneratorState(workers_lost=1), Records(), "1 of .* went missing", id="a worker died"),
        pytest.param(OFFERED, GeneratorState(stopped_after=9.0), Records(), "stopped after 9 s", id="Ctrl-C"),
        pytest.param(OFFERED, GeneratorState(), Records(photos_begun=7), "7 photos is not known", id="a visit crashed"),
        pytest.param(
            Offered(visits=0, photos=0, bytes=0, missed=0), GeneratorState(), Records(), "nobody came", id="nobody came"
        ),
    ],
)
def test_a_run_that_says_nothing_is_invalid(
    offered: Offered, generator: GeneratorState, records: Records, says: str | None
) -> None:
    """With the reason, for people; one reason is enough."""
    found = summary.invalid_reasons(offered, records, generator)

    if says is None:
        assert found == []
    else:
        assert len(found) == 1
        assert re.search(says, found[0])


def test_stages_are_the_times_between_the_service_s_moments() -> None:
    """Each READY photo once; a clock that went back is no negative time, and what has no moment has no stage."""
    backwards = PhotoRecord(0, Outcome.READY, START, START - 1, START + 1, START + 2)
    stored = PhotoRecord(0, Outcome.READY, START, None, None, START + 2)
    found = summary.stages(
        [ready(0, 10), backwards, stored, PhotoRecord(0, Outcome.REJECTED, START, START, START, START)]
    )

    assert [*found] == [
        "registered → uploaded",
        "uploaded → received",
        "received → ready",
        "registered → ready",
    ]
    assert {name: distribution.count for name, distribution in found.items()}["registered → ready"] == 3
    assert found["registered → uploaded"].max == 2
    assert sorted([found["registered → uploaded"].percentiles["50"], found["uploaded → received"].max]) == [0, 3]
    assert summary.stages([]) == {}


@pytest.mark.parametrize(
    ("load_seconds", "seconds"),
    [
        pytest.param(4.0, 5.0, id="the last photo was READY in the drain"),
        pytest.param(20.0, 20.0, id="all were READY before the load ended"),
    ],
)
def test_rates_are_over_the_run_until_the_last_photo_was_ready(load_seconds: float, seconds: float) -> None:
    """From the run's first second, however late the first photo came, and at least as long as there was load."""
    records = [ready(0.5, 1), ready(2, 3), *gone(Outcome.REFUSED, 9)]
    assert summary.ready_seconds(records, start=START, load_seconds=load_seconds) == pytest.approx(seconds)
    assert summary.ready_seconds([], start=START, load_seconds=load_seconds) == load_seconds


@pytest.mark.parametrize(
    ("count", "too_few_for"),
    [
        (1, ["50", "90", "95", "99", "99.9"]),
        (2, ["90", "95", "99", "99.9"]),
        (74, ["99", "99.9"]),
        (99, ["99", "99.9"]),
        (100, ["99.9"]),
        (999, ["99.9"]),
        (1000, []),
    ],
)
def test_a_percentile_of_few_is_not_told(count: int, too_few_for: list[str]) -> None:
    """p99 of fewer than 100 is the slowest of them by nearest rank; the document names it, and reports show a dash."""
    found = Distribution.of(range(1, count + 1))

    assert found is not None
    assert found.too_few_for == too_few_for
    assert {name for name in found.percentiles if found.percentile(name) is None} == {*too_few_for}
    assert all(found.percentiles[name] == found.max for name in too_few_for)
    assert Distribution.model_validate_json(found.model_dump_json()) == found


@dataclass
class Entry:
    """As Locust's StatsEntry."""

    method: str
    name: str
    num_requests: int
    num_failures: int
    response_times: dict[int, int]


@dataclass
class Error:
    """As Locust's StatsError."""

    method: str
    name: str
    error: Any
    occurrences: int


def test_calls_have_their_percentiles_and_reasons() -> None:
    """From Locust's counters; its wrapping of a reason is taken off, and photos are no calls."""
    entries = [
        Entry("PUT", "presigned URL", 4, 1, {10: 3, 2000: 1}),
        Entry("POST", "/v1/files", 2, 0, {100: 2}),
        Entry("photo", "READY", 9, 0, {100: 9}),
    ]
    errors = [
        Error("PUT", "presigned URL", "CatchResponseError('503 SlowDown')", 1),
        Error("POST", "/v1/projects", "x", 1),
    ]
    post, put = summary.requests(entries, errors)

    assert (post.name, post.count, post.failures, post.reasons) == ("POST /v1/files", 2, 0, {})
    assert (put.name, put.reasons) == ("PUT presigned URL", {"503 SlowDown": 1})
    assert put.seconds is not None
    assert (put.seconds.percentiles["50"], put.seconds.max, put.seconds.count) == (0.01, 2.0, 4)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        ([5.0], {"50": 5, "90": 5, "99": 5, "99.9": 5}),
        (range(1, 101), {"50": 50, "90": 90, "95": 95, "99": 99, "99.9": 100}),
        (range(1, 1001), {"50": 500, "99": 990, "99.9": 999}),
        ([1, 1, 1, 9], {"50": 1, "90": 9}),
    ],
    ids=["one", "a hundred", "a thousand", "ties"],
)
def test_percentiles_are_nearest_rank(seconds: Sequence[float], expected: dict[str, float]) -> None:
    """The smallest value that so many per cent are not above: always one that there was."""
    found = Distribution.of(seconds)

    assert found is not None
    assert {name: found.percentiles[name] for name in expected} == expected


def test_a_histogram_has_every_photo_once() -> None:
    """On a bound it is in the bar below; above the last bound there is a bar, too."""
    found = Distribution.of([0.0, BOUNDS[0], BOUNDS[0] + 0.001, BOUNDS[-1], BOUNDS[-1] + 1])

    assert found is not None
    assert (found.histogram[0], found.histogram[1], found.histogram[-2], found.histogram[-1]) == (2, 1, 1, 1)
    assert sum(found.histogram) == found.count == 5
    assert Distribution.of([]) is None


def test_records_come_whole_through_locust_s_messages() -> None:
    """What one process drained and another merged is what it was, once; msgpack makes lists of tuples."""
    whole, part = Records(), Records()
    part.photos.append(ready(0, 1))
    part.visits_begun, part.photos_begun, part.bytes, part.processes_done = 1, 1, 100, 1
    part.late.append(0.01)
    whole.merge(json.loads(json.dumps(part.drain())))
    whole.merge(part.drain())

    assert whole == Records([ready(0, 1)], 1, 1, 100, [0.01], 1)
    assert part == Records()
    assert isinstance(whole.photos[0], PhotoRecord)


def test_a_settled_file_is_read_from_the_api_s_document() -> None:
    """Moments as Unix seconds; one that is missing is none."""
    document = {
        "state": "REJECTED",
        "reason": "truncated",
        "registered_at": "2026-11-24T10:00:00.250Z",
        "uploaded_at": None,
        "finished_at": "2026-11-24T10:00:01.500Z",
    }
    record = PhotoRecord.of_file(3, document)

    assert (record.visit, record.outcome, record.reason) == (3, "REJECTED", "truncated")
    assert (record.uploaded, record.received) == (None, None)
    assert record.finished - record.registered == pytest.approx(1.25)  # type: ignore[operator]


def test_series_have_every_photo_in_its_second() -> None:
    """Offered by the schedule, READY by the service's moment, delays among those that became READY together."""
    records = [ready(0.2, 0.5), ready(0.3, 1.0), ready(1.5, 4.0), *gone(Outcome.REFUSED, 2)]
    offered, done, p50, p99 = summary.photo_series(records, SCHEDULE, start=START, seconds=10)

    assert (offered.name, offered.t[:3], offered.values[:3]) == ("offered", [0, 1, 2], [3, 2, 0])
    assert sum(value or 0 for value in offered.values) == 10
    assert (done.name, done.values[:6]) == ("ready", [1, 1, 0, 0, 0, 1])
    assert (p50.name, p50.values, p99.values) == ("p50", [0.5, 4.0], [1.0, 4.0])


def test_a_long_run_s_series_stay_short() -> None:
    """A day by the second has some hundred points a line, and the same photos in them."""
    schedule = [Visit(n, n * 10.0, 4) for n in range(8640)]
    offered, *_ = summary.photo_series([], schedule, start=START, seconds=86_400)

    assert len(offered.values) <= 601
    assert sum(value or 0 for value in offered.values) * (offered.t[1] - offered.t[0]) == pytest.approx(4 * 8640)


def test_the_api_s_answers_are_differences_of_counters() -> None:
    """A second's, of all its calls; uploads to S3 are not the API's, and two samples at one moment are one."""
    samples = [
        (0.0, {}),
        (2.0, {"POST /v1/files": (10, 1), "PUT presigned URL": (50, 50)}),
        (2.0, {"POST /v1/files": (10, 1)}),
        (3.0, {"POST /v1/files": (12, 1), "GET /v1/files?id=…": (4, 2)}),
    ]
    answers, failures = summary.call_series(samples)

    assert (answers.t, answers.values) == ([2.0, 3.0], [5.0, 6.0])
    assert failures.values == [0.5, 2.0]
