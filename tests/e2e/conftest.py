"""A test that asks for `start` runs on the embedded emulator and on LocalStack (`tests/emulators.py`)."""

import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from shoebox.tenants.keys import KeyPair
from standalone.stack import StandaloneSettings, StandaloneStack
from tests.e2e.live_stack import ROOT, LocalLiveStack

Start = Callable[..., AbstractAsyncContextManager[LocalLiveStack]]


@pytest.fixture
def start(emulator_url: str) -> Start:
    """Provide `async with start() as live`: a stack on the emulator, with a prefix, and so data, of its own."""
    prefix = f"e2e-{uuid.uuid4().hex[:8]}"

    @asynccontextmanager
    async def starting(stack: Path = ROOT / "stack.yaml", **changes: Any) -> AsyncIterator[LocalLiveStack]:
        settings = StandaloneSettings(
            stack_file=stack,
            task_root=ROOT,
            data_dir=None,
            prefix=prefix,
            gateway_port=0,
            control_port=0,
            runtime_port=0,
            endpoint_url=emulator_url,
            **changes,
        )
        key = KeyPair.generate()

        async def publish(local: StandaloneStack) -> None:
            await LocalLiveStack("", local.resolved, local.clients, key, local=local).publish_key()

        async with StandaloneStack.start(settings, publish) as local:
            yield LocalLiveStack(local.fleet.gateway_url, local.resolved, local.clients, key, local=local)

    return starting
