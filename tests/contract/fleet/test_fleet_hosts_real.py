import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest
from fleet_bench import HERE, ROOT_FOLDER, FleetOf, Running, function, stack_of, until

from fleet.credentials import RoleCredentials
from fleet.hosts.connection import NotJoinable
from fleet.hosts.host import Host, HostSettings, HostStatus
from fleet.http.ports import listen
from fleet.http.server import Server
from fleet.settings import SHOEBOX_RUNTIME, RuntimeCommand
from shoebox.aws.credentials import Credentials

COMMAND = [sys.executable, "-c", "from shoebox_cli import main; main()"]
ALL_CODE = {"PYTHONPATH": f"{ROOT_FOLDER}:{HERE}"}  # for `shoebox host`, whose code is Shoebox's own


@pytest.fixture
def runtime() -> RuntimeCommand:
    """Hosts bring our runtime; the fleet starts nothing."""
    return SHOEBOX_RUNTIME


class Hosting:
    """A host at work, and what its processes print."""

    def __init__(self, settings: HostSettings) -> None:
        self.printed: list[bytes] = []
        self.host = Host(settings, self.printed.append)
        self.task = asyncio.create_task(self.host.run())

    @property
    def identity(self) -> str | None:
        """The environment that it runs."""
        return self.host.state.identity

    async def until_ready(self, other_than: str | None = None) -> str:
        """Until it runs an environment, another than this, that takes invocations; which one."""
        state = self.host.state
        await until(lambda: self.task.done() or (state.ready and state.identity not in (None, other_than)))
        assert not self.task.done(), self.task.exception()
        assert state.identity is not None
        return state.identity

    async def end(self) -> None:
        """As `shoebox host` ends at SIGTERM."""
        self.task.cancel()
        await asyncio.wait([self.task])


HostFor = Callable[..., AbstractAsyncContextManager[Hosting]]


@pytest.fixture
def host_for(tmp_path: Path) -> HostFor:
    """Return what runs a host: `async with host_for(running, "echo-fn") as hosting`."""

    @asynccontextmanager
    async def run(fleet: Running | str, name: str, **changes: Any) -> AsyncIterator[Hosting]:
        url = fleet if isinstance(fleet, str) else str(fleet.fleet.hosts_url)
        metrics = tmp_path / "host-metrics"
        metrics.mkdir(exist_ok=True)
        settings = {"task_root": HERE, "metrics_dir": metrics, "drain_seconds": 5.0, **changes}
        hosting = Hosting(HostSettings(name, url, **settings))
        try:
            yield hosting
        finally:
            await hosting.end()

    return run


async def called(running: Running, name: str, event: Any = None) -> Any:
    """Return a function's response."""
    result = await asyncio.wait_for(running.fleet.invoke(name, json.dumps(event).encode()), 60)
    assert result.function_error is None, result.payload
    return json.loads(result.payload)


def pool(running: Running, name: str) -> Any:
    """Return a pool's statistics."""
    return running.fleet.pools[name].statistics()


async def test_a_host_answers_invocations(fleet_of: FleetOf, host_for: HostFor):
    """The event, the role's credentials and the variables of fleet, function and host reach its process; what it
    prints stays with the host."""
    functions = {
        "env-fn": function("environment", environment={"OWN": "1"}),
        "say-fn": function("say"),
        "echo-fn": function("echo"),
    }
    joined = frozenset({"env-fn", "say-fn"})
    async with (
        fleet_of(stack_of(functions), environment={"ALL": "2"}, joined=joined) as running,
        host_for(running, "env-fn", environment={"HERE": "3"}) as hosting,
        host_for(running, "say-fn") as saying,
    ):
        seen = await called(running, "env-fn")
        await called(running, "say-fn", "hello")
        await until(lambda: b"said hello\n" in b"".join(saying.printed))
        own = await called(running, "echo-fn", {"n": 1})
        assert running.printed("say-fn") == []
        assert hosting.identity in seen["AWS_LAMBDA_LOG_STREAM_NAME"]
        assert seen["AWS_LAMBDA_RUNTIME_API"].startswith(str(running.fleet.hosts_url).removeprefix("http://"))
    assert (seen["OWN"], seen["ALL"], seen["HERE"]) == ("1", "2", "3")
    assert seen["AWS_ACCESS_KEY_ID"] == "AKenv-fn"
    assert seen["LAMBDA_TASK_ROOT"] == str(HERE)
    assert own["event"] == {"n": 1}  # its environment is the fleet's


