"""A run from the stack's side: what was counted, what was highest, and what was not seen."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import psutil
import pytest
from one_stack import RECORDED, Told, control_port, limit

from load_tests.observe import BilledUsage, Observed, Observer
from load_tests.observe.increases import Increases
from load_tests.observe.panels import Panels
from load_tests.observe.processes import FLEET, ProcessesOfRun, cpu_seconds, role_of
from load_tests.observe.scrape import BadScrape, parse_scrape
from load_tests.results import Series

QUIET = b'{"limits": []}'


class Bench:
    """An observer of a control port that tells what the test says; a look a second."""

    def __init__(self, url: str, told: Told) -> None:
        self.told = told
        self.now = 50.0
        self.observer = Observer(url, pid=None, clock=lambda: self.now)

    def look(self, samples: dict[str, float] | None = None, *limits: dict[str, Any]) -> None:
        """Look in the next second, in which the stack reports this."""
        self.told.samples, self.told.limits = samples or {}, list(limits)
        self.observer.sample()
        self.now += 1

    def finish(self, samples: dict[str, float] | None = None, *limits: dict[str, Any]) -> Observed:
        """Look for the last time, while the stack reports this."""
        self.told.samples, self.told.limits = samples or {}, list(limits)
        return self.observer.finish()


@pytest.fixture
def bench() -> Iterator[Bench]:
    """Nothing was looked at yet."""
    told = Told()
    with control_port(told) as url:
        yield Bench(url, told)


def line(observed: Observed, panel: str, name: str) -> Series:
    """One line of a chart."""
    return next(series for series in observed.series if (series.panel, series.name) == (panel, name))


# --- a look ------------------------------------------------------------------------------------------------------


def recorded() -> tuple[bytes, bytes]:
    """Return /metrics and /quotas of a real stack."""
    return (RECORDED / "metrics.txt").read_bytes(), (RECORDED / "quotas.json").read_bytes()


def test_a_recorded_look_is_read() -> None:
    """Twenty photos: values by labels, limits with their units, no buckets of histograms."""
    scrape = parse_scrape(*recorded())

    assert dict(scrape.by("fleet_emulator_requests_total", "service", "operation"))["s3", "PUT"] == 81
    assert dict(scrape.by("fleet_invocation_seconds_count", "function"))[("ingest",)] == 3
    assert scrape.one("shoebox_photos_repeated_total") == 0
    assert not [name for name in scrape.samples if name.endswith(("_bucket", "_created"))]
    assert {use.limit for use in scrape.limits} >= {"lambda.concurrency", "s3.prefix_writes", "dynamodb.table_writes"}
    assert next(use.maximum for use in scrape.limits if use.limit == "lambda.concurrency") == 1000


MISSING = {
    "a label": (b'fleet_queue_messages{state="waiting"} 3\n', []),
    "all labels": (b"fleet_queue_messages 3\n", []),
    "a number": (b'fleet_queue_messages{queue="uploads",state="waiting"} NaN\n', []),
    "infinite": (b'fleet_queue_messages{queue="uploads",state="waiting"} +Inf\n', []),
    "nothing": (
        b'fleet_queue_messages{state="waiting",more="x",queue="a b\\"{}"} 3\n',
        [(('a b"{}', "waiting"), 3.0)],
    ),
}


@pytest.mark.parametrize(("metrics", "found"), MISSING.values(), ids=MISSING)
def test_a_sample_without_what_is_wanted_is_left_out(metrics: bytes, found: list[object]) -> None:
    """Labels in any order, others beside them, values that are no numbers."""
    assert [*parse_scrape(metrics, QUIET).by("fleet_queue_messages", "queue", "state")] == found


BAD = {
    "no number": (b"fleet_queue_messages{} many\n", QUIET),
    "cut off": (b'fleet_queue_messages{queue="upl', QUIET),
    "no text": (b"\xff\xfe", QUIET),
    "no JSON": (b"", b"<html>"),
    "no document": (b"", b"[]"),
    "no limits": (b"", b"{}"),
    "limits that are none": (b"", b'{"limits": [1]}'),
    "a limit without its use": (b"", b'{"limits": [{"limit": "x", "subject": "y", "most": null}]}'),
    "a use that is no number": (b"", b'{"limits": [{"most": null, "used": null, "peak": 1}]}'),
}


@pytest.mark.parametrize(("metrics", "quotas"), BAD.values(), ids=BAD)
def test_what_is_no_look_is_refused(metrics: bytes, quotas: bytes) -> None:
    """As one fault, whatever is wrong with it."""
    with pytest.raises(BadScrape):
        parse_scrape(metrics, quotas)


@pytest.mark.parametrize(("metrics", "quotas"), BAD.values(), ids=BAD)
def test_what_is_no_look_leaves_a_gap(bench: Bench, metrics: bytes, quotas: bytes) -> None:
    """The looks before and after it count, and the growth between them is not lost."""
    depth = 'fleet_queue_messages{queue="uploads",state="waiting"}'
    again = 'fleet_queue_received_again_total{queue="uploads"}'
    bench.look({depth: 1, again: 5})
    bench.told.metrics, bench.told.quotas = metrics, quotas
    bench.look()
    bench.told.metrics = bench.told.quotas = None
    observed = bench.finish({depth: 3, again: 7})

    assert line(observed, "backlog", "uploads").values == [1, None, 3]
    assert line(observed, "backlog", "uploads").t == [0, 1, 2]
    assert (observed.looks, observed.gaps, observed.queues[0].received_again) == (3, 1, 2)
    assert "1 of 3 samples of the stack failed" in observed.notes[0]


@pytest.mark.parametrize("status", [404, 500, 503])
def test_a_refusal_leaves_a_gap(bench: Bench, status: int) -> None:
    """Whatever its body says."""
    bench.told.status = status
    bench.look({"fleet_concurrency": 1})
    assert bench.finish().gaps == 2


class Stopped(BaseException):
    """As `GreenletExit`: not a fault, but an end."""


def test_a_look_that_was_stopped_does_not_spoil_the_next(bench: Bench) -> None:
    """A greenlet that is killed while it waits for an answer: that comes to nobody, and the next look is whole."""

    def stop(*_: object) -> None:
        raise Stopped

    former = signal.signal(signal.SIGUSR1, stop)
    bench.told.before_answer = lambda: os.kill(os.getpid(), signal.SIGUSR1)
    try:
        with pytest.raises(Stopped):
            bench.look()
    finally:
        bench.told.before_answer = lambda: None
        signal.signal(signal.SIGUSR1, former)
    bench.look({"fleet_gateway_requests_total{}": 1})
    assert bench.finish().gaps == 0


def test_a_stack_that_is_not_there_is_no_fault() -> None:
    """Nothing was seen, nothing is claimed: no zeros."""
    with control_port(Told()) as url:
        pass
    observer = Observer(url, pid=None)
    observer.sample()
    observed = observer.finish()

    assert (observed.looks, observed.gaps) == (2, 2)
    assert (observed.series, observed.limits, observed.queues, observed.processes) == ([], [], [], [])
    assert (observed.repeated, observed.async_events) == (None, None)
    assert observed.usage == BilledUsage()


# --- counters ----------------------------------------------------------------------------------------------------

COUNTERS = {
    "grows": ([{"a": 10}, {"a": 12}, {"a": 15}], {"a": 5}, [{"a": 2}, {"a": 3}], 0),
    "appears": ([{}, {"a": 4}, {"a": 6}], {"a": 6}, [{"a": 4}, {"a": 2}], 0),
    "is missing for a while": ([{"a": 10}, {}, {"a": 15}], {"a": 5}, [{}, {"a": 5}], 0),
    "falls: counted anew from 0": ([{"a": 10}, {"a": 3}, {"a": 4}], {"a": 4}, [{"a": None}, {"a": 1}], 1),
    "one look": ([{"a": 10}], {"a": 0}, [], 0),
}


@pytest.mark.parametrize(("looks", "totals", "grown", "restarts"), COUNTERS.values(), ids=COUNTERS)
def test_counters_grow_from_the_first_look(
    looks: list[dict[str, float]], totals: dict[str, float], grown: list[dict[str, float | None]], restarts: int
) -> None:
    """What was before does not count; a restart is a gap in the line and never negative."""
    increases: Increases[str] = Increases()
    told = [dict(increases.note(look.items())) for look in looks]

    assert (told[1:], increases.totals, increases.restarts) == (grown, totals, restarts)


def test_lines_of_a_panel_share_their_moments() -> None:
    """A line that has no value gets a gap; one that comes later begins later; panels beside are not touched."""
    panels = Panels()
    panels.add("backlog", "messages", 0, {"a": 1})
    panels.add("memory", "MB", 0, {"x": 9})
    panels.gap(1, beside={"memory"})
    panels.add("backlog", "messages", 2, {"b": 5})

    shown = {series.name: (series.unit, series.t, series.values) for series in panels.series()}
    assert shown == {
        "a": ("messages", [0, 1, 2], [1, None, None]),
        "b": ("messages", [2], [5]),
        "x": ("MB", [0], [9]),
    }


# --- what a run came to ------------------------------------------------------------------------------------------

RATE = limit(used=0, peak=80, throttled=3)
LIMITS = {
    "below what was before": ([RATE, RATE | {"used": 30}], 30, 0, None, None),
    "above what was before": ([RATE, RATE | {"used": 30, "peak": 85}], 85, 0, None, 110),
    "new in the run": ([None, limit(used=3, peak=40)], 40, 0, None, None),
    "refuses": ([RATE, RATE | {"used": 100, "peak": 100, "throttled": 43}], 100, 40, 1, 180),
    "refuses below its rate": ([RATE, RATE | {"used": 5, "throttled": 4}], 5, 1, 1, 130),
    "started anew": ([RATE, RATE | {"used": 2, "peak": 7, "throttled": 0}], 7, 0, None, None),
    "infinite": ([limit(most=None), limit(most=None, used=5, peak=9)], 9, 0, None, None),
    "concurrency refuses": (
        [limit(unit="invocations", most=10), limit(unit="invocations", most=10, used=10, peak=10, throttled=500)],
        10,
        500,
        1,
        13,
    ),
}


@pytest.mark.parametrize(("told", "peak", "throttled", "first_at", "raise_to"), LIMITS.values(), ids=LIMITS)
def test_a_limit_over_the_run(
    bench: Bench,
    told: list[dict[str, Any] | None],
    peak: float,
    throttled: int,
    first_at: float | None,
    raise_to: float | None,
) -> None:
    """Its highest use and refusals in the run, when they began, and what to ask for: 80 % used is enough."""
    other = limit("gateway.rate", "account")
    before, after = ([use for use in (other, use) if use] for use in told)
    bench.look({}, *before)
    observed = bench.finish({}, *after)

    (found,) = observed.limits
    assert (found.peak, found.throttled, found.first_at, found.raise_to) == (peak, throttled, first_at, raise_to)


def test_an_unused_limit_is_not_told(bench: Bench) -> None:
    """The nearest come first, and those that nothing used not at all."""
    bench.look({}, limit(subject="a"), limit(subject="b"), limit(subject="c"))
    observed = bench.finish({}, limit(subject="a", peak=10), limit(subject="b", peak=60), limit(subject="c"))

    assert [found.subject for found in observed.limits] == ["b", "a"]


def queue(name: str, waiting: float, in_flight: float = 0, **more: float) -> dict[str, float]:
    """Return a queue's samples; more: `oldest_seconds`, `dead_letters`, `received_again_total`."""
    states = {"waiting": waiting, "in_flight": in_flight}
    samples = {f'fleet_queue_messages{{queue="{name}",state="{state}"}}': count for state, count in states.items()}
    return samples | {f'fleet_queue_{key}{{queue="{name}"}}': value for key, value in more.items()}


