import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import orjson
import pytest
from fleet_fakes import until

from fleet.environments.invocation import InvokeResult, failure
from fleet.errors import Throttled
from fleet.metrics import Metrics
from fleet.queues.event_source import EventSourceMapping, MappingSettings
from fleet.queues.polling import FixedScale
from fleet.queues.source_queue import QueueError
from fleet.queues.sqs_event import SqsMessage, message_of


class FakeQueue:
    """A queue in memory: receive hides messages, delete removes them, release shows them; all can be made to fail."""

    def __init__(self) -> None:
        self.visible: list[str] = []
        self.deleted: list[str] = []
        self.released: list[str] = []
        self.receives: list[tuple[int, int]] = []
        self.cut_off = 0  # receives that were cancelled
        self.receive_error: QueueError | None = None
        self.delete_error: QueueError | None = None
        self.release_error: QueueError | None = None
        self.changed = asyncio.Condition()

    async def send(self, *ids: str) -> None:
        """Add messages."""
        async with self.changed:
            self.visible += ids
            self.changed.notify_all()

    async def receive(self, most: int, wait: int) -> list[SqsMessage]:
        """Wait for messages."""
        self.receives.append((most, wait))
        async with self.changed:
            try:
                await self.changed.wait_for(lambda: self.visible or self.receive_error)
            except asyncio.CancelledError:
                self.cut_off += 1
                raise
            if self.receive_error:
                raise self.receive_error
            taken, self.visible = self.visible[:most], self.visible[most:]
        received = ({"MessageId": i, "ReceiptHandle": "h" + i, "Body": i, "MD5OfBody": ""} for i in taken)
        return [message_of(message, queue_arn="arn", region="r", now=0.0) for message in received]

    async def delete(self, messages: Sequence[SqsMessage]) -> None:
        """Note that they are gone."""
        if self.delete_error:
            raise self.delete_error
        async with self.changed:
            self.deleted += [message.message_id for message in messages]
            self.changed.notify_all()

    async def release(self, messages: Sequence[SqsMessage]) -> None:
        """Show them again."""
        if self.release_error:
            raise self.release_error
        self.released += [message.message_id for message in messages]

    async def fail(self, error: QueueError) -> None:
        """From now on each receive fails, also the one under way."""
        async with self.changed:
            self.receive_error = error
            self.changed.notify_all()

    async def until_deleted(self, *ids: str) -> None:
        """Wait until these are gone."""
        async with asyncio.timeout(5), self.changed:
            await self.changed.wait_for(lambda: set(ids) <= set(self.deleted))


