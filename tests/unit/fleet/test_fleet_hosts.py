import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from fleet_fakes import Bench, pool_bench, until

from fleet.credentials import CredentialsCache, CredentialsError, RoleCredentials
from fleet.environments.environment import Environment, State
from fleet.environments.runtime_api import RuntimeApi
from fleet.functions import FunctionSpec
from fleet.hosts import host
from fleet.hosts.api import LOST, HostApi, RemoteProcess
from fleet.hosts.connection import FleetConnection, FleetUnavailable, Membership, NotJoinable
from fleet.hosts.host import code_changed
from fleet.hosts.messages import PREFIX, Command, JoinResponse
from fleet.http.asgi import Receive, Response, Scope, Send, respond
from fleet.http.ports import listen
from fleet.http.server import Server
from fleet.metrics import Metrics
from fleet.settings import FleetSettings
from shoebox.aws.credentials import Credentials
from shoebox.stack.deployment import Deployment

FUNCTION = FunctionSpec("api", "shoebox-api", "arn", "a.b", 128, 3, 2, 5, {"OWN": "1"})
JOIN_RESPONSE = JoinResponse("e1", FUNCTION, Credentials("AK", "secret", "token"), "us-east-1", None, {"ALL": "2"}, 1.5)
SENT = orjson.loads(JOIN_RESPONSE.to_line())
KEYS = Credentials("AKIA1", "secret", "token")
NOWHERE = "http://127.0.0.1:9"


# --- messages ----------------------------------------------------------------------------------------------------


def test_a_join_response_arrives_as_it_was_sent():
    """One line of JSON, and everything in it is what it was."""
    line = JOIN_RESPONSE.to_line()
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert JoinResponse.from_line(line) == JOIN_RESPONSE


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"<html>",
        b"[]",
        b"7",
        b"{}",
        orjson.dumps(SENT | {"surprise": 1}),
        orjson.dumps({name: value for name, value in SENT.items() if name != "region"}),
        orjson.dumps(SENT | {"function": {"key": "api"}}),
        orjson.dumps(SENT | {"credentials": None}),
    ],
)
def test_a_foreign_join_response_is_refused(line: bytes):
    """What another program, or another version, says is a ValueError and nothing else."""
    with pytest.raises(ValueError, match=r"."):
        JoinResponse.from_line(line)


# --- the process as the fleet sees it ------------------------------------------------------------------------------


async def test_commands_come_in_order_until_the_end():
    """Those that were told before it are still sent."""
    process = RemoteProcess()
    process.send(Command.READY)
    process.send(Command.STOP)
    process.end(0)
    assert [command async for command in process.commands()] == [Command.READY, Command.STOP]


async def test_a_host_that_answers_a_stop_decides_the_status():
    """The word goes out, and the stop ends with the process."""
    process = RemoteProcess()
    stopping = asyncio.create_task(process.stop(60))
    assert await anext(process.commands()) is Command.STOP
    assert not stopping.done()
    process.end(7)
    await asyncio.wait_for(stopping, 30)
    assert await process.wait() == 7


async def test_a_host_that_does_not_answer_a_stop_is_given_up(monkeypatch: pytest.MonkeyPatch):
    """After the seconds that the end may take, and a moment."""
    monkeypatch.setattr("fleet.hosts.api._REPORT_SECONDS", 0.01)
    process = RemoteProcess()
    await asyncio.wait_for(process.stop(0.01), 30)
    assert await process.wait() == LOST
    assert [command async for command in process.commands()] == [Command.STOP]


async def test_a_killed_process_has_ended():
    """There is nothing to say to its host any more."""
    process = RemoteProcess()
    process.kill()
    assert [command async for command in process.commands()] == []
    assert await process.wait() == LOST


async def test_a_process_ends_only_once():
    """The first to know decides the status; who waits and is cancelled takes it from nobody."""
    process = RemoteProcess()
    waiting = asyncio.create_task(process.wait())
    await asyncio.sleep(0)
    waiting.cancel()
    process.end(3)
    process.end(LOST)
    process.kill()
    assert await process.wait() == 3
    assert [command async for command in process.commands()] == []


# --- the fleet's side, on a real socket ----------------------------------------------------------------------------


class Roles:
    """Assumes roles for an hour from second 1,000; can be made to fail."""

    def __init__(self) -> None:
        self.error: CredentialsError | None = None

    async def __call__(self, function: str) -> RoleCredentials:
        """Assume a role."""
        if self.error:
            raise self.error
        return RoleCredentials(KEYS, 1000.0 + 3600)


