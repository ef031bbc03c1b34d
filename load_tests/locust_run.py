"""A run inside Locust's processes: workers report what their phones recorded, and the master makes the report.

The same in one process, in a master with forked workers, and in containers: everything goes through Locust's own
messages. The master, or the only process, observes the stack once a second.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gevent
from flask import Flask, Response, send_from_directory
from locust.env import Environment
from locust.runners import MasterRunner, WorkerRunner
from markupsafe import Markup

from console.exits import Exit
from console.output import number_text
from load_tests.generator import VisitShare
from load_tests.live import LiveView, Moment
from load_tests.observe import Observer
from load_tests.observe.generator import GeneratorOfRun, GeneratorUsage, ProcessMeter
from load_tests.outcome import RunFacts, write_outcome
from load_tests.records import READY_METHOD, Records
from load_tests.scenarios import SCENARIOS, Plan, make_plan
from load_tests.settings import LoadSettings
from load_tests.summary import GeneratorState
from load_tests.thresholds import ThresholdError, parse_threshold

_SHARE_MESSAGE = "shoebox_share"
_REPORT_KEY = "shoebox"
_GRACE = 15.0  # seconds after the last visit gave up


class RunError(Exception):
    """The run cannot begin as it was asked for; the message says why."""


@dataclass
class LocustRun:
    """One process's view of a run: its share of the visits and their records, and on the master those of all."""

    settings: LoadSettings
    plan: Plan
    share: VisitShare = field(default_factory=lambda: VisitShare(uuid.uuid4().hex[:8]))
    records: Records = field(default_factory=Records)
    _environment: Environment | None = None
    _monitor: _RunMonitor | None = None
    _meter: ProcessMeter = field(default_factory=ProcessMeter)

    @classmethod
    def of(cls, settings: LoadSettings) -> LocustRun:
        """Return the run that settings ask for.

        Raises:
            RunError: there is no such scenario, or a threshold cannot be read.
        """
        scenario = SCENARIOS.get(settings.scenario)
        if scenario is None:
            raise RunError(f"{settings.scenario!r} is no scenario; there are {', '.join(SCENARIOS)}")
        plan = make_plan(scenario, settings)
        try:
            for threshold in plan.thresholds:
                parse_threshold(threshold)
        except ThresholdError as error:
            raise RunError(str(error)) from error
        return cls(settings, plan)

    def join(self, environment: Environment) -> None:
        """Listen to the events of this Locust process, and add ours to what it reports."""
        self._environment = environment
        logging.getLogger("locust.stats_logger").disabled = True  # our own view shows more
        hooks: Any = environment.events  # Locust's have no types
        runner = environment.runner
        if isinstance(runner, WorkerRunner):
            runner.register_message(_SHARE_MESSAGE, self._take_share)
            hooks.report_to_master.add_listener(self._add_report)
            return
        hooks.worker_report.add_listener(self._merge_report)
        if environment.web_ui and environment.web_ui.app:
            add_results_pages(environment.web_ui.app, self.settings.results)
        hooks.test_start.add_listener(self._start)
        hooks.test_stop.add_listener(self._stop)

    def tick(self, seconds: float) -> tuple[int, float] | None:
        """Return Locust's number of users and spawn rate at this time of the run; None when it is over."""
        end = self.plan.seconds + self.settings.drain_seconds + _GRACE
        if self.records.processes_done >= self.share.of or seconds > end:
            return None
        return self.share.of, 100.0

    def _take_share(self, msg: Any, **_: object) -> None:
        self.share, self.records, self._meter = VisitShare(*msg.data), Records(), ProcessMeter()

    def _add_report(self, data: dict[str, Any], **_: object) -> None:
        """Add a worker's records since its last report, and what it has used for this run, to what Locust sends."""
        data[_REPORT_KEY] = self.records.drain() | {"usage": [self.share.run, *self._meter.usage()]}

    def _merge_report(self, client_id: str, data: dict[str, Any], **_: object) -> None:
        message = data.get(_REPORT_KEY, {})
        self.records.merge(message)
        run, *usage = message.get("usage", [None])
        if self._monitor and run == self.share.run:  # a late report may be of the run before
            self._monitor.generator.note(client_id, GeneratorUsage(*usage))

    def _start(self, **_: object) -> None:
        """Give every worker its share, and begin to observe."""
        assert self._environment is not None
        runner = self._environment.runner
        workers = [*runner.clients.ready] if isinstance(runner, MasterRunner) else []
        run = uuid.uuid4().hex[:8]
        self.share, self.records = VisitShare(run, of=max(1, len(workers))), Records()
        for index, worker in enumerate(workers):
            share = [run, index, len(workers)]
            runner.send_message(_SHARE_MESSAGE, share, client_id=worker.id)  # type: ignore[union-attr]
        self._monitor = _RunMonitor(self, self._environment)

    def _stop(self, **_: object) -> None:
        """Write the report, and set the exit code by it."""
        assert self._environment is not None
        if self._monitor is None:
            return
        facts, monitor = self._monitor.finish(), self._monitor
        self._monitor = None
        results, folder = write_outcome(facts)
        monitor.view.verdict(results, folder)
        self._environment.process_exit_code = (
            Exit.INVALID if results.invalid else Exit.OK if results.passed else Exit.FAILED
        )


