"""The whole stack in a thread of its own, so that it goes on running between the tests of this folder."""

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from shoebox.tenants.keys import KeyPair, jwks_document
from shoebox.tenants.tokens import SCOPES, mint_token
from standalone.stack import StandaloneSettings, StandaloneStack

ROOT = Path(__file__).parents[2]
TENANTS = ("demo", "corner-shop")
START_SECONDS = 60


@dataclass(frozen=True)
class RunningStack:
    """Where the stack is, and the shops' keys."""

    url: str
    s3_url: str
    keys: dict[str, KeyPair]

    def token(
        self,
        user: str = "alice",
        tenant: str = "demo",
        *,
        lifetime: int = 3600,
        age: int = 0,
        scopes: tuple[str, ...] = SCOPES,
    ) -> str:
        """Mint a token `age` seconds ago that lives for `lifetime` seconds."""
        now = time.time() - age
        return mint_token(self.keys[tenant], tenant=tenant, user=user, scopes=scopes, lifetime=lifetime, now=now)


@contextmanager
def running_stack() -> Iterator[RunningStack]:
    """Start a stack that keeps nothing, on free ports, with two shops' keys published."""
    started: Future[RunningStack] = Future()
    stop = threading.Event()
    thread = threading.Thread(target=_run, args=(started, stop), name="stack")
    thread.start()
    try:
        yield started.result(START_SECONDS)
    finally:
        stop.set()
        thread.join(START_SECONDS)


def _run(started: Future[RunningStack], stop: threading.Event) -> None:
    try:
        asyncio.run(_serve(started, stop))
    except BaseException as error:
        if started.done():
            raise  # pytest reports what a thread did not catch
        started.set_exception(error)


async def _serve(started: Future[RunningStack], stop: threading.Event) -> None:
    keys = {tenant: KeyPair.generate() for tenant in TENANTS}

    async def publish_keys(local: StandaloneStack) -> None:
        s3, bucket = await local.clients.open("s3"), local.resolved.name_of("bucket", "public")
        for tenant, pair in keys.items():
            await s3.put_object(Bucket=bucket, Key=f"keys/{tenant}.json", Body=jwks_document([pair]))

    settings = StandaloneSettings(
        stack_file=ROOT / "stack.yaml", task_root=ROOT, data_dir=None, emulator_port=0, gateway_port=0, control_port=0
    )
    async with StandaloneStack.start(settings, publish_keys) as local:
        started.set_result(RunningStack(local.fleet.gateway_url, local.resolved.deployment.s3_public_url, keys))
        await asyncio.to_thread(stop.wait)