class Runtime:
    """A fleet's runtime port: hosts may join `api`, whose pool starts nothing itself, and not `own`."""

    def __init__(self, bench: Bench, session: aiohttp.ClientSession) -> None:
        self.bench = bench
        self.pool = bench.pool
        self.roles = Roles()
        self.session = session
        self.url = ""
        pools = {"api": bench.pool, "own": bench.pool}
        settings = FleetSettings(
            Path("logs"), Path("metrics"), Path("code"), joined=frozenset({"api"}), environment={"ALL": "1"}
        )
        credentials = CredentialsCache(self.roles, clock=lambda: 1000.0)
        deployment = Deployment(s3_url=NOWHERE, s3_public_url=NOWHERE, sqs_url=NOWHERE, gateway_url=NOWHERE)
        clock, epoch = (lambda: bench.now), (lambda: 1000.0)
        self._hosts = HostApi(pools, deployment, settings, credentials, clock=clock, epoch=epoch)
        self._runtime = RuntimeApi(pools)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        await (self._hosts if scope["path"].startswith(PREFIX) else self._runtime)(scope, receive, send)

    def connection(self, function: str = "api") -> FleetConnection:
        """Return a host's connection."""
        return FleetConnection(self.session, self.url, function)

    def environment(self, joined: Membership) -> Environment:
        """Return the environment as its pool has it."""
        found = self.pool.environment(joined.join.identity)
        assert found is not None
        return found

    async def post(self, path: str, body: bytes = b"", **headers: str) -> tuple[int, Any]:
        """POST below `/.hosts/`: status and document."""
        async with self.session.post(self.url + PREFIX + path, data=body, headers=headers) as answer:
            return answer.status, orjson.loads(await answer.read() or b"null")

    async def until_gone(self) -> None:
        """Until no environment is left."""
        await until(lambda: not any(self.pool.statistics().environments.values()))


RuntimeOf = Callable[..., AbstractAsyncContextManager[Runtime]]


@pytest.fixture
def runtime_of(tmp_path: Path) -> RuntimeOf:
    """Return what serves a runtime port: `async with runtime_of(slots=2) as runtime`."""

    @asynccontextmanager
    async def make(**changes: Any) -> AsyncIterator[Runtime]:
        bench = pool_bench(Metrics(tmp_path), max_environments=0, **changes)
        async with aiohttp.ClientSession() as session:
            runtime = Runtime(bench, session)
            async with Server(runtime, listen(0, "this test")) as server, bench.pool:
                runtime.url = f"http://127.0.0.1:{server.port}"
                yield runtime

    return make


async def next_command(joined: Membership) -> Command | None:
    """Return the fleet's next command; None when it has closed the connection."""
    async with asyncio.timeout(30):
        return await anext(joined.commands(), None)


async def test_who_joins_is_told_all_that_an_environment_needs(runtime_of: RuntimeOf):
    """Function, credentials, place, variables and times; and the pool has the environment, until its keys end."""
    async with runtime_of(slots=2) as runtime, runtime.connection().join() as joined:
        response = joined.join
        environment = runtime.environment(joined)
        assert (response.function, response.credentials) == (runtime.pool.function, KEYS)
        assert (response.region, response.endpoint_url, response.environment) == ("us-east-1", None, {"ALL": "1"})
        assert response.stop_seconds == 2.0
        assert (environment.state, environment.slots) == (State.STARTING, 2)
        assert environment.retire_at == 3600 - (3 + 60)


async def test_the_first_poll_is_told_to_the_host(runtime_of: RuntimeOf):
    """So it knows, and its health check, that the environment takes invocations."""
    async with runtime_of() as runtime, runtime.connection().join() as joined:
        runtime.pool.poll(runtime.environment(joined))
        assert await next_command(joined) is Command.READY


async def test_an_invocation_runs_through_a_host(runtime_of: RuntimeOf):
    """It waits until a host joins, and is polled and answered at the address that the host's process gets."""
    async with runtime_of() as runtime:
        waiting = runtime.bench.invoke("r1")
        async with runtime.connection().join() as joined:
            address = f"{runtime.url}/.rt/api/{joined.join.identity}/2018-06-01/runtime/invocation"
            async with runtime.session.get(f"{address}/next") as event:
                assert event.headers["Lambda-Runtime-Aws-Request-Id"] == "r1"
            async with runtime.session.post(f"{address}/r1/response", data=b'"done"') as accepted:
                assert accepted.status == 202
            assert (await waiting).payload == b'"done"'


