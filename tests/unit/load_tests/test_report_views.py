"""What the report says: verdict, tables, histograms, and two runs compared."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from load_tests.report import tables
from load_tests.report.comparison import comparison_of
from load_tests.report.formats import SPACE
from load_tests.report.histograms import HEIGHT, WIDTH, histograms_of
from load_tests.report.verdict import limited_by, verdict_of
from load_tests.results import Distribution, Limit, PhotoCounts, RequestStats, Results, Threshold, Throttle
from load_tests.thresholds import judge
from tests.unit.load_tests.report_runs import christmas, naive, simulated_day


def test_the_sentence_says_it_all() -> None:
    """Rate, a day's uploads here and at full scale, p99, lost, and what limited, in one sentence."""
    verdict = verdict_of(christmas())
    assert verdict.state == "passed"
    assert verdict.reasons == ()
    assert _plain(verdict.sentence) == (
        "31.2 photos/s READY (16,187 in 8 min 39 s, 8 min of it load) = 2.7 million a day here, 269.6 million a day at "
        "full scale (aws/100); 99 in 100 photos were READY within 4.29 s; 0 lost; first limit hit: "
        "lambda.reserved_concurrency of ingest at 3:08."
    )


def test_the_rate_and_its_time_agree() -> None:
    """Wherever a rate is shown, it is what stands beside it by the seconds that stand beside it."""
    photos = PhotoCounts(ready=74, rejected=0, refused=0, unfinished=0, lost=0)
    run = christmas(photos=photos, seconds=20.0, drain_seconds=12.0, ready_seconds=20.0, ready_per_second=74 / 20)
    verdict = verdict_of(run)
    assert _plain(verdict.sentence).startswith("3.70 photos/s READY (74 in 20 s) = ")
    [rate] = [figure for figure in verdict.figures if figure.unit == "photos/s"]
    assert (rate.value, _plain(rate.about)) == ("3.70", "READY: 74 in 20 s")
    table = tables.requests(run)
    assert _plain(table.note).startswith("Calls/s over 20.0 s, as the photos’ rate.")
    assert table.rows[0].cells[4] == "270"  # 5,407 calls
    assert judge(run, ["ready_per_second>=3.7"])[0].ok
    before = run.model_copy(update={"ready_seconds": None, "ready_per_second": 74 / 17.9})
    assert _plain(verdict_of(before).sentence).startswith("4.13 photos/s READY (74 in 17.9 s, 20 s of it load) = ")


def test_percentiles_of_few_say_so() -> None:
    """A dash with the reason in tables, the slowest by its name in figures, sentence and thresholds."""
    whole = Distribution.of([n / 10 for n in range(1, 75)])
    run = christmas(stages={"registered → ready": whole}, requests=[])
    assert "; all 74 were READY within 7.40 s; " in _plain(verdict_of(run).sentence)
    figures = {one.about: _plain(one.value) for one in verdict_of(run).figures}
    assert figures["slowest of 74, registered → READY: p99 needs 100"] == "7.40 s"
    table = tables.stages(run)
    assert [_plain(cell) for cell in table.rows[0].cells[3:]] == ["3.70 s", "6.70 s", "7.10 s", "–", "–", "7.40 s"]
    assert table.note == "–: too few photos (p99 needs 100, p99.9 needs 1,000); the slowest is below “max”."
    assert [mark.text.split()[0] for one in histograms_of(run) for mark in one.marks] == ["p50"]
    [threshold] = judge(run, ["ready_p99<10"])
    assert (threshold.value, threshold.ok, threshold.note) == (7.4, True, "max of 74")
    shown = tables.thresholds(run.model_copy(update={"thresholds": [threshold]})).rows[0].cells
    assert _plain(shown[2]) == "7.40 s (max of 74)"
    [missed] = verdict_of(run.model_copy(update={"thresholds": judge(run, ["ready_p99<5"])})).reasons
    assert _plain(missed) == "ready_p99 < 5 s was not met: it was 7.40 s (max of 74)"