def test_a_queue_over_the_run(bench: Bench) -> None:
    """Peaks with their time; dead letters and second deliveries of the run alone, even if letters are redriven."""
    bench.look(queue("uploads", 1, dead_letters=4, received_again_total=10))
    bench.look(queue("uploads", 90, 20, oldest_seconds=7.5, dead_letters=4, received_again_total=11))
    bench.look(queue("uploads", 5, 1, oldest_seconds=2.5, dead_letters=6, received_again_total=14))
    observed = bench.finish(queue("uploads", 0, dead_letters=0, received_again_total=14))

    (found,) = observed.queues
    assert (found.name, found.peak_depth, found.peak_depth_at, found.peak_age) == ("uploads", 110, 1, 7.5)
    assert (found.received_again, found.dead_letters) == (4, 2)
    assert line(observed, "backlog", "uploads").values == [1, 110, 6, 0]
    assert line(observed, "age", "uploads").values == [7.5, 2.5, None]


def test_each_refusal_has_one_reason(bench: Bench) -> None:
    """What limits counted together is what the reasons add up to: batches that waited and refused events, too."""
    reasons = ("ConcurrentInvocationLimitExceeded", "FunctionInvocationRateLimitExceeded")
    names = ("lambda.concurrency", "lambda.scaling", "lambda.mapping_concurrency", "lambda.async_queue", "gateway.rate")
    bench.look({}, *(limit(name, throttled=1) for name in names))
    observed = bench.finish(
        {f'fleet_throttles_total{{function="api",reason="{reason}"}}': n for n, reason in enumerate(reasons, 1)},
        *(limit(name, throttled=n) for n, name in enumerate(names, 2)),
    )

    counted = {(one.subject, one.reason): one.count for one in observed.throttles}
    assert sum(counted.values()) == sum(one.throttled for one in observed.limits) == 15
    assert {reason: count for (_, reason), count in counted.items()} == {
        **dict(zip(reasons, (1, 2), strict=True)),
        **dict(zip(names[2:], (3, 4, 5), strict=True)),
    }


