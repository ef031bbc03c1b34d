"""Fakes of what a pool works with, and how the fleet's unit tests wait for other tasks."""

import asyncio
from collections.abc import Callable

from fleet.environments.environment import Environment
from fleet.environments.invocation import Call, Invocation, InvokeResult
from fleet.environments.pool import Pool, Timeouts
from fleet.environments.scheduler import Scheduler
from fleet.functions import FunctionSpec
from fleet.limits.concurrency import LambdaLimits
from fleet.limits.quotas import LambdaQuotas
from fleet.metrics import Metrics


async def until(condition: Callable[[], object], seconds: float = 30.0) -> None:
    """Let other tasks run until the condition holds; TimeoutError when it does not in this time."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - it is about any object's state
            await asyncio.sleep(0)


class FakeProcess:
    """A process that ends when it is told to."""

    pid = 2**22 + 1  # above what the kernel gives

    def __init__(self) -> None:
        self.ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.stopped = asyncio.Event()

    async def wait(self) -> int:
        """Wait for the end."""
        return await asyncio.shield(self.ended)

    async def stop(self, seconds: float) -> None:
        """End in good order."""
        self.stopped.set()
        self.end(0)

    def kill(self) -> None:
        """End by a signal."""
        self.end(-9)

    def end(self, status: int) -> None:
        """End with this status."""
        if not self.ended.done():
            self.ended.set_result(status)


class FakeLauncher:
    """Hands out fake processes, and shows what was started."""

    def __init__(self) -> None:
        self.launched: asyncio.Queue[tuple[Environment, FakeProcess]] = asyncio.Queue()
        self.error: Exception | None = None
        self.count = 0

    async def __call__(self, function: FunctionSpec, environment: Environment) -> FakeProcess:
        """Start a process."""
        self.count += 1
        if self.error:
            raise self.error
        process = FakeProcess()
        self.launched.put_nowait((environment, process))
        return process


class Bench:
    """A pool with its fakes; time stands still unless a test moves it."""

    def __init__(self, pool: Pool, launcher: FakeLauncher) -> None:
        self.pool = pool
        self.launcher = launcher
        self.now = 0.0

    def invoke(self, request_id: str = "r1") -> asyncio.Task[InvokeResult]:
        """Call the function."""
        return asyncio.create_task(self.pool.invoke(Call(b"{}", request_id=request_id)))

    async def ready(self) -> tuple[Environment, FakeProcess]:
        """Return the next environment that was started, and its process."""
        return await asyncio.wait_for(self.launcher.launched.get(), 30)

    async def next(self, environment: Environment) -> Invocation:
        """Return the invocation that a slot of the environment gets."""
        invocation = await asyncio.wait_for(self.pool.poll(environment), 30)
        assert invocation is not None
        return invocation


def pool_bench(
    metrics: Metrics,
    *,
    slots: int = 1,
    timeout: int = 3,
    max_environments: int = 10,
    account: int = 10,
    **timeouts: float,
) -> Bench:
    """Return a pool with fakes, not yet entered."""
    launcher = FakeLauncher()
    holder: list[Bench] = []
    pool = Pool(
        FunctionSpec("api", "shoebox-api", "arn", "a.b", 128, timeout, slots),
        launch=launcher,
        admission=LambdaLimits(LambdaQuotas(concurrency=account), {}, {"api": slots}),
        scheduler=Scheduler(slots, max_environments, 60.0),
        metrics=metrics,
        timeouts=Timeouts(**timeouts),
        clock=lambda: holder[0].now,
    )
    holder.append(Bench(pool, launcher))
    return holder[0]
