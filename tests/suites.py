"""The suites: which worker runs what, and how long each took.

Under pytest-xdist a worker takes a module at a time. What shares an expensive stack stays on one worker: everything on
LocalStack and in containers, the pages, the faults. The pages follow the containers on theirs, for Chromium fails what
it loads (ERR_NETWORK_CHANGED) when Docker makes or removes an interface. The long suites begin, so that the workers
end together.
"""

import os
import re
import time
from collections import Counter
from collections.abc import Generator
from pathlib import Path
from typing import Any

import psutil
import pytest
from xdist.scheduler import LoadScopeScheduling

LONGEST_FIRST = ("localstack", "chaos", "page", "e2e", "contract", "emulator", "unit")
_ON_LOCALSTACK = re.compile(r"[\[-]localstack[\]-]")  # a parameter's id
WORKER_OF = {"localstack": "network", "page": "network", "chaos": "chaos"}


def suite_of(nodeid: str) -> str:
    """Return the suite of a test: its folder below tests/, unit and contract by their parts, LocalStack's apart."""
    path, _, name = nodeid.partition("::")
    folder, *deeper = Path(path).parts[1:-1] or ("tests",)
    if _ON_LOCALSTACK.search(name):
        return "localstack"
    return "/".join([folder, *deeper[:1]]) if folder in ("unit", "contract") else folder


def _order(item: pytest.Item) -> int:
    folder = suite_of(item.nodeid).partition("/")[0]
    return LONGEST_FIRST.index(folder) if folder in LONGEST_FIRST else len(LONGEST_FIRST)


class ModulesAndStacks(LoadScopeScheduling):
    """Give a worker a module at a time, or all tests of a suite that shares a stack."""

    def _split_scope(self, nodeid: str) -> str:
        return WORKER_OF.get(suite_of(nodeid)) or nodeid.partition("::")[0]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ModulesAndStacks:
    """Schedule in the order of the collection, not by numbers of tests."""
    config.option.loadscopereorder = False
    return ModulesAndStacks(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let the workers begin with what takes longest."""
    if hasattr(config, "workerinput"):
        items.sort(key=_order)


def pytest_configure(config: pytest.Config) -> None:
    """Begin to count."""
    config.pluginmanager.register(Minutes(config))


class Minutes:
    """Count each suite's tests, the time of its workers, and the CPU of them and of the processes they started.

    A process that lasts longer than a suite, such as a worker's emulator, counts where its CPU was used.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._began = time.perf_counter()
        self._tests: Counter[str] = Counter()
        self._seconds: Counter[str] = Counter()
        self._cpu_seconds: Counter[str] = Counter()
        self._cpu_so_far = 0.0

    def pytest_collection_finish(self) -> None:
        """Leave out the CPU of the collection."""
        self._cpu_so_far = _cpu_seconds()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None, Any, Any]:
        """Look at the CPU after the last test of a module."""
        ran = yield
        if nextitem is None or nextitem.path != item.path or suite_of(nextitem.nodeid) != suite_of(item.nodeid):
            used = _cpu_seconds()
            self._cpu_seconds[suite_of(item.nodeid)] += max(0.0, used - self._cpu_so_far)
            self._cpu_so_far = used
        return ran

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add a test's set-up, call or teardown."""
        suite = suite_of(report.nodeid)
        self._seconds[suite] += report.duration
        self._tests[suite] += report.when == "setup"

    def pytest_sessionfinish(self) -> None:
        """Report a worker's CPU."""
        if hasattr(self._config, "workeroutput"):
            self._config.workeroutput["cpu_seconds"] = dict(self._cpu_seconds)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Add a worker's CPU."""
        self._cpu_seconds.update(getattr(node, "workeroutput", {}).get("cpu_seconds", {}))

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the table."""
        if len(self._tests) < 2:
            return
        say = terminalreporter.write_line
        minutes = (time.perf_counter() - self._began) / 60
        terminalreporter.write_sep("=", "suites")
        say(f"{'suite':<24}{'tests':>8}{'minutes':>10}{'CPU minutes':>14}")
        for suite in sorted(self._tests):
            say(_row(suite, self._tests[suite], self._seconds[suite], self._cpu_seconds[suite]))
        say(_row("all", self._tests.total(), self._seconds.total(), self._cpu_seconds.total()))
        say(f"{minutes:.1f} minutes, {self._config.option.numprocesses or 1} worker(s)")


def _row(suite: str, tests: int, seconds: float, cpu_seconds: float) -> str:
    return f"{suite:<24}{tests:>8,}{seconds / 60:>10.1f}{cpu_seconds / 60:>14.1f}"


def _cpu_seconds() -> float:
    """Return the CPU so far of this process, of those that it awaited, and of those that it has now.

    It falls when a process ends that nobody awaits.
    """
    total = sum(os.times()[:4])
    for child in psutil.Process().children(recursive=True):
        try:
            total += sum(child.cpu_times()[:4])
        except psutil.Error:  # it has ended
            continue
    return total
