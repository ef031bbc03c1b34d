"""The emulator as a process: start, stop, death, and what it keeps."""

import asyncio
import os
import signal
import socket
import sys
from pathlib import Path

import aiohttp
import psutil
import pytest
from botocore.exceptions import ClientError

from emulator.embedded import ROOT_CREDENTIALS, Emulator, EmulatorDied, EmulatorFailed
from emulator.provision import Change, RoleSource, provision
from fleet.http.ports import PortTaken, holder_of, listen
from shoebox.aws.clients import Clients
from shoebox.aws.credentials import Credentials
from shoebox.stack.deployment import ResolvedStack
from shoebox.stack.model import Stack
from tests.emulator.conftest import bind_to

pytestmark = pytest.mark.only_on("embedded", reason="it is about the embedded emulator's own process")
PUBLIC = "keys/demo.json"


async def test_it_is_ready_when_entered(embedded: Emulator, root_clients: Clients):
    """The first call after the start succeeds, and it is root's."""
    identity = await (await root_clients.open("sts")).get_caller_identity()
    assert identity["Arn"] == "arn:aws:iam::000000000000:root"
    assert embedded.url == f"http://127.0.0.1:{embedded.port}"


def test_it_listens_on_loopback_only(embedded: Emulator):
    """No other machine can reach it, for root needs no secret there."""
    assert embedded.pid is not None
    listening = [c.laddr.ip for c in psutil.Process(embedded.pid).net_connections() if c.status == psutil.CONN_LISTEN]
    assert listening == ["127.0.0.1"]


async def test_a_taken_port_is_named_with_its_holder():
    """The message says which port, who has it, and what to do."""
    with listen(0, "this test") as held:
        port = held.getsockname()[1]
        with pytest.raises(PortTaken) as caught:
            async with Emulator(port=port):
                pass
    assert f"Port {port} for the emulator is taken by " in str(caught.value)
    assert f"(pid {os.getpid()})" in str(caught.value)
    assert "choose another port" in str(caught.value)


async def test_a_process_that_ends_at_once_is_reported(monkeypatch: pytest.MonkeyPatch):
    """A start that fails is an error soon, not a wait until the time is up."""
    monkeypatch.setattr("emulator.embedded.sys.executable", "/bin/false")
    async with asyncio.timeout(60):
        with pytest.raises(EmulatorFailed, match="ended instead of starting"):
            async with Emulator():
                pass


async def test_a_broken_start_shows_the_emulators_own_words(monkeypatch: pytest.MonkeyPatch):
    """The message carries the end of the log, so that nobody has to look for it."""
    monkeypatch.setattr(Emulator, "_environment", lambda _: {"MINISTACK_WORKER_THREADS": "many"})
    with pytest.raises(EmulatorFailed, match="invalid literal for int"):
        async with Emulator():
            pass


async def test_its_death_is_noticed():
    """Whoever watches learns that it ended, and how."""
    async with Emulator() as emulator:
        assert emulator.pid is not None
        os.kill(emulator.pid, signal.SIGKILL)
        async with asyncio.timeout(30):
            with pytest.raises(EmulatorDied, match="status -9"):
                await emulator.watch()


async def test_a_stop_that_we_asked_for_is_no_death():
    """`died` tells of the unexpected only."""
    async with Emulator() as emulator:
        pass
    assert not emulator.died.is_set()
    assert emulator.pid is None


async def test_the_users_own_settings_do_not_reach_it(monkeypatch: pytest.MonkeyPatch):
    """AUTH=false or an AWS profile in the shell cannot switch permissions off."""
    monkeypatch.setenv("AUTH", "false")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAFROMTHESHELL")
    async with Emulator() as emulator, Clients(emulator.aws, Credentials("AKIAFROMTHESHELL", "x")) as clients:
        with pytest.raises(ClientError, match="InvalidClientTokenId"):
            await (await clients.open("sqs")).list_queues()


async def test_a_roles_keys_are_checked(embedded: Emulator, provisioned: ResolvedStack, root_clients: Clients):
    """Unlike root's, a role's secret must be right."""
    keys = (await RoleSource(provisioned, root_clients)("api")).keys
    forged = Credentials(keys.access_key_id, "wrong", keys.session_token)
    async with Clients(embedded.aws, forged) as clients:
        with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
            await (await clients.open("sqs")).get_queue_url(QueueName="any")


async def fill(resolved: ResolvedStack, clients: Clients) -> None:
    """Return an object with metadata, an item, and a message that somebody is working on."""
    await provision(resolved, clients)
    s3, sqs, dynamodb = await clients.open("s3"), await clients.open("sqs"), await clients.open("dynamodb")
    await s3.put_object(Bucket=resolved.name_of("bucket", "public"), Key=PUBLIC, Body=b"{}", Metadata={"a": "b"})
    await dynamodb.put_item(TableName=resolved.name_of("table", "files"), Item={"pk": {"S": "p"}, "n": {"N": "1"}})
    await sqs.send_message(QueueUrl=resolved.queue_url("deletions"), MessageBody="hello")
    await sqs.receive_message(QueueUrl=resolved.queue_url("deletions"))


