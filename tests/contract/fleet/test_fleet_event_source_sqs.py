import asyncio
import json
import os
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest
from fleet_bench import FleetOf, function, stack_of, until

from emulator.embedded import Emulator
from emulator.provision import Change, RoleSource, provision
from fleet.credentials import RoleCredentials
from fleet.settings import SHOEBOX_RUNTIME
from shoebox.aws.clients import Clients
from shoebox.stack.deployment import ResolvedStack

SECONDS = 60
SOON = 12  # seconds until a message comes back; a sixth of it is what an invocation may take


class Queue:
    """A provisioned queue with its function, and what the function wrote down."""

    def __init__(self, sqs: Any, stack: ResolvedStack, journal: Path) -> None:
        self.sqs = sqs
        self.stack = stack
        self.journal = journal
        self.url = stack.queue_url("work")

    async def send(self, *bodies: dict[str, Any], **more: Any) -> list[str]:
        """Send messages, ten a call; returns their ids."""
        ids: list[str] = []
        for start in range(0, len(bodies), 10):
            entries = [
                {"Id": str(n), "MessageBody": json.dumps(body), **more}
                for n, body in enumerate(bodies[start : start + 10])
            ]
            answer = await self.sqs.send_message_batch(QueueUrl=self.url, Entries=entries)
            ids += [sent["MessageId"] for sent in answer["Successful"]]
        return ids

    def written(self) -> list[dict[str, Any]]:
        """Return the path of the function's journal."""
        return [json.loads(line) for line in self.journal.read_text().splitlines()] if self.journal.exists() else []

    async def until_written(self, messages: int) -> list[dict[str, Any]]:
        """Return the journal when it has this many entries."""
        await until(lambda: not (len(self.written()) < messages))
        return self.written()

    async def until_empty(self) -> None:
        """Until the queue holds nothing, visible or not."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        async with asyncio.timeout(SECONDS):
            while True:
                answer = await self.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=names)
                if not any(int(answer["Attributes"][name]) for name in names):
                    return
                await asyncio.sleep(0.05)


QueueOf = Callable[..., AbstractAsyncContextManager[Queue]]


@pytest.fixture
def queue_of(emulator: Emulator, root_clients: Clients, tmp_path: Path, request: pytest.FixtureRequest) -> QueueOf:
    """Make a queue of its own for a test, with the role of its function."""

    @asynccontextmanager
    async def make(
        permissions: list[str] | None = None,
        visibility: int = 30,
        handler: str = "batch",
        queue: dict[str, Any] | None = None,
        **trigger: Any,
    ) -> AsyncIterator[Queue]:
        journal = tmp_path / "journal"
        worker = function(
            handler,
            timeout=visibility // 6,
            environment={"JOURNAL": str(journal)},
            permissions={"queue/work": permissions or ["consume"]},
            queue={"name": "work", **trigger},
        )
        parts = {"queues": {"work": {"visibility_timeout": visibility, **(queue or {})}}}
        stack = stack_of({"worker-fn": worker}, emulator.url, **parts)
        own = stack.deployment.model_copy(update={"prefix": f"q{abs(hash(request.node.nodeid)) % 10**9}"})
        resolved = ResolvedStack(stack=stack.stack, deployment=own)
        await provision(resolved, root_clients)
        yield Queue(await root_clients.open("sqs"), resolved, journal)

    return make


async def test_a_message_becomes_lambdas_event(fleet_of: FleetOf, queue_of: QueueOf, root_clients: Clients):
    """Every field of a record, made by a real queue and seen by a real function."""
    async with queue_of() as queue, fleet_of(queue.stack, RoleSource(queue.stack, root_clients)):
        attributes = {"kind": {"DataType": "String", "StringValue": "test"}}
        (sent,) = await queue.send({"n": 1}, MessageAttributes=attributes)
        (entry,) = await queue.until_written(1)
        await queue.until_empty()
    record = entry["record"]
    assert record.keys() >= {
        "messageId",
        "receiptHandle",
        "body",
        "attributes",
        "messageAttributes",
        "md5OfBody",
        "eventSource",
        "eventSourceARN",
        "awsRegion",
    }
    assert (record["messageId"], record["body"], record["eventSource"]) == (sent, '{"n": 1}', "aws:sqs")
    assert record["eventSourceARN"] == queue.stack.arn_of("queue", "work")
    assert record["messageAttributes"]["kind"]["stringValue"] == "test"
    assert record["attributes"]["ApproximateReceiveCount"] == "1"
    assert {"SentTimestamp", "ApproximateFirstReceiveTimestamp", "SenderId"} <= record["attributes"].keys()


async def test_a_hundred_messages_are_worked_on_once_in_batches_of_ten(
    fleet_of: FleetOf, queue_of: QueueOf, root_clients: Clients
):
    """With every message in the queue before the start, ten receives are enough."""
    async with queue_of(maximum_concurrency=4) as queue:
        sent = await queue.send(*({"n": n} for n in range(100)))
        async with fleet_of(queue.stack, RoleSource(queue.stack, root_clients)) as running:
            entries = await queue.until_written(100)
            await queue.until_empty()
            statistics = running.fleet.statistics().mappings[0]
    assert Counter(entry["record"]["messageId"] for entry in entries) == Counter(sent)
    assert {entry["number"] for entry in entries} == {10}
    assert len({entry["pid"] for entry in entries}) <= 4
    assert (statistics.received, statistics.deleted, statistics.kept) == (100, 100, 0)


async def test_only_failed_messages_come_back(fleet_of: FleetOf, queue_of: QueueOf, root_clients: Clients):
    """A partial batch response, to the end: the failed one is received twice, its neighbours once."""
    async with queue_of(visibility=SOON) as queue:
        bad, *good = await queue.send({"fail": True}, {"n": 1}, {"n": 2})
        async with fleet_of(queue.stack, RoleSource(queue.stack, root_clients)):
            entries = await queue.until_written(4)
            await queue.until_empty()
    counts = Counter(entry["record"]["messageId"] for entry in entries)
    assert counts == {bad: 2, **dict.fromkeys(good, 1)}


async def test_a_killed_environment_loses_no_message(fleet_of: FleetOf, queue_of: QueueOf, root_clients: Clients):
    """SIGKILL in the middle of an invocation: the message comes back and another process does it."""
    async with queue_of(visibility=SOON) as queue:
        await queue.send({"hang": True})
        async with fleet_of(queue.stack, RoleSource(queue.stack, root_clients)):
            (first,) = await queue.until_written(1)
            os.kill(first["pid"], signal.SIGKILL)
            _, second = await queue.until_written(2)
            await queue.until_empty()
    assert second["record"]["messageId"] == first["record"]["messageId"]
    assert second["record"]["attributes"]["ApproximateReceiveCount"] == "2"
    assert second["pid"] != first["pid"]


@pytest.mark.parametrize("runtime", [SHOEBOX_RUNTIME], ids=["shoebox"])
async def test_messages_of_an_overrun_stay_invisible(fleet_of: FleetOf, queue_of: QueueOf, root_clients: Clients):
    """The environment is killed at its deadline; the message comes back when its visibility ends, and not before."""
    async with queue_of(visibility=6) as queue:
        await queue.send({"hang": True})
        async with fleet_of(queue.stack, RoleSource(queue.stack, root_clients)):
            (first,) = await queue.until_written(1)
            begun = time.monotonic()
            await until(lambda: not psutil.pid_exists(first["pid"]))
            _, second = await queue.until_written(2)
            assert time.monotonic() - begun > 5
            await queue.until_empty()
    assert second["record"]["messageId"] == first["record"]["messageId"]
    assert second["pid"] != first["pid"]


async def test_a_role_without_permission_is_named(
    fleet_of: FleetOf, queue_of: QueueOf, root_clients: Clients, http: aiohttp.ClientSession
):
    """Function, queue and missing action are in the mapping's state, its health and its metrics."""
    async with (
        queue_of(permissions=["send"]) as queue,
        fleet_of(queue.stack, RoleSource(queue.stack, root_clients)) as running,
    ):
        mapping = running.fleet.mappings[0]
        await until(lambda: mapping.last_error is not None)
        health = await (await http.get(running.fleet.runtime_url + "/healthz")).json()
        metrics = await (await http.get(running.fleet.runtime_url + "/metrics")).text()
    assert (
        mapping.last_error == "AccessDenied: the role of function worker-fn lacks sqs:GetQueueAttributes on queue work"
    )
    assert health["status"] == "degraded"
    assert 'fleet_mapping_blocked{function="worker-fn"} 1.0' in metrics
    assert 'fleet_mapping_errors_total{code="AccessDenied' in metrics


