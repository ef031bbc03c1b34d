"""Stacks of small functions, and a fleet that runs: what the contract tests of the fleet share."""

import asyncio
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fleet.credentials import RoleCredentials
from fleet.service import Fleet
from shoebox.aws.credentials import Credentials
from shoebox.stack.deployment import Deployment, ResolvedStack, resolve
from shoebox.stack.model import Stack

HERE = Path(__file__).parent
ROOT_FOLDER = HERE.parents[2]
NOWHERE = "http://127.0.0.1:9"


@dataclass
class Running:
    """A fleet that runs, with the lines that its functions print."""

    fleet: Fleet
    lines: list[tuple[str, bytes]] = field(default_factory=list)

    def printed(self, function: str) -> list[str]:
        """Return what a function has printed until now."""
        return [line.decode() for name, line in self.lines if name == function]


FleetOf = Callable[..., AbstractAsyncContextManager[Running]]


def function(handler: str, **changes: Any) -> dict[str, Any]:
    """Describe a small function of handlers.py."""
    return {"handler": handler if "." in handler else f"handlers.{handler}", "memory": 128, "timeout": 10, **changes}


def stack_of(functions: dict[str, Any], endpoint: str = NOWHERE, **parts: Any) -> ResolvedStack:
    """Return a resolved stack of these functions; without a gateway of its own it has one that nobody calls."""
    first = next(iter(functions))
    gateway = {"authorizer": {"function": first, "identity": "Authorization"}, "routes": [], "responses": {}}
    described = {"name": "tests", "functions": functions, "gateway": gateway, **parts}
    deployment = Deployment(
        prefix="tests",
        endpoint_url=endpoint,
        s3_url=endpoint,
        s3_public_url=endpoint,
        sqs_url=endpoint,
        gateway_url=endpoint,
    )
    return resolve(Stack.model_validate(described), deployment)


async def an_hour(function: str) -> RoleCredentials:
    """Credentials that nobody checks."""
    return RoleCredentials(Credentials(f"AK{function}", "secret", "token"), time.time() + 3600)


async def until(condition: Callable[[], object], seconds: float = 60.0) -> None:
    """Look until the condition holds; TimeoutError when it does not in this time. It is about other processes."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
