"""One fixture, two emulators: a test that asks for `start` runs on the embedded one and on LocalStack.

`@pytest.mark.only_on("embedded", reason="…")` marks what only one of them can do.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from fleet.emulator import Emulator
from fleet.local import Local, LocalSettings
from shoebox.keys import KeyPair
from tests.e2e.system import ROOT, LocalSystem

EMULATORS = ("embedded", "localstack")
Start = Callable[..., AbstractAsyncContextManager[LocalSystem]]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every emulator, or those that the test's mark names; LocalStack needs Docker."""
    if "emulator_url" not in metafunc.fixturenames:
        return
    mark = metafunc.definition.get_closest_marker("only_on")
    names = mark.args if mark else EMULATORS
    marks = {"localstack": [pytest.mark.docker]}
    cases = [pytest.param(name, id=name, marks=marks.get(name, [])) for name in names]
    metafunc.parametrize("emulator_url", cases, indirect=True, scope="session")


@pytest.fixture(scope="session")
def embedded_url() -> Iterator[str]:
    """The session's embedded emulator. Its loop runs at start and stop only; the process is what lasts."""
    with asyncio.Runner() as runner:
        emulator = Emulator()
        runner.run(emulator.__aenter__())
        yield emulator.url
        runner.run(emulator.stop())


@pytest.fixture(scope="session")
def emulator_url(request: pytest.FixtureRequest) -> str:
    """Where the emulator is; it is started when the first test wants it."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
def start(emulator_url: str) -> Start:
    """Starts stacks on the emulator: `async with start() as system`; each has a prefix, and so data, of its own."""
    prefix = f"e2e-{uuid.uuid4().hex[:8]}"

    @asynccontextmanager
    async def starting(stack: Path = ROOT / "stack.yaml", **changes: Any) -> AsyncIterator[LocalSystem]:
        settings = LocalSettings(
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

        async def publish(local: Local) -> None:
            await LocalSystem("", local.bound, local.clients, key, local=local).publish_key()

        async with Local.start(settings, publish) as local:
            yield LocalSystem(local.fleet.gateway_url, local.bound, local.clients, key, local=local)

    return starting