async def test_without_functions_to_join_there_is_no_port(fleet_of: FleetOf):
    """Where the fleet starts everything itself, nobody can ask for credentials."""
    async with fleet_of(stack_of({"echo-fn": function("echo")})) as running:
        assert running.fleet.hosts_url is None
        async with aiohttp.ClientSession() as http, http.post(f"{running.fleet.runtime_url}/.hosts/echo-fn") as answer:
            assert answer.status == 404


async def test_two_hosts_share_the_load(fleet_of: FleetOf, host_for: HostFor, tmp_path: Path):
    """Two invocations run at once, each with one of them; one more waits for whoever is free first."""
    stack = stack_of({"meet-fn": function("meet", timeout=900)})
    folder = tmp_path / "begun"
    folder.mkdir()
    async with fleet_of(stack, joined=frozenset({"meet-fn"})) as running, AsyncExitStack() as hosts:
        for _ in range(2):
            await (await hosts.enter_async_context(host_for(running, "meet-fn"))).until_ready()
        event = {"folder": str(folder), "begun": 3}
        work = [asyncio.create_task(called(running, "meet-fn", event)) for _ in range(3)]
        await until(lambda: pool(running, "meet-fn").running == 2)
        assert (pool(running, "meet-fn").waiting, pool(running, "meet-fn").started) == (1, 2)
        (folder / "enough").touch()
        assert await asyncio.gather(*work) == ["met"] * 3


async def test_a_host_that_ends_lets_its_invocation_finish(fleet_of: FleetOf, host_for: HostFor):
    """The caller has the answer, and then no process is left."""
    stack = stack_of({"sleep-fn": function("sleep")})
    others = psutil.Process().children(recursive=True)  # of other tests' stacks
    async with (
        fleet_of(stack, joined=frozenset({"sleep-fn"})) as running,
        host_for(running, "sleep-fn") as hosting,
    ):
        await hosting.until_ready()
        work = asyncio.create_task(called(running, "sleep-fn", {"seconds": 0.6}))
        await until(lambda: pool(running, "sleep-fn").running)
        await hosting.end()
        assert await work == "slept"
        assert (hosting.identity, hosting.host.state.ready) == (None, False)
        await until(lambda: not any(pool(running, "sleep-fn").environments.values()))
        ours = [child for child in psutil.Process().children(recursive=True) if child not in others]
        assert not [child for child in ours if "workers.runtime" in child.cmdline()]


async def test_a_killed_process_is_replaced_by_another_environment(fleet_of: FleetOf, host_for: HostFor):
    """The caller hears of the signal; the host joins again, and the next invocation is answered."""
    stack = stack_of({"die-fn": function("die"), "echo-fn": function("echo")})
    async with (
        fleet_of(stack, joined=frozenset({"die-fn", "echo-fn"})) as running,
        host_for(running, "die-fn") as dying,
        host_for(running, "echo-fn") as hosting,
    ):
        first, echoed = await dying.until_ready(), await hosting.until_ready()
        result = await running.fleet.invoke("die-fn", b"{}")
        assert b"signal: killed" in result.payload
        await dying.until_ready(other_than=first)

        before = (await called(running, "echo-fn"))["pid"]
        os.kill(before, signal.SIGKILL)
        assert await hosting.until_ready(other_than=echoed) != echoed
        assert (await called(running, "echo-fn"))["pid"] != before


async def test_a_host_waits_for_its_fleet_and_joins_it_again(
    fleet_of: FleetOf, host_for: HostFor, unused_tcp_port: int
):
    """Before the fleet is there, and after it was away; its process does not outlive the fleet."""
    stack = stack_of({"echo-fn": function("echo")})
    chosen = {"joined": frozenset({"echo-fn"}), "runtime_port": unused_tcp_port}
    async with host_for(f"http://127.0.0.1:{unused_tcp_port}", "echo-fn") as hosting:
        state = hosting.host.state
        await until(lambda: state.error)
        assert str(unused_tcp_port) in str(state.error)
        async with fleet_of(stack, **chosen) as running:
            first = await hosting.until_ready()
            assert state.error is None
            pid = (await called(running, "echo-fn"))["pid"]
        await until(lambda: state.identity is None)
        assert not psutil.pid_exists(pid)
        async with fleet_of(stack, **chosen) as running:
            await hosting.until_ready(other_than=first)
            assert (await called(running, "echo-fn"))["pid"] != pid


