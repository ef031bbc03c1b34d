"""Settings of a fleet: addresses, folders, the environments' command and timeouts."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fleet.http.ports import LOOPBACK
from fleet.limits.quotas import AWS_QUOTAS, Quotas

LONG_POLL = 20  # seconds; the longest that SQS allows


@dataclass(frozen=True, slots=True)
class RuntimeCommand:
    """The program of an execution environment; `{handler}` in an argument is filled in.

    With `own_port` the Runtime API is served to each environment on a port of its own: AWS's Python client reports
    errors of the init phase through `http.client`, which takes `host:port` and no path.
    """

    arguments: tuple[str, ...]
    own_port: bool = False

    def for_handler(self, handler: str) -> list[str]:
        """Return the command line for one handler."""
        return [argument.replace("{handler}", handler) for argument in self.arguments]


SHOEBOX_RUNTIME = RuntimeCommand((sys.executable, "-m", "workers.runtime"))
AWSLAMBDARIC = RuntimeCommand((sys.executable, "-m", "awslambdaric", "{handler}"), own_port=True)


@dataclass(frozen=True, slots=True)
class FleetSettings:
    """Settings of a fleet; times in seconds. Port 0 takes any free port.

    `host` is the address that the ports are opened on. `task_root` is where the functions' code is imported from
    (LAMBDA_TASK_ROOT). `environment` is added to the environment variables of every function. `quotas` are the
    account's. The environments of the functions in `joined` are not started here: hosts bring them, at the
    runtime port, which is open only for them (fleet.hosts). `finish_polls` as in `fleet.queues.event_source`.
    """

    log_folder: Path
    metrics_dir: Path
    task_root: Path
    gateway_port: int = 0
    control_port: int = 0
    runtime_port: int = 0
    host: str = LOOPBACK
    joined: frozenset[str] = frozenset()
    command: RuntimeCommand = SHOEBOX_RUNTIME
    environment: Mapping[str, str] = field(default_factory=dict)
    stage: str = "local"
    quotas: Quotas = AWS_QUOTAS
    max_environments: int = 8  # of one function: what a laptop can carry
    idle_seconds: float = 300.0
    init_seconds: float = 10.0  # of functions with one slot
    stop_seconds: float = 2.0
    wait_seconds: float = 30.0  # for a free slot
    poll_seconds: int = LONG_POLL
    finish_polls: bool = False
    drain_seconds: float = 20.0
    log_bytes: int = 20_000_000