def test_refusals_are_counted_once() -> None:
    """The figure, what throttled first and the reasons have the same sum; batches that waited are explained."""
    waited = Limit(limit="lambda.mapping_concurrency", subject="ingest", unit="batches", peak=4, maximum=4, throttled=3)
    run = christmas(limits=[waited], throttles=[Throttle(subject="ingest", reason=waited.limit, count=3)])
    totals = [table.rows[-1].cells[-1] for table in (tables.first_refusals(run), tables.throttles(run))]
    [figure] = [figure for figure in verdict_of(run).figures if figure.about == "refusals by limits"]
    assert (totals, figure.value, figure.bad) == (["3", "3"], "3", True)
    assert tables.throttles(run).note.startswith("lambda.mapping_concurrency: batches that had to wait")
    assert tables.throttles(christmas()).note == ""


def test_a_missed_threshold_fails_the_run_and_is_named() -> None:
    """The reasons are the thresholds that were not met, with bound and value."""
    missed = [_threshold("ready_p99", "<", 5, 7.25, ok=False), _threshold("dead_letters", "==", 0, None, ok=False)]
    verdict = verdict_of(christmas(thresholds=missed))
    assert verdict.state == "failed"
    assert [_plain(reason) for reason in verdict.reasons] == [
        "ready_p99 < 5 s was not met: it was 7.25 s",
        "dead_letters = 0 was not met: nothing was seen of it",
    ]


def test_an_invalid_run_is_neither_passed_nor_failed() -> None:
    """A saturated generator makes a run say nothing, whatever its thresholds say."""
    verdict = verdict_of(christmas(invalid=["the generator was saturated"]))
    assert (verdict.state, verdict.reasons) == ("invalid", ("the generator was saturated",))


def test_a_run_without_thresholds_has_not_passed() -> None:
    """Where nothing was asked, half of the photos may be unfinished; the figure says so."""
    photos = PhotoCounts(ready=8_110, rejected=0, refused=0, unfinished=8_110, lost=0)
    verdict = verdict_of(christmas(thresholds=[], photos=photos))
    assert verdict.state == "unjudged"
    [figure] = [figure for figure in verdict.figures if figure.about == "refused or unfinished"]
    assert (_plain(figure.value), figure.bad) == ("50.0 %", True)


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ([], "limits were not seen from here"),
        ([("lambda.async_queue", 2, None, 0, None)], "no limit of AWS was kept"),
        ([("a", 5, 10, 0, None), ("b", 9, 10, 0, None)], "no limit of AWS was hit; nearest b of x, 90.0 % used"),
        ([("a", 5, 10, 0, None)], "no limit of AWS was hit; the nearest was a of x, 50.0 % used"),
        ([("a", 10, 10, 5, 90.0), ("b", 10, 10, 7, 30.0)], "first limit hit: b of x at 0:30"),
        ([("a", 10, 10, 5, None), ("b", 10, 10, 7, 30.0)], "first limit hit: b of x at 0:30"),
        ([("a", 10, 10, 5, None)], "first limit hit: a of x"),
    ],
    ids=["unseen", "unlimited", "near", "far", "first", "unknown-last", "unknown"],
)
def test_what_limited(limits: list[tuple[str, float, float | None, int, float | None]], said: str) -> None:
    """The limit that refused first, or else the nearest one."""
    found = [
        Limit(limit=name, subject="x", unit="", peak=peak, maximum=maximum, throttled=throttled, first_at=first)
        for name, peak, maximum, throttled, first in limits
    ]
    assert _plain(limited_by(christmas(limits=found))) == said


def test_what_was_not_watched_is_unknown() -> None:
    """Without the fleet's control port, limits and costs are dashes, never nought."""
    unseen = christmas(limits=[], throttles=[], queues=[], processes=[], cost=None, stages={})
    figures = {figure.about: figure.value for figure in verdict_of(unseen).figures}
    assert figures["refusals by limits"] == "–"
    assert figures["p99, registered → READY"] == "–"
    assert tables.first_refusals(unseen).empty == tables.NOT_SEEN
    for table in (tables.queues, tables.processes, tables.cost, tables.stages, tables.limits):
        assert table(unseen).rows == ()
        assert table(unseen).empty


@pytest.mark.parametrize(
    ("run", "said"),
    [
        (christmas, "Scaled down: every photo stands for 100"),
        (lambda: christmas(scale=1, quotas="aws"), "Full scale: a photo is a photo"),
        (simulated_day, "Simulated, not measured: no photo was uploaded. Full scale"),
    ],
    ids=["aws/100", "aws", "simulation"],
)
def test_the_scale_is_stated(run: Callable[[], Results], said: str) -> None:
    """A reader learns what one photo of the run stands for."""
    assert verdict_of(run()).scale.startswith(said)