def test_throttles_by_subject_and_reason(bench: Bench) -> None:
    """Functions with AWS's reasons, services by the limit that refused; Lambda's own limits are not told twice."""
    reserved = 'fleet_throttles_total{function="api",reason="ReservedFunctionConcurrentInvocationLimitExceeded"}'
    bench.look({}, limit(throttled=5), limit("lambda.concurrency", "account", throttled=0))
    bench.now += 1
    observed = bench.finish({reserved: 6}, limit(throttled=8), limit("lambda.concurrency", "account", throttled=6))

    assert [(found.subject, found.reason, found.count) for found in observed.throttles] == [
        ("api", "ReservedFunctionConcurrentInvocationLimitExceeded", 6),
        ("photos/originals/", "s3.prefix_writes", 3),
    ]
    rates = {series.name: series.values for series in observed.series if series.panel == "throttles/s"}
    assert rates == {
        "api: ReservedFunctionConcurrentInvocationLimitExceeded": [3],
        "photos/originals/: s3.prefix_writes": [1.5],
    }


def test_concurrency_stands_beside_its_limits(bench: Bench) -> None:
    """Of each function, of the account, and of a reservation; an infinite limit has no line."""
    samples = {f'fleet_concurrency{{function="{name}"}}': count for name, count in {"api": 3, "ingest": 4}.items()}
    account = limit("lambda.concurrency", "account", used=7, most=990)
    observed = bench.finish(samples, account, limit("lambda.reserved_concurrency", "ingest", used=4, most=10))

    lines = {series.name: series.values for series in observed.series if series.panel == "concurrency"}
    assert lines == {"api": [3], "ingest": [4], "account": [7], "account limit": [990], "ingest limit": [10]}


