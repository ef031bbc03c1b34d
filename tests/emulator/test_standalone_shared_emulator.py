"""A stack on an emulator that somebody else runs: it starts, is made whole again, and ends without touching it."""

import asyncio
import os
import signal
from pathlib import Path

import aiohttp
import pytest

from emulator.embedded import Emulator
from emulator.provision import Change
from shoebox.stack.model import StackError
from standalone.stack import StandaloneSettings, StandaloneStack

ROOT_FOLDER = Path(__file__).parents[2]
STACK = """
name: tiny
queues: {jobs: {}}
functions:
  hello: {handler: hello.handler, memory: 128, timeout: 5, permissions: {queue/jobs: [send]}}
gateway:
  authorizer: {function: hello, identity: Authorization}
  routes: [{path: "/{proxy+}", function: hello, authorize: false}]
  responses: {}
"""
HANDLER = """
import os
async def handler(event, context):
    return {"statusCode": 200, "headers": {}, "body": os.environ["AWS_ACCESS_KEY_ID"]}
"""


@pytest.fixture
def settings(tmp_path: Path) -> StandaloneSettings:
    """Provide a stack with one function that tells its role's key; nobody is at its emulator's address."""
    (tmp_path / "stack.yaml").write_text(STACK)
    (tmp_path / "hello.py").write_text(HANDLER)
    return at("http://127.0.0.1:9", tmp_path)


def at(url: str, folder: Path, **more: object) -> StandaloneSettings:
    """Return settings for the emulator at an address."""
    values = {
        "stack_file": folder / "stack.yaml",
        "task_root": folder,
        "data_dir": None,
        "prefix": f"elsewhere{abs(hash(folder)) % 10**9}",
        "gateway_port": 0,
        "control_port": 0,
        "runtime_port": 0,
        "environment": {"PYTHONPATH": str(ROOT_FOLDER)},
        "endpoint_url": url,
    }
    return StandaloneSettings(**{**values, **more})


async def key_in_use(local: StandaloneStack, http: aiohttp.ClientSession) -> str:
    """Return the access key of the environment that answers."""
    async with http.get(f"{local.fleet.gateway_url}/hello") as answer:
        assert answer.status == 200
        return await answer.text()


async def test_a_stack_runs_on_an_emulator_of_others(
    settings: StandaloneSettings, embedded: Emulator, http: aiohttp.ClientSession, tmp_path: Path
):
    """It is provisioned and used, and goes on when the stack has ended."""
    async with StandaloneStack.start(at(embedded.url, tmp_path)) as local:
        assert (local.emulator, local.endpoint_url) == (None, embedded.url)
        assert await key_in_use(local, http)
    async with StandaloneStack.start(at(embedded.url, tmp_path)) as local:
        assert local.report.outcomes == local.report.having(Change.UNCHANGED)
    assert embedded.pid is not None


async def test_an_error_of_the_user_comes_through_as_it_is(
    settings: StandaloneSettings, embedded: Emulator, tmp_path: Path
):
    """Not as a group of errors, though the emulator is looked after beside."""
    with pytest.raises(LookupError, match="mine"):
        async with StandaloneStack.start(at(embedded.url, tmp_path)):
            raise LookupError("mine")


async def test_an_emulator_that_was_away_is_made_whole(
    settings: StandaloneSettings, http: aiohttp.ClientSession, tmp_path: Path, unused_tcp_port: int
):
    """Killed, and back empty: queues and roles are there again, and functions get keys that it knows."""
    restored = asyncio.Event()

    async def after(local: StandaloneStack) -> None:
        if hasattr(local, "fleet"):
            restored.set()

    async with Emulator(port=unused_tcp_port) as first, StandaloneStack.start(at(first.url, tmp_path), after) as local:
        before = await key_in_use(local, http)
        assert first.pid is not None
        os.kill(first.pid, signal.SIGKILL)
        await first.died.wait()
        async with Emulator(port=unused_tcp_port):
            await asyncio.wait_for(restored.wait(), 60)
            created = {outcome.kind for outcome in local.report.having(Change.CREATED)}
            assert created == {"queue", "role"}
            async with asyncio.timeout(60):
                while await key_in_use(local, http) == before:  # noqa: ASYNC110 - it is about another process
                    await asyncio.sleep(0.05)


async def test_only_functions_of_the_stack_can_be_joined(settings: StandaloneSettings, tmp_path: Path):
    """Before anything starts."""
    with pytest.raises(StackError, match="has no function helo, nobody to join"):
        async with StandaloneStack.start(
            at("http://127.0.0.1:9", tmp_path, joined=frozenset({"hello", "nobody", "helo"}))
        ):
            pass
