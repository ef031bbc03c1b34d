"""The generator's own side of a run: all of its processes, its host, phones, and how long calls took over time."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest

from load_tests.observe import generator
from load_tests.observe.generator import GeneratorOfRun, GeneratorUsage, ProcessMeter
from load_tests.results import Series


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Replace the host's CPU times (psutil, Linux) by those that the test sets."""
    times = SimpleNamespace(user=0.0, system=0.0, idle=0.0, iowait=0.0, steal=0.0, guest=0.0, guest_nice=0.0)
    monkeypatch.setattr(generator.psutil, "cpu_times", lambda: _Times(vars(times)))
    return times


class _Times(SimpleNamespace):
    """A tuple with names, as psutil has it."""

    def __init__(self, values: dict[str, Any]) -> None:
        super().__init__(**values)

    def __iter__(self) -> Any:
        return iter(vars(self).values())


def lines(run: GeneratorOfRun) -> dict[tuple[str, str], Series]:
    """Return the lines by panel and name."""
    return {(series.panel, series.name): series for series in run.series()}


def test_all_processes_of_the_generator_are_counted() -> None:
    """Each by its own clock: workers tell every three seconds, the main process at every look."""
    run = GeneratorOfRun()
    for t in (1, 2, 3):
        run.note("main", GeneratorUsage(0.1 * t, t, 50.0))
        if t == 3:
            run.note("worker 1", GeneratorUsage(2.4, 3.0, 100.0))
            run.note("worker 2", GeneratorUsage(1.5, 3.0, 90.0))
        run.sample(t, 0, {})
    run.note("worker 1", GeneratorUsage(5.4, 6.0, 60.0))

    assert (run.count, run.busiest) == (3, pytest.approx(1.0))
    found = run.process()
    assert (found.role, found.count) == ("generator", 3)
    assert (found.cpu_seconds, found.memory_mb) == (pytest.approx(0.3 + 5.4 + 1.5), 240.0)
    shown = lines(run)
    assert shown["CPU", "generator"].values == pytest.approx([0.1, 0.1, 0.1 + 0.8 + 0.5])
    busiest = shown["CPU", "generator, busiest process"]
    assert (busiest.t, busiest.values) == ([3], pytest.approx([0.8]))


def test_two_reports_at_once_are_no_rate() -> None:
    """The system counts CPU in hundredths of a second: what is used in less than half a second waits for the next."""
    run = GeneratorOfRun()
    run.note("main", GeneratorUsage(0.5, 1.0, 1.0))
    run.note("main", GeneratorUsage(0.6, 1.01, 1.0))

    assert (run.busiest, run.process().cpu_seconds) == (0.5, 0.5)


def test_the_meter_begins_with_the_run() -> None:
    """What the process used before, to make its photos, is not the run's; work since then is."""
    meter = ProcessMeter()
    before = meter.usage()
    until = time.process_time() + 0.05
    while time.process_time() < until:
        pass
    after = meter.usage()

    assert before.cpu_seconds < 0.05 <= after.cpu_seconds + 0.011 < 1  # the system's clock ticks every 10 ms
    assert after.seconds > before.seconds
    assert after.memory_mb > 1


def test_the_host_tells_what_was_stolen(host: SimpleNamespace) -> None:
    """Busy and stolen as shares of all processors; waiting for a disk is idle, and a guest's time is in user's."""
    run = GeneratorOfRun()
    host.user, host.guest, host.system, host.idle, host.iowait, host.steal = 5.0, 5.0, 1.0, 2.0, 1.0, 1.0
    run.sample(1, 0, {})
    run.sample(2, 0, {})  # its clock stood still
    host.idle = 12.0
    run.sample(3, 0, {})

    shown = lines(run)
    assert (shown["host CPU", "busy"].t, shown["host CPU", "busy"].values) == ([1, 3], pytest.approx([60, 0]))
    assert shown["host CPU", "steal"].values == pytest.approx([10, 0])
    assert (run.host().busy, run.host().steal) == pytest.approx((0.3, 0.05))


def test_times_of_calls_are_those_of_their_five_seconds() -> None:
    """Differences of Locust's counters, call by call; a call that was not made has a gap."""
    run = GeneratorOfRun()
    run.sample(1, 2, {})
    run.sample(5, 3, {"PUT": {100: 3, 200: 1}, "GET": {50: 2}})
    run.sample(7, 1, {"PUT": {100: 9, 200: 1}, "GET": {50: 2}})
    run.sample(10, 0, {"PUT": {100: 9, 200: 2, 3000: 8}, "GET": {50: 2}})

    shown = lines(run)
    assert (shown["latency p50", "PUT"].t, shown["latency p50", "PUT"].values) == ([5, 10], [0.1, 3.0])
    assert shown["latency p95", "PUT"].values == [0.2, 3.0]
    assert shown["latency p50", "GET"].values == [0.05, None]
    assert shown["phones", "under way"].values == [2, 3, 1, 0]