def test_thresholds_have_units() -> None:
    """Names of metrics tell seconds and shares."""
    rows = tables.thresholds(christmas()).rows
    assert [tuple(map(_plain, row.cells)) for row in rows] == [
        ("lost", "= 0", "0", "✓ met"),
        ("ready_p99", "< 5 s", "4.21 s", "✓ met"),
        ("api_failures_share", "< 0.1 %", "0.042 %", "✓ met"),
        ("missed_share", "< 1 %", "0.02 %", "✓ met"),
    ]
    [row] = tables.thresholds(christmas(thresholds=[_threshold("lost", "==", 0, 3, ok=False)])).rows
    assert (row.cells[-1], row.kind) == ("✗ missed", "bad")


def test_outcomes_add_up_and_lost_photos_stand_out() -> None:
    """Each photo has one outcome; what must not be is marked."""
    photos = PhotoCounts(ready=16_187, rejected=30, refused=0, unfinished=0, lost=3)
    rows = {row.cells[0]: row for row in tables.outcomes(christmas(photos=photos)).rows}
    assert (rows["lost"].cells[1], rows["lost"].kind) == ("3", "bad")
    assert rows["rejected"].kind == rows["refused"].kind == ""


def test_limits_have_the_nearest_first() -> None:
    """Those that refused come first, by when; an unused one is only counted."""
    table = tables.limits(christmas())
    assert [row.cells[0] for row in table.rows] == [
        "lambda.reserved_concurrency",
        "s3.put",
        "gateway.rate",
        "lambda.concurrency",
        "dynamodb.partition_writes",
        "sqs.in_flight",
        "lambda.async_queue",
    ]
    assert tuple(map(_plain, table.rows[0].cells[2:])) == (
        "4 invocations", "4", "100 %", "1 ×", "212", "3:08", "12 invocations",
    )  # fmt: skip
    assert tuple(map(_plain, table.rows[-1].cells[2:])) == ("2 events", "∞", "–", "–", "0", "–", "–")
    assert "1." in table.note


def test_requests_say_why_they_failed() -> None:
    """The reasons stand below a call, the most frequent first; a call without times has dashes."""
    request = RequestStats(name="GET", count=10, failures=10, seconds=None, reasons={"503": 1, "429": 9})
    rows = tables.requests(christmas(requests=[request], ready_seconds=100)).rows
    assert [row.cells for row in rows[1:]] == [("9 × 429",), ("1 × 503",)]
    assert tuple(map(_plain, rows[0].cells)) == ("GET", "10", "10", "100 %", "0.1", "–", "–", "–", "–", "–")


def test_processes_are_told_by_photo() -> None:
    """CPU a photo is CPU seconds by photos that became READY."""
    rows = tables.processes(christmas()).rows
    assert tuple(map(_plain, rows[0].cells)) == ("emulator", "1", "262 CPU s", "0.5 cores", "16.2 ms", "1,904 MB")
    assert rows[-1].kind == "total"
    nothing = christmas(photos=PhotoCounts(ready=0, rejected=0, refused=16_220, unfinished=0, lost=0))
    assert tables.processes(nothing).rows[0].cells[4] == "–"


def test_cost_is_told_by_service() -> None:
    """A service's items stand below it with their price; unverified prices are marked, and the day is at full scale."""
    table = tables.cost(christmas())
    rows = [tuple(map(_plain, row.cells)) for row in table.rows]
    assert ("DynamoDB", "", "", "$4.00") in rows
    assert ("write units", "6.0 million units", "$0.625 / million", "$3.76") in rows
    assert ("publishes †", "1.0 million requests", "$0.50 / million", "$0.50") in rows
    assert rows[-1] == ("together", "", "", "$32.27")
    assert "Prices of 2026-11-20, us-east-1. † not checked" in table.note
    assert "at full scale: $8,700" in table.note


def test_histograms_have_the_same_axes() -> None:
    """Bars are as high as their shares, within the drawing, and tell times, photos and share."""
    found = histograms_of(christmas())
    assert [one.stage for one in found] == list(christmas().stages)
    assert len({(one.times, one.shares) for one in found}) == 1
    for one in found:
        assert all(0 <= bar.x < WIDTH and one.top <= bar.y < HEIGHT and bar.width > 0 for bar in one.bars)
        assert [mark.text.split()[0] for mark in one.marks] == ["p50", "p99"]
        assert one.marks[0].x < one.marks[1].x
    tallest = max((bar for one in found for bar in one.bars), key=lambda bar: bar.height)
    assert tallest.y == found[0].top


