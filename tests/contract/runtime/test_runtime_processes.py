"""Several processes of one function, as real processes that are really killed.

"Lambda Managed Instances": an environment runs AWS_LAMBDA_MAX_CONCURRENCY invocations at once, and goes on with those
of its processes that are healthy.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from runtime_processes import RuntimeProcess, runtime_process

from workers.runtime.testing import FakeRuntimeApi

INIT_ERROR = "/2018-06-01/runtime/init/error"


@asynccontextmanager
async def several(
    api: FakeRuntimeApi, handler: str = "runtime_functions.where", *, slots: int = 5, processes: int = 2, **more: Any
) -> AsyncIterator[RuntimeProcess]:
    """Start a runtime of several processes."""
    variables = {"AWS_LAMBDA_MAX_CONCURRENCY": str(slots), "RUNTIME_PROCESSES": str(processes)}
    async with runtime_process(api, handler, variables={**variables, **more.pop("variables", {})}, **more) as process:
        yield process


async def pids(api: FakeRuntimeApi, number: int) -> list[int]:
    """Return which process ran each of so many invocations at once."""
    invocations = [api.invoke() for _ in range(number)]
    return [(await invocation).json()["pid"] for invocation in invocations]


def gone(pid: int) -> bool:
    """Whether a process has ended; a zombie has."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


async def until_gone(pids: set[int]) -> None:
    """Wait for processes that are not ours to wait for. Raises TimeoutError."""
    async with asyncio.timeout(60):
        while not all(map(gone, pids)):  # noqa: ASYNC110  # processes of others have no event
            await asyncio.sleep(0.01)


async def test_slots_are_shared_out(api: FakeRuntimeApi) -> None:
    """Five slots in two processes: three and two, all polling, none in the supervisor."""
    async with several(api) as process:
        await api.wait_idle(5)
        served = await pids(api, 5)
        described = (await api.invoke()).json()
    assert sorted(served.count(pid) for pid in set(served)) == [2, 3]
    assert process.pid not in served
    assert (described["parent"], described["slots"]) == (process.pid, "5")


async def test_at_least_one_slot_each(api: FakeRuntimeApi) -> None:
    """More processes than slots would idle."""
    async with several(api, slots=2, processes=8):
        await api.wait_idle(2)
        assert len(set(await pids(api, 2))) == 2


async def test_a_killed_process_is_reported_and_started_again(api: FakeRuntimeApi) -> None:
    """Its invocations end in Runtime.ExitError at once, its lost slots are logged, and come back."""
    async with several(api, slots=4) as process:
        await api.wait_idle(4)
        before = set(await pids(api, 4))
        headers = {"Lambda-Runtime-Invocation-Id": "nonce"}
        posted = await api.invoke("die", request_id="r-1", headers=headers)
        ended = await process.logged("worker_ended")
        await api.wait_idle(4)
        after = set(await pids(api, 4))
    assert posted.kind == "error"
    assert posted.request.headers["lambda-runtime-function-error-type"] == "Runtime.ExitError"
    assert posted.request.headers["lambda-runtime-invocation-id"] == "nonce"
    assert posted.json()["errorMessage"] == "RequestId: r-1 Error: Runtime exited with error: signal: SIGKILL"
    assert (ended["status"], ended["slots"], ended["invocations"]) == (-9, 2, 1)
    assert len(before & after) == 1
    assert len(after) == 2


async def test_the_others_serve_meanwhile(api: FakeRuntimeApi) -> None:
    """An invocation in another process does not notice; new ones are taken when the lost slot is back."""
    async with several(api, slots=2) as process:
        await api.wait_idle(2)
        waiting = [api.invoke("wait").posted for _ in range(2)]
        killed = int((await process.line("waiting in")).split()[-1])
        os.kill(killed, signal.SIGKILL)
        over, running = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        assert [posted.result().json()["errorType"] for posted in over] == ["Runtime.ExitError"]
        assert (await api.invoke()).kind == "response"
        assert not any(posted.done() for posted in running)


async def test_an_exit_in_a_handler_ends_its_process_only(api: FakeRuntimeApi) -> None:
    """`sys.exit` is reported by the process itself, once; the environment lives on."""
    async with several(api, slots=2) as process:
        await api.wait_idle(2)
        posted = await api.invoke("exit", request_id="r-1")
        ended = await process.logged("worker_ended")
        await api.wait_idle(2)
    assert posted.json()["errorType"] == "Runtime.ExitError"
    assert (ended["status"], ended["invocations"]) == (3, 0)
    assert sum("/r-1/" in request.path for request in api.requests) == 1


@pytest.mark.parametrize("known", [True, False], ids=["first to report", "403"])
async def test_no_process_can_start(api: FakeRuntimeApi, tmp_path: Path, known: bool) -> None:
    """One init/error for all of them, whatever the response to it, and exit 1."""
    (tmp_path / "broken_import.py").write_text("raise ValueError('no region')\n")
    if not known:
        api.init_error.cancel()
    async with several(api, "broken_import.handler", slots=3, processes=3, task_root=tmp_path) as process:
        assert await process.ended() == 1
    (request,) = api.requests
    assert (request.path, request.json()["errorType"]) == (INIT_ERROR, "ValueError")
    assert request.json()["errorMessage"] == "no region"
    assert "raise ValueError" in request.json()["stackTrace"][-1]
    assert "refused" not in "".join(process.lines)