class Worker:
    """The function: shows its batches, answers as told, and can be held."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.answers: list[InvokeResult | Exception] = []
        self.open = asyncio.Event()
        self.open.set()
        self.most = self.running = 0
        self.changed = asyncio.Condition()

    async def __call__(self, event: bytes) -> InvokeResult:
        """Work on a batch."""
        self.running += 1
        self.most = max(self.most, self.running)
        async with self.changed:
            self.batches.append([record["messageId"] for record in orjson.loads(event)["Records"]])
            self.changed.notify_all()
        try:
            await self.open.wait()
            answer = self.answers.pop(0) if self.answers else InvokeResult(b"null")
        finally:
            self.running -= 1
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def until(self, batches: int) -> None:
        """Wait until this many batches have come."""
        async with asyncio.timeout(5), self.changed:
            await self.changed.wait_for(lambda: len(self.batches) >= batches)


class Bench:
    """A mapping with its fakes; sleeping moves its clock."""

    def __init__(self, mapping: EventSourceMapping, queue: FakeQueue, worker: Worker) -> None:
        self.mapping = mapping
        self.queue = queue
        self.worker = worker
        self.slept: list[float] = []
        self.now = 0.0

    async def sleep(self, seconds: float) -> None:
        """Move the clock."""
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)


MakeBench = Callable[..., AbstractAsyncContextManager[Bench]]


@pytest.fixture
def bench(tmp_path: Path) -> MakeBench:
    """Makes a mapping with fakes: `async with bench(concurrency=2) as b`."""

    @asynccontextmanager
    async def make(
        *,
        concurrency: int = 2,
        batch: int = 10,
        window: float = 0,
        drain: float = 5.0,
        finish_polls: bool = False,
        queue: FakeQueue | None = None,
    ) -> AsyncIterator[Bench]:
        source, worker = queue or FakeQueue(), Worker()
        settings = MappingSettings(
            "ingest", "uploads", batch, window, visibility_timeout=30, drain_seconds=drain, finish_polls=finish_polls
        )
        holder: list[Bench] = []
        mapping = EventSourceMapping(
            settings,
            queue=source,
            invoke=worker,
            scale=FixedScale(concurrency),
            metrics=Metrics(tmp_path),
            clock=lambda: holder[0].now,
            sleep=lambda seconds: holder[0].sleep(seconds),
        )
        holder.append(Bench(mapping, source, worker))
        async with mapping:
            yield holder[0]

    return make


def failed(*ids: str) -> InvokeResult:
    """A partial batch response."""
    return InvokeResult(orjson.dumps({"batchItemFailures": [{"itemIdentifier": i} for i in ids]}))


async def test_what_a_function_has_done_is_deleted(bench: MakeBench):
    """Ten messages are one receive, one batch, one delete."""
    async with bench() as b:
        ids = [f"m{n}" for n in range(10)]
        await b.queue.send(*ids)
        await b.queue.until_deleted(*ids)
        assert b.worker.batches == [ids]
        assert b.queue.receives[0] == (10, 20)


async def test_failed_messages_stay_and_their_neighbours_go(bench: MakeBench):
    """A partial batch response."""
    async with bench() as b:
        b.worker.answers = [failed("m2")]
        await b.queue.send("m1", "m2", "m3")
        await b.queue.until_deleted("m1", "m3")
    assert b.queue.deleted == ["m1", "m3"]
    statistics = b.mapping.statistics()
    assert (statistics.received, statistics.deleted, statistics.kept) == (3, 2, 1)


async def test_an_error_of_the_function_keeps_the_batch_and_the_mapping_goes_on(bench: MakeBench):
    """Nothing is deleted; the next batch is worked on."""
    async with bench() as b:
        b.worker.answers = [failure("r", "E", "no")]
        await b.queue.send("m1")
        await b.worker.until(1)
        await b.queue.send("m2")
        await b.queue.until_deleted("m2")
    assert b.queue.deleted == ["m2"]


async def test_no_more_batches_are_at_work_than_the_maximum_concurrency(bench: MakeBench):
    """And no message is taken that would only wait here."""
    async with bench(concurrency=2, batch=1) as b:
        b.worker.open.clear()
        await b.queue.send("m1", "m2", "m3", "m4")
        await b.worker.until(2)
        for _ in range(20):
            await asyncio.sleep(0)
        assert (len(b.worker.batches), b.queue.visible) == (2, ["m3", "m4"])
        b.worker.open.set()
        await b.queue.until_deleted("m1", "m2", "m3", "m4")
        assert b.worker.most == 2


async def test_a_throttled_batch_is_tried_again_with_waits(bench: MakeBench):
    """The copy in hand is good until its messages are visible again."""
    async with bench() as b:
        b.worker.answers = [Throttled("x"), Throttled("x"), InvokeResult(b"")]
        await b.queue.send("m1")
        await b.queue.until_deleted("m1")
        assert b.slept == [0.2, 0.4]


async def test_a_batch_that_is_throttled_for_too_long_is_dropped(bench: MakeBench):
    """Before the visibility timeout of 30 s; the queue has it still."""
    async with bench() as b:
        b.worker.answers = [Throttled("x")] * 100
        await b.queue.send("m1")
        await until(lambda: b.mapping.statistics().kept)
        assert sum(b.slept) < 30
        assert b.queue.deleted == []


async def test_a_refused_receive_names_function_queue_and_missing_action(bench: MakeBench):
    """The error is shown until SQS answers again, and polling backs off meanwhile."""
    queue = FakeQueue()
    queue.receive_error = QueueError("receive", "AccessDenied", "no")
    async with bench(queue=queue) as b:
        await until(lambda: len(b.slept) >= 6)
        assert b.mapping.last_error == (
            "AccessDenied: the role of function ingest lacks sqs:ReceiveMessage on queue uploads"
        )
        assert b.slept[:6] == [0.2, 0.4, 0.8, 1.6, 3.2, 5.0]
        queue.receive_error = None
        await queue.send("m1")
        await queue.until_deleted("m1")
        assert b.mapping.last_error is None


async def test_a_refused_delete_is_shown_too(bench: MakeBench):
    """A receive that works does not hide it."""
    async with bench() as b:
        b.queue.delete_error = QueueError("delete", "AccessDenied", "no")
        await b.queue.send("m1")
        await until(lambda: b.mapping.last_error is not None)
        await b.queue.send("m2")
        await b.worker.until(2)
        assert "sqs:DeleteMessage" in b.mapping.last_error


async def test_the_end_lets_batches_at_work_finish(bench: MakeBench):
    """No new message is taken; the one at work is answered and deleted."""
    async with bench() as b:
        b.worker.open.clear()
        await b.queue.send("m1")
        await b.worker.until(1)
        b.mapping.stop_polling()
        await b.queue.send("m2")
        asyncio.get_running_loop().call_soon(b.worker.open.set)
    assert (b.queue.deleted, b.queue.visible) == (["m1"], ["m2"])


async def test_the_end_does_not_wait_for_ever(bench: MakeBench):
    """A batch that hangs is left to the queue."""
    async with bench(drain=0.01) as b:
        b.worker.open.clear()
        await b.queue.send("m1")
        await b.worker.until(1)
    assert b.queue.deleted == []


async def test_the_end_cuts_the_poll_under_way(bench: MakeBench):
    """SQS itself notices that the poller has gone, and gives the message to another."""
    async with bench() as b:
        await until(lambda: b.queue.receives)
    await b.queue.send("m1")
    assert (b.queue.cut_off, b.queue.visible, b.queue.released) == (1, ["m1"], [])


async def test_where_polls_are_finished_the_end_gives_back_what_the_last_one_brings(bench: MakeBench):
    """The function does not see it, and nobody has to wait for its visibility timeout."""
    async with bench(finish_polls=True) as b:
        await until(lambda: b.queue.receives)
        b.mapping.stop_polling()
        await b.queue.send("m1", "m2")
    assert (b.queue.released, b.queue.cut_off, b.worker.batches) == (["m1", "m2"], 0, [])
    assert len(b.queue.receives) == 1


async def test_a_last_poll_that_brings_nothing_gives_nothing_back(bench: MakeBench):
    """No empty call to SQS is made."""

    class Empty(FakeQueue):
        async def receive(self, most: int, wait: int) -> list[SqsMessage]:
            self.receives.append((most, wait))
            async with self.changed:
                await self.changed.wait_for(lambda: self.deleted)
            return []

    queue = Empty()
    queue.release_error = QueueError("release", "EmptyBatchRequest", "no")
    async with bench(finish_polls=True, queue=queue) as b:
        await until(lambda: queue.receives)
        b.mapping.stop_polling()
        await queue.delete([message_of(RECEIVED, queue_arn="arn", region="r", now=0.0)])
    assert b.mapping.last_error is None


RECEIVED = {"MessageId": "m1", "ReceiptHandle": "h", "Body": "", "MD5OfBody": ""}


async def test_a_second_stop_does_not_cut_the_poll_that_is_finished(bench: MakeBench):
    """The fleet stops all mappings at once and then leaves one after the other."""
    async with bench(finish_polls=True) as b:
        await until(lambda: b.queue.receives)
        for _ in range(3):
            b.mapping.stop_polling()
            await asyncio.sleep(0)
        await b.queue.send("m1")
    assert (b.queue.released, b.queue.cut_off) == (["m1"], 0)


async def test_the_end_gives_back_what_waits_for_its_batch(bench: MakeBench):
    """Messages within their window go with those of the last poll."""
    async with bench(finish_polls=True, window=20) as b:
        await b.queue.send("m1")
        await until(lambda: len(b.queue.receives) == 2)
        b.mapping.stop_polling()
        await b.queue.send("m2")
    assert (b.queue.released, b.worker.batches) == (["m1", "m2"], [])


async def test_a_last_poll_that_fails_keeps_nothing_back(bench: MakeBench):
    """Its error is noted, and what waited for its batch is released all the same."""
    async with bench(finish_polls=True, window=20) as b:
        await b.queue.send("m1")
        await until(lambda: len(b.queue.receives) == 2)
        b.mapping.stop_polling()
        await b.queue.fail(QueueError("receive", "InternalError", "oops"))
    assert b.queue.released == ["m1"]
    assert b.mapping.last_error == "receive on queue uploads: InternalError: oops"


async def test_a_release_that_fails_is_noted(bench: MakeBench):
    """The mapping ends in good order; the messages come back after their visibility timeout."""
    async with bench(finish_polls=True) as b:
        b.queue.release_error = QueueError("release", "AccessDenied", "no")
        await until(lambda: b.queue.receives)
        b.mapping.stop_polling()
        await b.queue.send("m1")
    assert b.queue.released == []
    assert b.mapping.last_error == (
        "AccessDenied: the role of function ingest lacks sqs:ChangeMessageVisibility on queue uploads"
    )


async def test_batches_at_work_finish_beside_the_last_poll(bench: MakeBench):
    """What the function works on is deleted, what comes now is given back."""
    async with bench(finish_polls=True) as b:
        b.worker.open.clear()
        await b.queue.send("m1")
        await until(lambda: len(b.queue.receives) == 2)
        b.mapping.stop_polling()
        await b.queue.send("m2")
        asyncio.get_running_loop().call_soon(b.worker.open.set)
    assert (b.queue.deleted, b.queue.released) == (["m1"], ["m2"])
