"""A run as Locust's processes live it: workers tell the master what their phones saw, and the master makes the report.

The same in one process, in a master with forked workers, and in containers: everything goes through Locust's own
messages. The master, or the only process, observes the stack once a second.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import gevent
from locust.env import Environment
from locust.runners import MasterRunner, WorkerRunner

from console.exits import Exit
from console.output import number_text
from load_tests.crowd import Part
from load_tests.generator import GeneratorOfRun, Meter, Usage
from load_tests.live import LiveView, Moment
from load_tests.observe import Observer
from load_tests.outcome import Facts, write_outcome
from load_tests.pages import add_pages
from load_tests.readiness import METHOD as READY_METHOD
from load_tests.records import Records
from load_tests.scenarios import SCENARIOS, Plan, planned
from load_tests.settings import LoadSettings
from load_tests.summary import Generator
from load_tests.thresholds import ThresholdError, check

_MESSAGE = "shoebox_part"
_KEY = "shoebox"
_GRACE = 15.0  # after the last visit gave up


class RunError(Exception):
    """The run can't begin as it was asked for; the message says why."""


@dataclass
class Run:
    """One process's view of a run: its part of it, what its phones saw, and on the master what all of them did."""

    settings: LoadSettings
    plan: Plan
    part: Part = field(default_factory=lambda: Part(uuid.uuid4().hex[:8]))
    records: Records = field(default_factory=Records)
    _environment: Environment | None = None
    _watch: _Watch | None = None
    _meter: Meter = field(default_factory=Meter)

    @classmethod
    def of(cls, settings: LoadSettings) -> Run:
        """The run that settings ask for.

        Raises:
            RunError: there is no such scenario, or a threshold is none.
        """
        scenario = SCENARIOS.get(settings.scenario)
        if scenario is None:
            raise RunError(f"{settings.scenario!r} is no scenario; there are {', '.join(SCENARIOS)}")
        plan = planned(scenario, settings)
        try:
            for threshold in plan.thresholds:
                check(threshold)
        except ThresholdError as error:
            raise RunError(str(error)) from error
        return cls(settings, plan)

    def join(self, environment: Environment) -> None:
        """Hear what happens in this Locust process, and tell the others."""
        self._environment = environment
        logging.getLogger("locust.stats_logger").disabled = True  # our own view shows more
        hooks: Any = environment.events  # Locust's have no types
        runner = environment.runner
        if isinstance(runner, WorkerRunner):
            runner.register_message(_MESSAGE, self._assigned)
            hooks.report_to_master.add_listener(lambda data, **_: data.update({_KEY: self._told()}))
            return
        hooks.worker_report.add_listener(lambda client_id, data, **_: self._heard(client_id, data.get(_KEY, {})))
        if environment.web_ui and environment.web_ui.app:
            add_pages(environment.web_ui.app, self.settings.results)
        hooks.test_start.add_listener(lambda **_: self._start())
        hooks.test_stop.add_listener(lambda **_: self._stop())

    def tick(self, seconds: float) -> tuple[int, float] | None:
        """Locust's users at this time of the run; None when it is over."""
        end = self.plan.seconds + self.settings.drain_seconds + _GRACE
        if self.records.done >= self.part.of or seconds > end:
            return None
        return self.part.of, 100.0

    def _assigned(self, msg: Any, **_: object) -> None:
        self.part, self.records, self._meter = Part(*msg.data), Records(), Meter()

    def _told(self) -> dict[str, Any]:
        """What a worker tells: its records since the last time, and what it has used for this run."""
        return self.records.drain() | {"usage": [self.part.run, *self._meter.usage()]}

    def _heard(self, worker: str, message: dict[str, Any]) -> None:
        self.records.merge(message)
        run, *usage = message.get("usage", [None])
        if self._watch and run == self.part.run:
            self._watch.generator.note(worker, Usage(*usage))

    def _start(self) -> None:
        """Give every worker its part, and begin to watch."""
        assert self._environment is not None
        runner = self._environment.runner
        workers = [*runner.clients.ready] if isinstance(runner, MasterRunner) else []
        run = uuid.uuid4().hex[:8]
        self.part, self.records = Part(run, of=max(1, len(workers))), Records()
        for index, worker in enumerate(workers):
            runner.send_message(_MESSAGE, [run, index, len(workers)], client_id=worker.id)  # type: ignore[union-attr]
        self._watch = _Watch(self, self._environment)

    def _stop(self) -> None:
        """Make the report, and the exit code of it."""
        assert self._environment is not None
        if self._watch is None:
            return
        facts, watch = self._watch.finish(), self._watch
        self._watch = None
        results, folder = write_outcome(facts)
        watch.view.verdict(results, folder)
        self._environment.process_exit_code = (
            Exit.INVALID if results.invalid else Exit.OK if results.passed else Exit.FAILED
        )