async def test_a_fleet_ends_while_its_hosts_would_join_again(fleet_of: FleetOf, host_for: HostFor):
    """One host's environment ends at once, another's takes the whole time: the first must not hold up the end."""
    stack = stack_of({"sleep-fn": function("sleep", timeout=900)})
    async with AsyncExitStack() as hosts, asyncio.timeout(60):
        async with fleet_of(stack, joined=frozenset({"sleep-fn"}), stop_seconds=1.5) as running:
            for _ in range(2):
                await (await hosts.enter_async_context(host_for(running, "sleep-fn"))).until_ready()
            work = asyncio.create_task(running.fleet.invoke("sleep-fn", b'{"seconds": 600}'))
            await until(lambda: pool(running, "sleep-fn").running)
        assert (await work).function_error == "Unhandled"


async def test_renewed_credentials_are_those_of_new_environments(fleet_of: FleetOf, host_for: HostFor):
    """Hosts replace what they run, and no invocation is lost while they do."""
    issued: list[str] = []

    async def source(name: str) -> RoleCredentials:
        issued.append(f"AK{len(issued)}")
        return RoleCredentials(Credentials(issued[-1], "s", "t"), 4_000_000_000)

    stack = stack_of({"env-fn": function("environment")})
    async with (
        fleet_of(stack, source, joined=frozenset({"env-fn"})) as running,
        host_for(running, "env-fn") as hosting,
    ):
        first = await hosting.until_ready()
        assert (await called(running, "env-fn"))["AWS_ACCESS_KEY_ID"] == "AK0"
        running.fleet.renew_credentials()
        assert (await called(running, "env-fn"))["AWS_ACCESS_KEY_ID"] == "AK1"
        assert hosting.identity != first


VERSION = """
from prometheus_client import Counter
CALLS = Counter("tests_calls", "Calls.")
def handler(event, context):
    CALLS.inc()
    return {number}
"""


async def test_changed_code_is_what_runs_next(fleet_of: FleetOf, host_for: HostFor, tmp_path: Path):
    """With `reload` a file that is saved replaces the environment; without, nothing happens."""
    code = tmp_path / "code"
    code.mkdir()
    (code / "versioned.py").write_text(VERSION.format(number=1))
    stack = stack_of({"version-fn": function("versioned.handler"), "static-fn": function("versioned.handler")})
    async with (
        fleet_of(stack, joined=frozenset({"version-fn", "static-fn"})) as running,
        host_for(running, "version-fn", task_root=code, reload=True) as hosting,
        host_for(running, "static-fn", task_root=code) as static,
    ):
        first, same = await hosting.until_ready(), await static.until_ready()
        assert await called(running, "version-fn") == 1
        (code / "versioned.py").write_text(VERSION.format(number=22))
        await hosting.until_ready(other_than=first)
        assert await called(running, "version-fn") == 22
        assert await called(running, "static-fn") == 1
        assert static.identity == same


async def test_a_host_tells_how_it_is(fleet_of: FleetOf, host_for: HostFor, tmp_path: Path, unused_tcp_port: int):
    """/healthz is 503 with the reason until the environment takes invocations; /metrics has what its code counts."""
    (tmp_path / "versioned.py").write_text(VERSION.format(number=1))
    stack = stack_of({"version-fn": function("versioned.handler")})
    async with (
        host_for(f"http://127.0.0.1:{unused_tcp_port}", "version-fn", task_root=tmp_path) as hosting,
        Server(HostStatus(hosting.host, tmp_path / "host-metrics"), listen(0, "this test")) as status,
        aiohttp.ClientSession(f"http://127.0.0.1:{status.port}") as http,
    ):
        await until(lambda: hosting.host.state.error)
        async with http.get("/healthz") as answer:
            waiting = await answer.json()
            assert (answer.status, waiting["ready"], waiting["identity"]) == (503, False, None)
            assert "cannot be reached" in waiting["error"]
        async with fleet_of(stack, joined=frozenset({"version-fn"}), runtime_port=unused_tcp_port) as running:
            await hosting.until_ready()
            await called(running, "version-fn")
            async with http.get("/healthz") as answer:
                well = await answer.json()
            async with http.get("/metrics") as metrics:
                assert "tests_calls_total 1.0" in await metrics.text()
            async with http.get("/elsewhere") as elsewhere:
                assert elsewhere.status == 404
            assert (answer.status, well) == (
                200,
                {"function": "version-fn", "identity": hosting.identity, "ready": True, "error": None},
            )


