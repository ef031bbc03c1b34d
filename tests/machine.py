"""Which tests run: the first tier or all, and none that needs what this machine lacks.

The last lines of a run say what was left out and why. With `CI=true` a test left out for a missing part fails the run.
"""

import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Generator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from console.exits import CliError
from shoebox_cli.compose import Engine

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
NOT_ASKED_FOR = "LocalStack, containers and chaos: ./run test --all"

_ALL = pytest.StashKey[bool]()
_LEFT_OUT = pytest.StashKey[Counter[str]]()


@dataclass(frozen=True, slots=True)
class Part:
    """A part that not every machine has, and the marker of the tests that need it."""

    marker: str
    why_not: Callable[[], str | None]


def find_chromium() -> str | None:
    """Return the path of the browser that the page tests start, or None."""
    return next(filter(None, map(shutil.which, CHROMIUM)), None)


@cache
def why_no_browser() -> str | None:
    """Return why the page tests cannot run here; None if they can."""
    path = find_chromium()
    if path is None:
        return "There is no Chromium. Debian: apt-get install chromium fonts-dejavu-core"
    try:  # Ubuntu's package without snap is a script that only says what to install
        subprocess.run([path, "--version"], capture_output=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        return f"{path} does not start: {error}"
    return None


@cache
def why_no_engine() -> str | None:
    """Return why LocalStack and containers cannot run here; None if they can."""
    try:
        Engine(Path(__file__).parents[1]).check()
    except CliError as error:
        return error.message
    return None


def why_no_curl() -> str | None:
    """Return why the documents' HTTP commands cannot run here; None if they can."""
    if all(map(shutil.which, ("curl", "jq"))):
        return None
    return "There is no curl or no jq. Debian: apt-get install curl jq"


PARTS = (Part("docker", why_no_engine), Part("browser", why_no_browser), Part("curl", why_no_curl))


def in_first_tier(item: pytest.Item) -> bool:
    """Return whether `./run test` runs this test; the others need `--all` or their path on the command line."""
    chaos = item.config.rootpath / "tests" / "chaos"
    return item.get_closest_marker("docker") is None and chaos not in item.path.parents


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--all`: both tiers."""
    parser.addoption("--all", action="store_true", help=f"also the second tier: {NOT_ASKED_FOR.partition(':')[0]}")


def pytest_configure(config: pytest.Config) -> None:
    """Run everything that was asked for: by `--all`, or by paths on the command line."""
    worker: dict[str, Any] = getattr(config, "workerinput", {})
    paths = config.args_source is pytest.Config.ArgsSource.ARGS
    config.stash[_ALL] = worker["all"] if worker else config.getoption("--all") or paths
    config.stash[_LEFT_OUT] = Counter()


def pytest_configure_node(node: Any) -> None:
    """Tell a worker, which is given paths in any case."""
    node.workerinput["all"] = node.config.stash[_ALL]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the second tier unless it was asked for, and what needs a part that this machine lacks."""
    left_out = config.stash[_LEFT_OUT]
    reasons = {item: _why_left_out(config, item) for item in items}
    left_out.update(filter(None, reasons.values()))
    config.hook.pytest_deselected(items=[item for item, reason in reasons.items() if reason])
    items[:] = [item for item, reason in reasons.items() if not reason]


def _why_left_out(config: pytest.Config, item: pytest.Item) -> str | None:
    if not config.stash[_ALL] and not in_first_tier(item):
        return NOT_ASKED_FOR
    missing = (part.why_not() for part in PARTS if item.get_closest_marker(part.marker))
    return next(filter(None, missing), None)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """On a worker, report what it left out; else, let a missing part fail a run of CI."""
    left_out = session.config.stash[_LEFT_OUT]
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["left_out"] = dict(left_out)
    elif _is_failure(left_out):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _is_failure(left_out: Counter[str]) -> bool:
    return os.environ.get("CI") == "true" and bool(left_out.keys() - {NOT_ASKED_FOR})


def pytest_testnodedown(node: Any) -> None:
    """Take a worker's report; all workers collect the same tests."""
    node.config.stash[_LEFT_OUT] |= Counter(getattr(node, "workeroutput", {}).get("left_out", {}))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> Generator[None, None, None]:
    """Print what was left out, below every failure."""
    yield
    if left_out := config.stash[_LEFT_OUT]:
        terminalreporter.write_sep("=", "left out", yellow=True)
    for reason, number in left_out.items():
        terminalreporter.write_line(f"{number} tests were LEFT OUT. {reason}")
    if _is_failure(left_out):
        terminalreporter.write_line("With CI=true that is a failure.", red=True)
