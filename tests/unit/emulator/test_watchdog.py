import asyncio
import time
from typing import Any

import pytest
from aiobotocore.config import AioConfig
from botocore.exceptions import ClientError, EndpointConnectionError
from botocore.parsers import ResponseParserError

from emulator.embedded import ROOT_CREDENTIALS
from emulator.provision import ProvisionError
from emulator.watchdog import EmulatorUnreachable, EmulatorWatchdog, wait_for_emulator
from fleet.http.asgi import Receive, Response, Scope, Send, respond
from fleet.http.ports import listen
from fleet.http.server import Server
from shoebox.aws.clients import Clients, client_config
from shoebox.config import AwsSettings
from shoebox.stack.deployment import Deployment, ResolvedStack, resolve
from shoebox.stack.model import Stack

NOWHERE = "http://127.0.0.1:9"
PLACE = Deployment(prefix="tests", s3_url=NOWHERE, s3_public_url=NOWHERE, sqs_url=NOWHERE, gateway_url=NOWHERE)
AWAY = EndpointConnectionError(endpoint_url=NOWHERE)
NO_XML = ResponseParserError("Unable to parse response")
STARTING = ClientError({"Error": {"Code": "503", "Message": "starting"}}, "GetQueueUrl")
NO_QUEUE = "AWS.SimpleQueueService.NonExistentQueue"


def stack_with(*queues: str) -> ResolvedStack:
    """Return a stack with these queues and little else."""
    gateway = {"authorizer": {"function": "api", "identity": "Authorization"}, "routes": [], "responses": {}}
    function = {"handler": "a.b", "memory": 128, "timeout": 5}
    described = {"name": "tests", "functions": {"api": function}, "gateway": gateway}
    return resolve(Stack.model_validate({**described, "queues": {name: {} for name in queues}}), PLACE)


class Emulator:
    """An emulator that goes away and comes back empty; it stands for the clients of it, too."""

    def __init__(self, *queues: str) -> None:
        self.resolved = stack_with(*queues)
        self.queues = {f"tests-{name}" for name in queues}
        self.trouble: Exception | None = None
        self.asked: list[str] = []
        self.restored = 0
        self.refusals: list[Exception] = []
        self.watchdog = EmulatorWatchdog(self.resolved, self, self.restore, sleep=self.sleep)  # type: ignore[arg-type]
        self.slept: list[float] = []

    async def open(self, service: str) -> "Emulator":
        """Return a client."""
        return self

    async def get_queue_url(self, QueueName: str) -> dict[str, Any]:  # noqa: N803 - SQS's own
        """As SQS answers it."""
        self.asked.append("get_queue_url")
        if self.trouble:
            raise self.trouble
        if QueueName not in self.queues:
            raise ClientError({"Error": {"Code": NO_QUEUE, "Message": "It is not there."}}, "GetQueueUrl")
        return {"QueueUrl": f"{NOWHERE}/{QueueName}"}

    async def get_caller_identity(self) -> dict[str, Any]:
        """As STS answers it."""
        self.asked.append("get_caller_identity")
        if self.trouble:
            raise self.trouble
        return {"Account": "000000000000"}

    async def restore(self) -> None:
        """Make everything again, the queues first."""
        self.restored += 1
        self.queues = {f"tests-{name}" for name in self.resolved.stack.queues}
        if self.refusals:
            raise self.refusals.pop(0)

    async def sleep(self, seconds: float) -> None:
        """Count the pauses, and end the watchdog at the third."""
        self.slept.append(seconds)
        if len(self.slept) == 3:
            raise asyncio.CancelledError

    async def look(self, times: int = 1) -> int:
        """Let the watchdog look; how often it has restored until now."""
        for _ in range(times):
            await self.watchdog.check()
        return self.restored


async def test_an_emulator_that_is_well_is_left_alone():
    """One cheap question a look, and nothing else."""
    emulator = Emulator("uploads", "deletions")
    assert await emulator.look(3) == 0
    assert emulator.asked == ["get_queue_url"] * 3


@pytest.mark.parametrize("trouble", [AWAY, STARTING, NO_XML])
async def test_nothing_is_restored_before_the_emulator_answers(trouble: Exception):
    """While it is away, or starts, there is nobody to restore; then once, and not again."""
    emulator = Emulator("uploads")
    emulator.trouble, emulator.queues = trouble, set()
    assert await emulator.look(3) == 0
    emulator.trouble = None
    assert await emulator.look() == 1
    assert await emulator.look(3) == 1