class _RunMonitor:
    """Samples the stack, Locust's statistics and the records once a second."""

    def __init__(self, run: LocustRun, environment: Environment) -> None:
        settings = run.settings
        self._run = run
        self._environment = environment
        self._observer = Observer(settings.control_url, pid=settings.stack_pid) if settings.control_url else None
        self._meter, self.generator = ProcessMeter(), GeneratorOfRun()
        self._started_at = time.time()
        self._calls: list[tuple[float, Mapping[str, tuple[int, int]]]] = []
        self.view = LiveView(run.plan)
        self._sample()
        self._loop = gevent.spawn(self._sample_every_second)

    def finish(self) -> RunFacts:
        """Take the last sample, and return everything that is known of the run."""
        self._loop.kill()
        self._sample()
        self.view.close()
        runner, run = self._environment.runner, self._run
        workers_lost = len(runner.clients.missing) if isinstance(runner, MasterRunner) else 0
        stopped_early = run.records.processes_done + workers_lost < run.share.of
        return RunFacts(
            settings=run.settings,
            plan=run.plan,
            records=run.records,
            started_at=self._started_at,
            ended_at=time.time(),
            entries=list(self._environment.stats.entries.values()),
            errors=list(self._environment.stats.errors.values()),
            calls=self._calls,
            generator_state=GeneratorState(
                saturated=bool(runner and (runner.cpu_warning_emitted or runner.worker_cpu_warning_emitted)),
                workers_lost=workers_lost,
                stopped_after=time.time() - self._started_at if stopped_early else None,
            ),
            generator=self.generator,
            observed=self._observer.finish() if self._observer else None,
        )

    def _sample_every_second(self) -> None:
        while True:
            gevent.sleep(1.0)
            self._sample()

    def _sample(self) -> None:
        if self._observer:
            self._observer.sample()
        stats = self._environment.stats
        t = time.time() - self._started_at
        calls = [entry for entry in stats.entries.values() if entry.method != READY_METHOD]
        self._calls.append((t, {f"{e.method} {e.name}": (e.num_requests, e.num_failures) for e in calls}))
        records = self._run.records
        self.generator.note("main", self._meter.usage())
        under_way = records.visits_begun - records.visits_ended
        self.generator.sample(t, under_way, {f"{e.method} {e.name}": e.response_times for e in calls})
        self.view.show(
            Moment(
                t,
                records,
                calls=sum(entry.num_requests for entry in calls),
                failed=sum(entry.num_failures for entry in calls),
                cpu=self.generator.busiest * 100,
                processes=self.generator.count,
                stack=[*_stack_facts(self._observer)] if self._observer else (),
            )
        )


def _stack_facts(observer: Observer) -> Iterator[tuple[str, str]]:
    """Yield what the live view shows of the stack."""
    for name, panel in (("queues", "backlog"), ("at work", "concurrency"), ("refusals/s", "throttles/s")):
        values = observer.latest(panel)
        shown = [f"{what} {number_text(value)}" for what, value in values.items() if value and "limit" not in what]
        yield name, ", ".join(shown) or "none"


_PAGE = Markup("<!doctype html><meta charset=utf-8><title>Runs</title><h1>Runs</h1><ul>{}</ul>")
_LINE = Markup('<li><a href="{0}">{0}</a>')


def add_results_pages(app: Flask, results: Path) -> None:
    """Add the reports of earlier runs to Locust's web page, below /results/; nothing outside that folder."""

    @app.route("/results/")
    def runs() -> Response:
        """List all reports, the newest first."""
        reports = sorted((path.relative_to(results) for path in results.rglob("*.html")), reverse=True)
        lines = Markup("").join(_LINE.format(report.as_posix()) for report in reports)
        return Response(_PAGE.format(lines or "There is none yet."), mimetype="text/html")

    @app.route("/results/<path:name>")
    def run(name: str) -> Response:
        """Send a file of a run."""
        return send_from_directory(results.resolve(), name)