async def test_processes_that_crash_at_their_start(api: FakeRuntimeApi, tmp_path: Path) -> None:
    """A crash says nothing by itself: it is reported as Runtime.ExitError."""
    (tmp_path / "crashes.py").write_text("import os\nos._exit(7)\n")
    async with several(api, "crashes.handler", slots=2, task_root=tmp_path) as process:
        assert await process.ended() == 1
    (request,) = api.requests
    assert request.json()["errorType"] == "Runtime.ExitError"
    assert request.json()["errorMessage"] == "Runtime exited with error: exit status 7"


async def test_a_process_that_cannot_start_is_tried_again(api: FakeRuntimeApi, tmp_path: Path) -> None:
    """Nothing is reported to Lambda as long as others serve; when the cause is gone, so is the loss."""
    (tmp_path / "one_only.py").write_text(
        "import os\n"
        f"def handler(event, context): return os.getpid()\n"
        f"if not os.path.exists({str(tmp_path / 'enough')!r}):\n"
        f"    os.mkdir({str(tmp_path / 'taken')!r})\n"
    )
    async with several(api, "one_only.handler", slots=4, task_root=tmp_path) as process:
        start_failed = await process.logged("worker_start_failed")
        await api.wait_idle(2)
        assert (await api.invoke()).kind == "response"
        (tmp_path / "enough").touch()
        await api.wait_idle(4)
    assert (start_failed["errorType"], start_failed["slots"]) == ("FileExistsError", 2)
    assert INIT_ERROR not in [request.path for request in api.requests]


async def test_drain(api: FakeRuntimeApi) -> None:
    """SIGTERM to the supervisor alone: running invocations end with a response, all processes close, exit 0."""
    async with several(api, "runtime_functions.wait", slots=4) as process:
        await api.wait_idle(4)
        running = [api.invoke("wait") for _ in range(4)]
        for _ in range(4):
            await process.line("waiting")
        children = {child.pid for child in psutil.Process(process.pid).children()}
        process.signal()
        assert await process.ended() == 0
    assert [(await invocation).json() for invocation in running] == ["wait"] * 4
    assert "".join(process.lines).count('"message": "process_drained"') == 2
    assert all(map(gone, children))


async def test_a_drain_while_processes_start(api: FakeRuntimeApi) -> None:
    """A start that is no longer wanted is no failure."""
    async with several(api, "runtime_functions.never_ready", slots=2) as process:
        await process.line("opening")
        process.signal()
        assert await process.ended() == 0
    assert api.requests == []


async def test_a_process_that_outlasts_the_drain_is_killed(api: FakeRuntimeApi) -> None:
    """Python code that never returns cannot hold the environment."""
    variables = {"RUNTIME_DRAIN_S": "0"}
    async with several(api, "runtime_functions.busy", slots=2, variables=variables) as process:
        await api.wait_idle(2)
        invocation = api.invoke(600, request_id="r-1")
        await invocation.taken.wait()
        process.signal()
        assert await asyncio.wait_for(process.ended(), 60) == 1
    assert (await invocation).json()["errorType"] == "Runtime.ExitError"


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="PDEATHSIG is Linux's")
async def test_the_processes_die_with_their_supervisor(api: FakeRuntimeApi) -> None:
    """Nothing is left when Lambda, or an out-of-memory killer, ends the supervisor."""
    async with several(api) as process:
        await api.wait_idle(5)
        children = {child.pid for child in psutil.Process(process.pid).children()}
        assert len(children) == 2
        process.signal(signal.SIGKILL)
        await process.ended()
        await until_gone(children)


async def test_output_goes_to_lambdas_log_socket(api: FakeRuntimeApi, tmp_path: Path) -> None:
    """As with AWS's client: further processes connect stdout and stderr to the socket, the first keeps its own."""
    received: list[str] = []
    said = asyncio.Event()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            received.append(line.decode())
            if "printed" in received[-1]:
                said.set()
        writer.close()

    server = await asyncio.start_unix_server(take, tmp_path / "logs")
    variables = {"_LAMBDA_TELEMETRY_LOG_FD_PROVIDER_SOCKET": str(tmp_path / "logs")}
    async with several(api, "runtime_functions.log", slots=2, variables=variables) as process:
        await api.wait_idle(2)
        await api.invoke()
        await asyncio.wait_for(said.wait(), 30)
        process.signal()
        assert await process.ended() == 0
    server.close()
    assert any('"message": "hello"' in line for line in received)
    assert not any("printed" in line or '"message": "hello"' in line for line in process.lines)
    assert any('"message": "worker_started"' in line for line in process.lines)