async def test_a_host_that_vanishes_takes_its_environment_along(runtime_of: RuntimeOf):
    """What ran there ends as after SIGKILL, and the next invocation waits for another host."""
    async with runtime_of() as runtime:
        async with runtime.connection().join() as joined:
            running = runtime.bench.invoke("r1")
            await runtime.bench.next(runtime.environment(joined))
        result = await asyncio.wait_for(running, 30)
        assert orjson.loads(result.payload)["errorType"] == "Runtime.ExitError"
        assert b"signal: killed" in result.payload
        await runtime.until_gone()
        assert (await runtime.post(f"api/{joined.join.identity}/exit", b'{"status": 0}'))[0] == 404


async def test_a_host_reports_how_its_process_ended(runtime_of: RuntimeOf):
    """The invocation's caller reads the exit status, the connection ends, and the environment is gone."""
    async with runtime_of() as runtime, runtime.connection().join() as joined:
        running = runtime.bench.invoke("r1")
        await runtime.bench.next(runtime.environment(joined))
        assert await next_command(joined) is Command.READY
        await runtime.connection().report_exit(joined.join.identity, 3)
        assert b"exit status 3" in (await asyncio.wait_for(running, 30)).payload
        assert await next_command(joined) is None
        await runtime.until_gone()


async def test_a_report_that_is_none_is_refused(runtime_of: RuntimeOf):
    """400, with what is expected; the environment lives on."""
    bodies = [b"", b"{", b"{}", b"[]", b"3", b'{"status": null}', b'{"status": "soon"}', b'{"status": 1}' + b" " * 2000]
    async with runtime_of() as runtime, runtime.connection().join() as joined:
        answers = {body: await runtime.post(f"api/{joined.join.identity}/exit", body) for body in bodies}
        assert answers == {body: (400, {"message": 'Expected {"status": a number}.'}) for body in bodies}
        assert runtime.environment(joined).state is State.STARTING


async def test_renewing_replaces_the_environment(runtime_of: RuntimeOf):
    """The host is told to stop when what runs is done; who joins then is another environment."""
    async with runtime_of() as runtime, runtime.connection().join() as joined:
        running = runtime.bench.invoke("r1")
        environment = runtime.environment(joined)
        await runtime.bench.next(environment)
        assert await next_command(joined) is Command.READY
        runtime.pool.renew()
        assert environment.state is State.DRAINING
        assert not running.done()
        environment.finish("r1", None, 0.0)
        assert await next_command(joined) is Command.STOP
        await runtime.connection().report_exit(joined.join.identity, 0)
        async with runtime.connection().join() as another:
            assert another.join.identity != joined.join.identity
        running.cancel()


async def test_renewing_stops_also_what_has_not_begun(runtime_of: RuntimeOf):
    """An environment that starts with the former credentials is not waited for, and no caller hears of it."""
    async with runtime_of() as runtime, runtime.connection().join() as joined:
        waiting = runtime.bench.invoke("r1")
        await until(lambda: runtime.pool.statistics().waiting)
        runtime.pool.renew()
        assert await next_command(joined) is Command.STOP
        await runtime.connection().report_exit(joined.join.identity, 0)
        await runtime.until_gone()
        assert not waiting.done()
        waiting.cancel()


async def test_the_end_of_the_fleet_stops_its_hosts(runtime_of: RuntimeOf, monkeypatch: pytest.MonkeyPatch):
    """One that does not do as it is told is given up, and nothing waits for it."""
    monkeypatch.setattr("fleet.hosts.api._REPORT_SECONDS", 0.01)
    async with runtime_of(stop=0.01) as runtime, runtime.connection().join() as joined:
        runtime.pool.poll(runtime.environment(joined))
        assert await next_command(joined) is Command.READY
        runtime.pool.stop()
        assert await next_command(joined) is Command.STOP
        assert await next_command(joined) is None


async def test_nobody_joins_a_fleet_that_ends(runtime_of: RuntimeOf):
    """A host whose environment has just been stopped would else begin another one, and the end would not come."""
    async with asyncio.timeout(30), runtime_of() as runtime:
        runtime.pool.stop()
        with pytest.raises(FleetUnavailable, match="answers 503: The fleet is ending"):
            async with runtime.connection().join():
                pass