async def test_one_that_comes_back_with_its_queues_is_restored_too():
    """Its queues may be from its disk, and the roles' sessions gone all the same."""
    emulator = Emulator("uploads")
    emulator.trouble = AWAY
    assert await emulator.look() == 0
    emulator.trouble = None
    assert await emulator.look(3) == 1


async def test_a_lost_queue_is_reason_enough():
    """It was away and back between two looks."""
    emulator = Emulator("uploads")
    emulator.queues.clear()
    assert await emulator.look() == 1
    assert await emulator.look(3) == 1


@pytest.mark.parametrize("was", ["away", "back at once"])
@pytest.mark.parametrize("refusal", [ProvisionError("bucket personal", "no"), AWAY, NO_XML])
async def test_a_restoration_that_fails_is_tried_again(was: str, refusal: Exception):
    """Until it has succeeded, also where the queues are there by then."""
    emulator = Emulator("uploads")
    emulator.refusals = [refusal, refusal]
    emulator.queues.clear()
    if was == "away":
        emulator.trouble = AWAY
        await emulator.look()
        emulator.trouble = None
    assert [await emulator.look() for _ in range(5)] == [1, 2, 3, 3, 3]


async def test_a_fault_of_ours_is_not_hidden():
    """What is neither the emulator's nor the network's ends the watchdog, and with it the stack."""
    emulator = Emulator("uploads")
    emulator.queues.clear()
    emulator.refusals = [LookupError("ours")]
    with pytest.raises(LookupError, match="ours"):
        await emulator.look()


async def test_a_stack_without_queues_is_looked_after_as_well():
    """There another cheap question tells whether the emulator is there."""
    emulator = Emulator()
    assert await emulator.look() == 0
    emulator.trouble = AWAY
    assert await emulator.look() == 0
    emulator.trouble = None
    assert await emulator.look(2) == 1
    assert set(emulator.asked) == {"get_caller_identity"}


async def test_it_looks_after_every_pause_until_it_is_cancelled():
    """Two looks between three pauses."""
    emulator = Emulator("uploads")
    with pytest.raises(asyncio.CancelledError):
        await emulator.watchdog.run()
    assert (emulator.slept, len(emulator.asked)) == ([2.0] * 3, 2)


# --- the first answer --------------------------------------------------------------------------------------------


@pytest.fixture
def no_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let clients leave retries to their caller."""
    config = client_config().merge(AioConfig(retries={"total_max_attempts": 1}))
    monkeypatch.setattr("shoebox.aws.clients.client_config", lambda **_: config)


def clients_at(url: str) -> Clients:
    """Return clients of what is at `url`."""
    return Clients(AwsSettings(endpoint_url=url), ROOT_CREDENTIALS)


@pytest.mark.usefixtures("no_retries")
async def test_an_address_where_nobody_is_ends_the_wait(unused_tcp_port: int):
    """After the seconds that it had, with the address, the time and the reason."""
    url = f"http://127.0.0.1:{unused_tcp_port}"
    began = time.monotonic()
    async with asyncio.timeout(30), clients_at(url) as clients:
        with pytest.raises(EmulatorUnreachable) as caught:
            await wait_for_emulator(clients, url, 1)
    assert str(caught.value).startswith(f"No AWS emulator answers at {url} within 1 s: Could not connect")
    assert time.monotonic() - began >= 1


@pytest.mark.usefixtures("no_retries")
@pytest.mark.parametrize("answer", [Response(404, b"<html>no</html>"), Response(404, b"no"), Response(200, b"yes")])
async def test_another_program_at_the_address_is_no_emulator(answer: Response):
    """It answers, but not as AWS does."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await respond(send, answer)

    async with Server(app, listen(0, "this test")) as server:
        url = f"http://127.0.0.1:{server.port}"
        async with clients_at(url) as clients:
            with pytest.raises(EmulatorUnreachable, match=f"No AWS emulator answers at {url} within 0 s: "):
                await wait_for_emulator(clients, url, 0)


@pytest.mark.usefixtures("no_retries")
async def test_a_slow_start_is_waited_for():
    """The first answers are errors of a server that starts; the first good one ends the wait."""
    good = (
        b'<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>'
        b"<Account>000000000000</Account></GetCallerIdentityResult></GetCallerIdentityResponse>"
    )
    answers = [Response(503), Response(500), Response(200, good, [(b"content-type", b"text/xml")])]

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await respond(send, answers.pop(0))

    async with Server(app, listen(0, "this test")) as server:
        url = f"http://127.0.0.1:{server.port}"
        async with clients_at(url) as clients:
            await wait_for_emulator(clients, url, 20)
    assert answers == []