def test_environments_are_those_that_have_not_ended(bench: Bench) -> None:
    """All states together, by function."""
    states = {"starting": 1, "ready": 2, "draining": 1}
    observed = bench.finish({f'fleet_environments{{function="api",state="{s}"}}': n for s, n in states.items()})
    assert line(observed, "environments", "api").values == [4]


def with_more(metrics: bytes, increases: dict[str, float]) -> bytes:
    """Return an exposition whose samples, each named by what its line begins with, are larger by so much."""
    lines = metrics.decode().splitlines()
    for sample, more in increases.items():
        (n,) = [n for n, text in enumerate(lines) if text.startswith(sample + " ")]
        lines[n] = f"{sample} {float(lines[n].rpartition(' ')[2]) + more}"
    return "\n".join([*lines, ""]).encode()


REQUESTS = "fleet_emulator_requests_total"
UNITS = "fleet_emulator_units_total"
CALLS = "fleet_queue_calls_total"


def test_quantities_for_the_bill(bench: Bench) -> None:
    """From a recorded look to one that is more by known amounts: exactly these."""
    before, bench.told.quotas = recorded()
    bench.told.metrics = before
    bench.look()
    bench.told.metrics = with_more(
        before,
        {
            REQUESTS + '{operation="PUT",service="s3"}': 10,
            REQUESTS + '{operation="GET",service="s3"}': 3,
            REQUESTS + '{operation="BUCKET",service="s3"}': 76,
            REQUESTS + '{operation="PublishBatch",service="sns"}': 2,
            REQUESTS + '{operation="GetQueueAttributes",service="sqs"}': 4,
            REQUESTS + '{operation="ReceiveMessage",service="sqs"}': 70,
            UNITS + '{operation="Write",service="dynamodb",subject="shoebox-files"}': 4,
            UNITS + '{operation="Write",service="dynamodb",subject="shoebox-files/index/by-owner"}': 3,
            UNITS + '{operation="Read",service="dynamodb",subject="shoebox-files"}': 0.5,
            CALLS + '{operation="ReceiveMessage",queue="uploads"}': 5,
            CALLS + '{operation="DeleteMessageBatch",queue="uploads"}': 2,
            'fleet_invocation_seconds_count{function="ingest"}': 5,
            'fleet_invocation_seconds_sum{function="ingest"}': 2.5,
        },
    )
    bench.told.metrics += f'{REQUESTS}{{operation="SendMessage",service="sqs"}} 1\n'.encode()
    usage = bench.finish().usage

    assert usage == BilledUsage(
        gateway_requests=0,
        function_requests={"authorizer": 0, "api": 0, "ingest": 5},
        function_gb_seconds={"authorizer": 0, "api": 0, "ingest": pytest.approx(2.5 * 2)},
        dynamodb_write_units=7,
        dynamodb_read_units=0.5,
        s3_puts=10,
        s3_gets=3,
        s3_deletes=0,
        sqs_requests={"SendMessage": 1, "ReceiveMessage": 5, "DeleteMessageBatch": 2},
        sns_publishes={"PublishBatch": 2},
    )


