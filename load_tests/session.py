"""One run from outside: the stack that is loaded, and Locust, each a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from load_tests.stack import running_stack

LOCUSTFILE = Path(__file__).with_name("locustfile.py")
UI_PORT = 8089


@dataclass(frozen=True, slots=True)
class Target:
    """What is loaded. Without `control_url` only the phones are seen; `pid` is a stack's on this machine."""

    url: str
    key: Path
    tenant: str
    control_url: str | None = None
    pid: int | None = None

    def environment(self) -> dict[str, str]:
        """The settings that say so (load_tests/settings.py)."""
        values = {
            "SHOEBOX_KEY": str(self.key),
            "SHOEBOX_TENANT": self.tenant,
            "SHOEBOX_CONTROL_URL": self.control_url,
            "SHOEBOX_LOAD_STACK_PID": self.pid,
        }
        return {name: str(value) for name, value in values.items() if value is not None}


@contextmanager
def started_stack(stack_file: Path, quotas: str, folder: Path) -> Iterator[Target]:
    """A stack in memory on free ports, with its log in the run's folder.

    Raises:
        StackStartError: it did not start.
    """
    with running_stack("--stack", str(stack_file), "--quotas", quotas, log=folder / "stack.log") as stack:
        found: Mapping[str, Any] = stack.addresses
        yield Target(found["url"], stack.key, "demo", found["control"], stack.process.pid)


def run_locust(target: Target, environment: Mapping[str, str], *, workers: int = 0, ui: bool = False) -> int:
    """Run Locust to its end; its exit code. Ctrl-C ends the load, and the report is made of what there was."""
    command = [sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), "--host", target.url, "--loglevel", "WARNING"]
    command += ["--web-host", "127.0.0.1", "--web-port", str(UI_PORT)] if ui else ["--headless", "--only-summary"]
    command += ["--processes", str(workers)] if workers else []
    everything = {**os.environ, **target.environment(), **environment}
    # S603: our own program
    with subprocess.Popen(command, env=everything, stdout=sys.stderr) as locust, _leave_signals_to(locust):  # noqa: S603
        return locust.wait()


@contextmanager
def _leave_signals_to(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Ctrl-C reaches the whole process group, so it is the child's alone; an order to end is handed on."""
    before = {
        signal.SIGINT: signal.signal(signal.SIGINT, signal.SIG_IGN),
        signal.SIGTERM: signal.signal(signal.SIGTERM, lambda *_: process.terminate()),
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