async def test_a_host_without_work_ends(fleet_of: FleetOf, host_for: HostFor):
    """A function that the fleet runs itself, or that is not there, is no reason to wait."""
    async with fleet_of(stack_of({"echo-fn": function("echo"), "own-fn": function("echo")}), joined={"echo-fn"}) as run:
        for name, reason in (("own-fn", "answers 409"), ("nobody", "answers 404")):
            async with host_for(run, name) as hosting:
                with pytest.raises(NotJoinable, match=reason):
                    await asyncio.wait_for(hosting.task, 60)


# --- as a command --------------------------------------------------------------------------------------------------


@asynccontextmanager
async def host_command(running: Running, *arguments: str, **streams: Any) -> AsyncIterator[asyncio.subprocess.Process]:
    """`shoebox host` as a process, killed if it does not end by itself."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("SHOEBOX_", "AWS_"))}
    process = await asyncio.create_subprocess_exec(
        *(*COMMAND, "host", "--fleet", str(running.fleet.hosts_url), *arguments),
        cwd=ROOT_FOLDER,
        env={**clean, "COLUMNS": "200"},
        **{"stdin": asyncio.subprocess.DEVNULL, "stdout": asyncio.subprocess.PIPE, **streams},
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def ended(process: asyncio.subprocess.Process) -> tuple[int | None, str, str]:
    """Exit code, stdout and stderr of a command, at its end."""
    stdout, stderr = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode, (stdout or b"").decode(), (stderr or b"").decode()


async def test_sigterm_ends_the_command_when_its_invocation_is_done(fleet_of: FleetOf):
    """Exit code 0; its output is what the function printed, and JSON lines about itself."""
    stack = stack_of({"sleep-fn": function("sleep")})
    async with (
        fleet_of(stack, environment=ALL_CODE, joined=frozenset({"sleep-fn"})) as running,
        host_command(running, "sleep-fn") as process,
    ):
        work = asyncio.create_task(called(running, "sleep-fn", {"seconds": 0.6}))
        await until(lambda: pool(running, "sleep-fn").running)
        process.send_signal(signal.SIGTERM)
        assert await work == "slept"
        code, stdout, _ = await ended(process)
    lines = [json.loads(line) for line in stdout.splitlines()]
    assert code == 0
    assert "environment_started" in [line.get("event") for line in lines]


async def test_a_function_runs_in_a_command_on_the_terminal(fleet_of: FleetOf):
    """What follows `--` runs instead of the runtime, and stands on the terminal itself, so a debugger can ask."""
    ours, theirs = os.openpty()
    stack = stack_of({"tty-fn": function("terminal"), "say-fn": function("say")})
    wrapped = ("say-fn", "--", "python", "-m", "pdb", "-c", "continue", "-m", "workers.runtime")
    async with (
        fleet_of(stack, environment=ALL_CODE, joined=frozenset({"tty-fn", "say-fn"})) as running,
        host_command(running, "tty-fn", stdin=theirs) as piped,
        host_command(running, *wrapped, stdin=theirs, stdout=theirs, stderr=theirs) as process,
    ):
        answers = await asyncio.gather(called(running, "tty-fn"), called(running, "say-fn", "hello"))
        assert answers == [False, None]
        shown = b""
        while b"said hello" not in shown:
            shown += await asyncio.wait_for(asyncio.to_thread(os.read, ours, 4096), 60)
        for each in (piped, process):
            each.send_signal(signal.SIGTERM)
        assert [end[0] for end in await asyncio.gather(ended(piped), ended(process))] == [0, 0]
    os.close(theirs)
    os.close(ours)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nobody"], "This host has nothing to do: the fleet at http://127.0.0.1:"),
        (["echo-fn", "--", "/nowhere/debugger"], "/nowhere/debugger cannot be started"),
    ],
)
async def test_a_host_command_that_cannot_work_is_one_clear_message(
    fleet_of: FleetOf, arguments: list[str], message: str
):
    """Exit code 5, the reason, and no traceback."""
    async with (
        fleet_of(stack_of({"echo-fn": function("echo")}), joined=frozenset({"echo-fn"})) as running,
        host_command(running, *arguments, stderr=asyncio.subprocess.PIPE) as process,
    ):
        code, _, stderr = await ended(process)
    assert code == 5
    assert stderr.count("✗") == 1
    assert message in stderr
    assert "Traceback" not in stderr