async def read_object(resolved: ResolvedStack, clients: Clients) -> tuple[bytes, dict[str, str]]:
    """Body and metadata of the object that `fill` stored."""
    s3 = await clients.open("s3")
    answer = await s3.get_object(Bucket=resolved.name_of("bucket", "public"), Key=PUBLIC)
    return await answer["Body"].read(), answer["Metadata"]


async def test_a_restart_keeps_everything(tmp_path: Path, stack: Stack):
    """After a stop and a start, on another port, there is nothing to provision, and all data is there."""
    async with Emulator(tmp_path) as emulator, Clients(emulator.aws, ROOT_CREDENTIALS) as clients:
        await fill(bind_to(emulator, stack), clients)
    async with Emulator(tmp_path) as emulator, Clients(emulator.aws, ROOT_CREDENTIALS) as clients:
        resolved = bind_to(emulator, stack)
        report = await provision(resolved, clients)
        assert report.outcomes == report.having(Change.UNCHANGED)
        assert await read_object(resolved, clients) == (b"{}", {"a": "b"})
        dynamodb, sqs = await clients.open("dynamodb"), await clients.open("sqs")
        found = await dynamodb.get_item(TableName=resolved.name_of("table", "files"), Key={"pk": {"S": "p"}})
        assert found["Item"]["n"] == {"N": "1"}
        counts = await sqs.get_queue_attributes(QueueUrl=resolved.queue_url("deletions"), AttributeNames=["All"])
        assert counts["Attributes"]["ApproximateNumberOfMessagesNotVisible"] == "1"
        assert not emulator.recovery.cut_off


async def test_a_long_poll_does_not_hold_up_its_stop(tmp_path: Path, stack: Stack):
    """A waiting receiver is cut off after a second, and the data is saved all the same."""
    async with Emulator(tmp_path) as emulator:
        resolved = bind_to(emulator, stack)
        async with Clients(emulator.aws, ROOT_CREDENTIALS) as clients:
            await provision(resolved, clients)
            sqs = await clients.open("sqs")
            poll = asyncio.create_task(
                sqs.receive_message(QueueUrl=resolved.queue_url("uploads-dead"), WaitTimeSeconds=20)
            )
            await sqs.list_queues()  # the poll was sent before
            async with asyncio.timeout(30):
                await emulator.stop()
            poll.cancel()
    async with Emulator(tmp_path) as emulator, Clients(emulator.aws, ROOT_CREDENTIALS) as clients:
        assert not emulator.recovery.cut_off
        assert len((await (await clients.open("sqs")).list_queues())["QueueUrls"]) == len(stack.queues)


PARENT = """
import asyncio, pathlib, sys
from emulator.embedded import Emulator
async def main():
    async with Emulator(pathlib.Path(sys.argv[1])) as emulator:
        print(emulator.pid, flush=True)
        await asyncio.Event().wait()
asyncio.run(main())
"""


async def test_it_ends_with_its_parent(tmp_path: Path):
    """A parent's kill -9 leaves no process behind, and the emulator still saves its data."""
    parent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PARENT, str(tmp_path)),
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    assert parent.stdout is not None
    line = await parent.stdout.readline()
    while not line.strip().isdigit():  # log lines come first
        line = await parent.stdout.readline()
    emulator = psutil.Process(int(line))
    parent.kill()
    await parent.wait()
    psutil.wait_procs([emulator], timeout=60)
    assert not emulator.is_running()
    assert (tmp_path / "state").is_dir()


PAGE = {"Origin": "http://evil.example"}


async def test_a_web_page_cannot_act_as_root(embedded: Emulator, http: aiohttp.ClientSession):
    """Any site that a developer visits could otherwise reach the emulator from his browser."""
    wipe = await http.post(f"{embedded.url}/_ministack/reset", headers=PAGE)
    forged = {"X-Amz-Credential": "test/20260101/us-east-1/sqs/aws4_request", "Action": "ListQueues"}
    listed = await http.post(embedded.url, params=forged, headers=PAGE)
    image = await http.get(f"{embedded.url}/_ministack/health", headers={"Sec-Fetch-Mode": "no-cors"})
    rebound = await http.get(f"{embedded.url}/_ministack/health", headers={"Host": f"evil.example:{embedded.port}"})
    assert [wipe.status, listed.status, image.status, rebound.status] == [403] * 4


async def test_a_page_cannot_hide_roots_key_behind_a_roles(embedded: Emulator, http: aiohttp.ClientSession):
    """One request with two sets of credentials, or with an admin path, is refused."""
    role = {"X-Amz-Credential": "ASIAX/20260101/us-east-1/s3/aws4_request"}
    root = {"Authorization": "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request"}
    both = await http.get(embedded.url, params=role, headers=PAGE | root)
    wipe = await http.post(f"{embedded.url}/_ministack/reset", params=role, headers=PAGE)
    assert [both.status, wipe.status] == [403, 403]


def test_the_holder_of_a_free_port_is_nobody():
    """There is no name for what does not listen."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        assert holder_of(unused.getsockname()[1]) is None
