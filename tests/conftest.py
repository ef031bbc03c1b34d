"""What every test has: the same examples from Hypothesis in each run, and Ctrl-C for its processes."""

import signal

from hypothesis import settings

settings.register_profile("ci", derandomize=True, deadline=None)
settings.load_profile("ci")

pytest_plugins = ["tests.emulators", "tests.localstack.container", "tests.machine", "tests.suites"]


def pytest_configure() -> None:
    """Let the commands under test be interrupted: a shell's background jobs ignore SIGINT, and their children do."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