async def test_a_mapping_recovers_when_its_role_can_be_assumed_again(
    fleet_of: FleetOf, queue_of: QueueOf, root_clients: Clients
):
    """Credentials that are refused at first are an error that passes."""
    async with queue_of() as queue:
        source = RoleSource(queue.stack, root_clients)
        open_now = asyncio.Event()

        async def sometimes(name: str) -> RoleCredentials:
            if not open_now.is_set():
                raise OSError("the emulator is away")
            return await source(name)

        async with fleet_of(queue.stack, sometimes) as running:
            mapping = running.fleet.mappings[0]
            await until(lambda: mapping.last_error is not None)
            assert "OSError" in mapping.last_error
            open_now.set()
            await queue.send({"n": 1})
            await queue.until_written(1)
            await queue.until_empty()
            assert mapping.last_error is None


async def test_batches_wait_for_their_window(fleet_of: FleetOf, queue_of: QueueOf, root_clients: Clients):
    """Messages that come within it are one batch, larger than one receive gives."""
    async with queue_of(batch_size=50, window=4) as queue:
        await queue.send(*({"n": n} for n in range(30)))
        async with fleet_of(queue.stack, RoleSource(queue.stack, root_clients)):
            entries = await queue.until_written(30)
            await queue.until_empty()
    assert {entry["number"] for entry in entries} == {30}