UNCOUNTED = {
    "nobody counts": ({}, None, None, "--quotas off"),
    "mappings alone": (
        {'fleet_queue_calls_total{queue="uploads",operation="ReceiveMessage"}': 3.0},
        None,
        {"ReceiveMessage": 0},
        "--quotas off",
    ),
    "clients go past": ({'fleet_emulator_requests_total{service="s3",operation="PUT"}': 3.0}, 0, {}, "straight"),
}


@pytest.mark.parametrize(("samples", "puts", "sqs", "note"), UNCOUNTED.values(), ids=UNCOUNTED)
def test_what_nobody_counts_is_not_zero(
    bench: Bench, samples: dict[str, float], puts: float | None, sqs: dict[str, float] | None, note: str
) -> None:
    """None, and a note that says why."""
    bench.look(samples)
    observed = bench.finish(samples)

    assert (observed.usage.s3_puts, observed.usage.sqs_requests) == (puts, sqs)
    assert any(note in text for text in observed.notes)


def test_photos_done_twice_and_events(bench: Bench) -> None:
    """Counted from the first look; what never appeared is not known."""
    ended = 'fleet_async_events_total{function="ingest",fate="succeeded"}'
    pending = 'fleet_async_pending{function="ingest"}'
    bench.look({"shoebox_photos_repeated_total": 2, ended: 1})
    bench.look({"shoebox_photos_repeated_total": 3, pending: 9})
    observed = bench.finish({"shoebox_photos_repeated_total": 5, ended: 5, pending: 2})

    assert (observed.repeated, observed.skipped) == (3, None)
    assert observed.async_events is not None
    assert (observed.async_events.succeeded, observed.async_events.peak_pending) == (4, 9)
    assert [(queue.name, queue.peak_depth) for queue in observed.queues] == [("asynchronous events of ingest", 9)]
    assert observed.still_queued == 2


def test_a_restart_is_told(bench: Bench) -> None:
    """What the new fleet counted is in the figures, and a note says that something may be missing."""
    invocations = 'fleet_invocation_seconds_count{function="api"}'
    bench.look({invocations: 100})
    bench.look({invocations: 4})
    observed = bench.finish({invocations: 6})

    assert observed.usage.function_requests == {"api": 6}
    assert any("started anew" in note for note in observed.notes)


# --- processes ---------------------------------------------------------------------------------------------------