class _Watch:
    """Looks at the stack, at Locust's statistics and at the records once a second."""

    def __init__(self, run: Run, environment: Environment) -> None:
        settings = run.settings
        self._run = run
        self._environment = environment
        self._observer = Observer(settings.control_url, pid=settings.stack_pid) if settings.control_url else None
        self._meter, self.generator = Meter(), GeneratorOfRun()
        self._started_at = time.time()
        self._calls: list[tuple[float, Mapping[str, tuple[int, int]]]] = []
        self.view = LiveView(run.plan)
        self._look()
        self._loop = gevent.spawn(self._looks)

    def finish(self) -> Facts:
        """Stop looking; everything that is known."""
        self._loop.kill()
        self._look()
        self.view.close()
        return Facts(
            settings=self._run.settings,
            plan=self._run.plan,
            records=self._run.records,
            started_at=self._started_at,
            ended_at=time.time(),
            entries=list(self._environment.stats.entries.values()),
            errors=list(self._environment.stats.errors.values()),
            calls=self._calls,
            generator=self._judged(),
            watched=self.generator,
            observed=self._observer.finish() if self._observer else None,
        )

    def _judged(self) -> Generator:
        runner, run = self._environment.runner, self._run
        lost = len(runner.clients.missing) if isinstance(runner, MasterRunner) else 0
        early = run.records.done + lost < run.part.of
        return Generator(
            saturated=bool(runner and (runner.cpu_warning_emitted or runner.worker_cpu_warning_emitted)),
            workers_lost=lost,
            stopped_after=time.time() - self._started_at if early else None,
        )

    def _looks(self) -> None:
        while True:
            gevent.sleep(1.0)
            self._look()

    def _look(self) -> None:
        if self._observer:
            self._observer.sample()
        stats = self._environment.stats
        t = time.time() - self._started_at
        calls = [entry for entry in stats.entries.values() if entry.method != READY_METHOD]
        self._calls.append((t, {f"{e.method} {e.name}": (e.num_requests, e.num_failures) for e in calls}))
        records = self._run.records
        self.generator.note("main", self._meter.usage())
        self.generator.sample(
            t, records.begun - records.ended, {f"{e.method} {e.name}": e.response_times for e in calls}
        )
        self.view.show(
            Moment(
                t,
                records,
                calls=sum(entry.num_requests for entry in calls),
                failed=sum(entry.num_failures for entry in calls),
                cpu=self.generator.busiest * 100,
                processes=self.generator.count,
                stack=[*_facts(self._observer)] if self._observer else (),
            )
        )


def _facts(observer: Observer) -> Iterator[tuple[str, str]]:
    """What the stack is at, for the live view."""
    for name, panel in (("queues", "backlog"), ("at work", "concurrency"), ("refusals/s", "throttles/s")):
        values = observer.latest(panel)
        shown = [f"{what} {number_text(value)}" for what, value in values.items() if value and "limit" not in what]
        yield name, ", ".join(shown) or "none"