@pytest.mark.parametrize("seconds", [[0.0], [0.04], [1e6], [0.05, 21_600]], ids=["zero", "least", "most", "ends"])
def test_histograms_hold_every_time(seconds: list[float]) -> None:
    """Times at and beyond the outermost bounds are drawn, too."""
    [one] = histograms_of(christmas(stages={"registered → ready": Distribution.of(seconds)}))
    assert len(one.bars) == len(seconds)
    assert all(one.left <= mark.x <= one.right for mark in one.marks)


def test_two_runs_are_on_the_same_axes() -> None:
    """Each panel has one scale for both, and the same lines have the same colours."""
    comparison = comparison_of(naive(), christmas())
    for pair in comparison.pairs:
        if pair.left and pair.right:
            assert (pair.left.top, pair.left.span) == (pair.right.top, pair.right.span)
            colours = {line.name: line.colour for line in pair.left.lines}
            assert all(colours.get(line.name, line.colour) == line.colour for line in pair.right.lines)
    drains = [(pair.left.end, pair.right.end) for pair in comparison.pairs if pair.left and pair.right]
    assert set(drains) == {(520.0, 520.0)}
    backlog = next(pair for pair in comparison.pairs if pair.title == "Backlog")
    assert backlog.left is None
    assert backlog.right is not None


def test_the_comparison_says_whom_the_uploads_throttled() -> None:
    """Its sentence and tables are about the API; a run without limits was not observed."""
    comparison = comparison_of(naive(), christmas())
    said = "“naive”: the API was throttled 3,052 times. “christmas”: the API was never throttled."
    assert comparison.sentence == said
    assert comparison.throttles.rows[0].cells == ("api: ConcurrentInvocationLimitExceeded", "2,841", "0")
    unseen = comparison_of(naive(), christmas(limits=[], throttles=[]))
    assert unseen.sentence.endswith("“christmas”: the API was not observed.")
    assert unseen.throttles.rows[0].cells[2] == "–"


def test_the_apis_throttles_have_a_panel_of_their_own() -> None:
    """They are what a comparison is about, and would be lost among ingest's and DynamoDB's."""
    pairs = {pair.title: pair for pair in comparison_of(naive(), christmas()).pairs}
    assert list(pairs)[:2] == ["API", "API throttles"]
    assert pairs["API throttles"].right is None
    assert pairs["Throttles"].left is None


def test_a_drain_ends_with_its_own_run() -> None:
    """A shorter run is on the longer one's axis, and its drain is not."""
    short = [series for series in naive().series if series.panel != "memory"]
    cut = [series.model_copy(update={"t": series.t[:500], "values": series.values[:500]}) for series in short]
    comparison = comparison_of(naive(series=cut), christmas())
    photos = next(pair for pair in comparison.pairs if pair.title == "Photos")
    assert photos.left is not None
    assert (photos.left.span, photos.left.end) == (520.0, 499.0)


@pytest.mark.parametrize(
    ("changed", "names"),
    [
        ({"scenario": "day"}, ("christmas", "day")),
        ({"config": {"stack": "naive"}}, ("queue", "naive")),
        ({"quotas": "aws/10"}, ("aws/100", "aws/10")),
        ({}, ("left", "right")),
    ],
    ids=["scenario", "stack", "quotas", "the same"],
)
def test_runs_are_named_by_what_tells_them_apart(changed: dict[str, object], names: tuple[str, str]) -> None:
    """The scenario, or else the stack, the quotas, the moment."""
    comparison = comparison_of(christmas(), christmas(**changed))
    assert (comparison.left.name, comparison.right.name) == names


def test_only_differing_settings_are_shown() -> None:
    """What both runs had in common needs no row."""
    comparison = comparison_of(christmas(), christmas(seed=1, config={"stack": "naive"}))
    assert ("seed", "20261124", "1") in [row.cells for row in comparison.settings.rows]
    assert "scenario" not in [row.cells[0] for row in comparison.settings.rows]


def _threshold(metric: str, operator: str, bound: float, value: float | None, *, ok: bool) -> Threshold:
    return Threshold.model_validate({"metric": metric, "operator": operator, "bound": bound, "value": value, "ok": ok})


def _plain(text: str) -> str:
    return text.replace(SPACE, " ")