def test_the_fleet_tells_about_its_own_process(bench: Bench) -> None:
    """On another machine: its CPU and resident memory, and a note that the others are not seen."""
    bench.look({"process_cpu_seconds_total": 10, "process_resident_memory_bytes": 100 * 2**20})
    bench.now += 1
    observed = bench.finish({"process_cpu_seconds_total": 13, "process_resident_memory_bytes": 90 * 2**20})

    (process,) = observed.processes
    assert (process.role, process.cpu_seconds, process.memory_mb) == ("fleet and gateway", 3, 100)
    assert line(observed, "CPU", "fleet and gateway").values == [1.5]
    assert any("only the fleet's own" in note for note in observed.notes)


PARENT = """
import json, os, subprocess, sys
print(flush=True)
sys.stdin.readline()
child = subprocess.Popen(json.loads(os.environ["CHILD"]), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid, flush=True)
sys.stdin.readline()
child.communicate()
print("ended", flush=True)
sys.stdin.read()
"""
IDLE = "import sys\nprint(flush=True)\nsys.stdin.read()"
BUSY = "import sys, time\nwhile time.process_time() < 0.3: pass\nprint(flush=True)\nsys.stdin.read()"


@contextmanager
def parent(*child: str, **environment: str) -> Iterator[tuple[int, Callable[[], AbstractContextManager[int]]]]:
    """Start a process without children; yield its id, and how to give it one."""
    told = {"PATH": os.environ["PATH"], "CHILD": json.dumps([sys.executable, "-c", *child]), **environment}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", PARENT], env=told, text=True, **pipes) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        to, of = process.stdin, process.stdout

        def say() -> str:
            to.write("\n")
            to.flush()
            return of.readline()

        @contextmanager
        def child_of() -> Iterator[int]:
            yield int(say())
            assert say() == "ended\n"

        of.readline()
        yield process.pid, child_of
        to.close()


def test_processes_here_are_seen_by_role() -> None:
    """Real ones: a child that starts in the run counts from its start, and still counts when it has ended."""
    panels = Panels()
    with parent(BUSY, "workers.runtime", AWS_LAMBDA_FUNCTION_NAME="shoebox-ingest") as (pid, child_of):
        seen = ProcessesOfRun(pid)
        seen.note(0, None, panels)
        with child_of() as child:
            assert role_of(psutil.Process(child)) == "function ingest"
            used = cpu_seconds(psutil.Process(child))
            seen.note(10, None, panels)
        seen.note(20, None, panels, last=True)

    (found,) = [process for process in seen.results() if process.role == "function ingest"]
    assert (found.count, found.cpu_seconds) == (1, pytest.approx(used, abs=0.2))
    assert found.cpu_seconds >= 0.29
    assert found.memory_mb > 1
    cores = next(s for s in panels.series() if (s.panel, s.name) == ("CPU", "function ingest"))
    assert cores.values[0] == pytest.approx(found.cpu_seconds / 10, abs=0.02)


@pytest.mark.parametrize(
    ("argument", "role"),
    [
        ("/home/me/emulator/server/main.py", "emulator"),
        ("--data=/home/me/emulator/.shoebox", FLEET),
        ("/home/me/workers.runtime/stack.yaml", FLEET),
    ],
)
def test_a_role_is_told_by_the_program_alone(argument: str, role: str) -> None:
    """A folder may have any name: a checkout in one called "emulator" changes no role."""
    with parent(IDLE, argument) as (_, child_of), child_of() as child:
        assert role_of(psutil.Process(child)) == role


def test_a_child_that_looks_like_the_fleet_is_asked_twice() -> None:
    """Between fork and exec it has its parent's command line, so its role is believed at the next look only."""
    counts = []
    with parent(IDLE) as (pid, child_of):
        seen = ProcessesOfRun(pid)
        seen.note(0, None, Panels())
        with child_of():
            for t in (10, 20):
                seen.note(t, None, Panels())
                counts.append({process.role: process.count for process in seen.results()}["fleet and gateway"])
    assert counts == [1, 2]


def test_a_process_that_has_ended_is_a_gap() -> None:
    """The stack died: no fault of the observer."""
    with subprocess.Popen([sys.executable, "-c", "pass"]) as child:
        child.wait()
    seen = ProcessesOfRun(child.pid)
    seen.note(0, None, Panels())
    seen.note(3, None, Panels(), last=True)
    assert seen.results() == []