async def test_messages_that_no_filter_lets_pass_are_deleted_unseen(
    fleet_of: FleetOf, queue_of: QueueOf, root_clients: Clients
):
    """A real queue's bodies, and the function sees only what it asked for."""
    async with queue_of(filters=[{"body": {"kind": ["photo"]}}]) as queue:
        await queue.send({"kind": "photo"}, {"kind": "video"}, {"kind": "photo"})
        async with fleet_of(queue.stack, RoleSource(queue.stack, root_clients)) as running:
            entries = await queue.until_written(2)
            await queue.until_empty()
            statistics = running.fleet.statistics().mappings[0]
    assert {json.loads(entry["record"]["body"])["kind"] for entry in entries} == {"photo"}
    assert (statistics.received, statistics.filtered, statistics.deleted) == (3, 1, 2)


async def test_without_report_batch_item_failures_what_the_function_reports_is_deleted(
    fleet_of: FleetOf, queue_of: QueueOf, root_clients: Clients
):
    """On AWS partial responses have to be turned on."""
    async with queue_of(handler="batch_fails_on_paper", report_batch_item_failures=False) as queue:
        await queue.send({"n": 1}, {"n": 2})
        async with fleet_of(queue.stack, RoleSource(queue.stack, root_clients)):
            entries = await queue.until_written(2)
            await queue.until_empty()
    assert {entry["record"]["attributes"]["ApproximateReceiveCount"] for entry in entries} == {"1"}


async def test_a_queue_whose_visibility_timeout_was_changed_by_hand_is_named(
    fleet_of: FleetOf, queue_of: QueueOf, root_clients: Clients
):
    """Lambda would refuse the mapping; the fleet says so, and begins when it is put right."""
    async with queue_of() as queue:
        await queue.sqs.set_queue_attributes(QueueUrl=queue.url, Attributes={"VisibilityTimeout": "0"})
        await queue.send({"n": 1})
        async with fleet_of(queue.stack, RoleSource(queue.stack, root_clients)) as running:
            mapping = running.fleet.mappings[0]
            await until(lambda: mapping.last_error is not None)
            assert "Queue visibility timeout: 0 seconds is less than Function timeout: 5 seconds" in mapping.last_error
            assert queue.written() == []
            await queue.sqs.set_queue_attributes(QueueUrl=queue.url, Attributes={"VisibilityTimeout": "30"})
            await queue.until_written(1)
            await queue.until_empty()


FIFO = {"fifo": True, "content_based_deduplication": True}


async def test_groups_of_a_fifo_queue_are_worked_on_in_order(
    fleet_of: FleetOf, queue_of: QueueOf, root_clients: Clients
):
    """Each group by itself, several at once; a message that fails is retried before those that follow it."""
    async with queue_of(handler="batch_in_order", queue=FIFO, batch_size=3, visibility=SOON) as queue:
        for number in range(5):
            for group in ("a", "b", "c"):
                body = {"group": group, "n": number, "fail": (group, number) == ("b", 1)}
                await queue.send(body, MessageGroupId=group)
        async with fleet_of(queue.stack, RoleSource(queue.stack, root_clients)):
            entries = await queue.until_written(16)
            await queue.until_empty()
    bodies = [json.loads(entry["record"]["body"]) for entry in entries]
    order = {group: [body["n"] for body in bodies if body["group"] == group] for group in ("a", "b", "c")}
    assert order == {"a": [0, 1, 2, 3, 4], "b": [0, 1, 1, 2, 3, 4], "c": [0, 1, 2, 3, 4]}


async def test_a_fifo_queue_is_provisioned_as_one(queue_of: QueueOf, root_clients: Clients):
    """With its name, its kind and its deduplication; a second run changes nothing."""
    async with queue_of(queue=FIFO) as queue:
        answer = await queue.sqs.get_queue_attributes(QueueUrl=queue.url, AttributeNames=["All"])
        again = await provision(queue.stack, root_clients)
    attributes = answer["Attributes"]
    assert queue.url.endswith("-work.fifo")
    assert (attributes["FifoQueue"], attributes["ContentBasedDeduplication"]) == ("true", "true")
    assert len(again.having(Change.UNCHANGED)) == len(again.outcomes)
