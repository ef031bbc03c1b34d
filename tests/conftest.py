"""What every test has: the same examples from Hypothesis in each run, Ctrl-C for its processes, Docker where it is."""

import signal
from pathlib import Path

import pytest
from hypothesis import settings

from shoebox.cli.engine import Engine, why_not

settings.register_profile("ci", derandomize=True, deadline=None)
settings.load_profile("ci")

pytest_plugins = ["tests.emulators", "tests.localstack.container"]
_LEFT_OUT = pytest.StashKey[tuple[int, str]]()


def pytest_configure() -> None:
    """Let the commands under test be interrupted: a shell's background jobs ignore SIGINT, and their children do."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--docker`: containers are wanted, so a machine without an engine is a failure."""
    parser.addoption("--docker", action="store_true", help="fail where no Docker engine answers")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests that need Docker where it is not, and say so; with `--docker` end instead."""
    wanting = [item for item in items if item.get_closest_marker("docker")]
    reason = why_not(Engine(Path(__file__).parents[1])) if wanting or config.getoption("docker") else None
    if reason is None:
        return
    if config.getoption("docker"):
        raise pytest.UsageError(f"--docker: {reason}")
    config.stash[_LEFT_OUT] = (len(wanting), reason)
    config.hook.pytest_deselected(items=wanting)
    items[:] = [item for item in items if item not in set(wanting)]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """The last words of a run that had no Docker."""
    if left_out := config.stash.get(_LEFT_OUT, None):
        number, reason = left_out
        terminalreporter.write_sep("=", "left out", yellow=True)
        terminalreporter.write_line(f"{number} tests on LocalStack and in containers were LEFT OUT. {reason}")
        terminalreporter.write_line("With an engine they run by themselves; ./run test --docker insists on it.")
