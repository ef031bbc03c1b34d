"""A fleet with a gateway, an authorizer and a no-op function, as a process: it prints its addresses and waits."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path

import uvloop

from fleet.credentials import RoleCredentials
from fleet.service import Fleet
from fleet.settings import FleetSettings
from shoebox.aws.credentials import Credentials
from shoebox.stack.deployment import Deployment, ResolvedStack, resolve
from shoebox.stack.model import Stack

_NOWHERE = "http://127.0.0.1:9"


def stack(slots: int) -> ResolvedStack:
    """Two functions of benchmarks.gateway.handlers, and one route."""
    function = {"memory": 128, "timeout": 10, "slots": slots}
    described = {
        "name": "bench",
        "functions": {
            "gate": {"handler": "benchmarks.gateway.handlers.authorize", **function},
            "noop": {"handler": "benchmarks.gateway.handlers.noop", **function},
        },
        "gateway": {
            "authorizer": {"function": "gate", "identity": "Authorization"},
            "routes": [{"path": "/v1/{proxy+}", "function": "noop"}],
            "responses": {},
        },
    }
    deployment = Deployment(
        prefix="bench", s3_url=_NOWHERE, s3_public_url=_NOWHERE, sqs_url=_NOWHERE, gateway_url=_NOWHERE
    )
    return resolve(Stack.model_validate(described), deployment)


async def an_hour(function: str) -> RoleCredentials:
    """Return credentials that last an hour; nothing checks them here."""
    return RoleCredentials(Credentials("AKBENCH", "secret", "token"), time.time() + 3600)


async def serve(loop: str) -> None:
    """Run until the process is ended; `loop` is the functions', uvloop or asyncio."""
    root = Path(__file__).parents[2]
    with tempfile.TemporaryDirectory(prefix="shoebox-bench-") as folder:
        settings = FleetSettings(
            log_folder=Path(folder, "logs"),
            metrics_dir=Path(folder, "metrics"),
            task_root=root,
            max_environments=1,
            environment={"RUNTIME_LOOP": loop},
        )
        async with Fleet(stack(64), settings, an_hour) as fleet:
            print(json.dumps({"url": fleet.gateway_url, "control": fleet.runtime_url}), flush=True)
            await asyncio.Event().wait()


if __name__ == "__main__":
    chosen = sys.argv[1] if len(sys.argv) > 1 else "uvloop"
    with asyncio.Runner(loop_factory=uvloop.new_event_loop if chosen == "uvloop" else None) as runner:
        runner.run(serve(chosen))