async def test_refusals(runtime_of: RuntimeOf):
    """Each with its status and the reason, and no environment comes of it."""
    reasons = {
        "nobody": (404, {"message": "stack.yaml has no function 'nobody'."}),
        "own": (409, {"message": "The fleet starts the environments of own itself."}),
        "api/e1/exit": (404, {"message": "No such environment."}),
        "api/e1": (404, {"message": "There is nothing at this address."}),
    }
    async with runtime_of() as runtime:
        assert {path: await runtime.post(path) for path in reasons} == reasons
        for path in ("api", "api/e1/exit"):
            page = await runtime.post(path, Origin="http://evil.example")
            assert page == (403, {"message": "Not for web pages."})
        async with runtime.session.get(f"{runtime.url}{PREFIX}api") as link:
            assert link.status == 404
        assert runtime.pool.statistics().started == 0


async def test_without_credentials_nobody_joins(runtime_of: RuntimeOf):
    """503 with the reason, and the next try may succeed."""
    async with runtime_of() as runtime:
        runtime.roles.error = CredentialsError("the emulator is away")
        assert await runtime.post("api") == (503, {"message": "the emulator is away"})
        assert runtime.pool.statistics().started == 0
        runtime.roles.error = None
        async with runtime.connection().join() as joined:
            assert joined.join.credentials == KEYS


# --- the host's side -----------------------------------------------------------------------------------------------


async def refused(connection: FleetConnection) -> None:
    """Try to join."""
    async with connection.join():
        raise AssertionError("it was let in")


async def test_a_host_learns_that_it_will_never_be_let_in(runtime_of: RuntimeOf):
    """There is no use in trying again."""
    async with runtime_of() as runtime:
        for function, reason in (("nobody", "answers 404: stack.yaml"), ("own", "answers 409: The fleet starts")):
            with pytest.raises(NotJoinable, match=reason):
                await refused(runtime.connection(function))


async def test_a_fleet_that_cannot_be_reached_is_away(unused_tcp_port: int):
    """Its address is in the message, and a report to it is dropped in silence."""
    async with aiohttp.ClientSession() as session:
        connection = FleetConnection(session, f"http://127.0.0.1:{unused_tcp_port}/", "api")
        message = f"the fleet at http://127.0.0.1:{unused_tcp_port}/ cannot be reached"
        with pytest.raises(FleetUnavailable, match=message):
            await refused(connection)
        await connection.report_exit("e1", 0)


@pytest.mark.parametrize("url", ["fleet:9002", "fleet", "ftp://fleet:9002", "http://"])
async def test_what_is_no_address_is_not_tried_again(url: str):
    """A fleet that is named without http:// will not come up later."""
    async with aiohttp.ClientSession() as session:
        with pytest.raises(NotJoinable, match=f"{url} is no address; write it like http://"):
            await refused(FleetConnection(session, url, "api"))


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        (Response(200, b"<html>"), FleetUnavailable, "sent no valid join response"),
        (Response(200), FleetUnavailable, "sent no valid join response"),
        (Response(502, b"<html>bad gateway"), FleetUnavailable, "answers 502: <html>bad gateway"),
        (Response(418, b"tea" * 1000), NotJoinable, r"answers 418: (tea)+te$"),
    ],
)
async def test_another_program_at_the_address_is_no_fleet(answer: Response, error: type[Exception], message: str):
    """What passes is tried again; the rest is told with its beginning."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await respond(send, answer)

    async with aiohttp.ClientSession() as session, Server(app, listen(0, "this test")) as server:
        with pytest.raises(error, match=message):
            await refused(FleetConnection(session, f"http://127.0.0.1:{server.port}", "api"))


# --- reload --------------------------------------------------------------------------------------------------------


def looks_of(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Return the folders that are looked through: one entry per look, from its start."""
    looks: list[Path] = []
    times = host.code_times

    def look(folder: Path) -> Mapping[Path, int]:
        looks.append(folder)
        return times(folder)

    monkeypatch.setattr(host, "code_times", look)
    return looks


@pytest.mark.parametrize("change", ["edited", "new", "gone"])
async def test_a_change_of_code_is_noticed(tmp_path: Path, change: str, monkeypatch: pytest.MonkeyPatch):
    """A Python file anywhere below the folder that is new, gone or another; other files do not count."""
    package = tmp_path / "package"
    package.mkdir()
    code = package / "code.py"
    code.write_text("a = 1")
    looks = looks_of(monkeypatch)
    noticing = asyncio.create_task(code_changed(tmp_path, pause=0.001))
    await until(lambda: len(looks) >= 1)
    (package / "notes.txt").write_text("not code")
    seen = len(looks) + 1  # the one under way may be too early
    await until(lambda: len(looks) > seen)
    assert not noticing.done()
    match change:
        case "edited":
            os.utime(code, ns=(1, 1))
        case "new":
            (package / "more.py").write_text("b = 2")
        case "gone":
            code.unlink()
    await asyncio.wait_for(noticing, 30)
