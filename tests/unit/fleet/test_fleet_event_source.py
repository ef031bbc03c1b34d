import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from fleet_fakes import until

from fleet.environments.invocation import InvokeResult, failure
from fleet.errors import RequestTooLarge, Throttled
from fleet.limits.event_source import FixedScale, InvocationOutcome, ProvisionedPollers, Scale, StandardScale
from fleet.limits.quotas import load_quotas
from fleet.metrics import Metrics
from fleet.queues.batches import SqsMessage, message_of
from fleet.queues.event_source import EventSourceMapping
from fleet.queues.filters import Filters
from fleet.queues.mapping_settings import MappingSettings
from fleet.queues.source_queue import QueueError


def received(identifier: str, now: float = 0.0) -> SqsMessage:
    """Return a message that SQS gave; its body is its id."""
    group = identifier.partition("/")[0] if "/" in identifier else None
    answer = {
        "MessageId": identifier,
        "ReceiptHandle": "h" + identifier,
        "Body": identifier,
        "MD5OfBody": "",
        "Attributes": {"MessageGroupId": group} if group else {},
    }
    return message_of(answer, queue_arn="arn", region="r", now=now)


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
        self.visibility_error: QueueError | None = None
        self.visibility = 30
        self.clock: Callable[[], float] = lambda: 0.0
        self.waited: Callable[[float], None] | None = None  # set: a receive that finds nothing comes back empty
        self.changed = asyncio.Condition()

    async def send(self, *ids: str) -> None:
        """Add messages; an id of the form `group/name` is of a FIFO queue's group."""
        async with self.changed:
            self.visible += ids
            self.changed.notify_all()

    async def receive(self, count: int, wait: int) -> list[SqsMessage]:
        """Wait for messages."""
        self.receives.append((count, wait))
        async with self.changed:
            try:
                await self.changed.wait_for(lambda: self.visible or self.receive_error or self.waited)
            except asyncio.CancelledError:
                self.cut_off += 1
                raise
            if self.receive_error:
                raise self.receive_error
            taken, self.visible = self.visible[:count], self.visible[count:]
            if self.waited and not taken:
                self.waited(wait)
                await asyncio.sleep(0)
        return [received(i, self.clock()) for i in taken]

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

    async def visibility_timeout(self) -> int:
        """Seconds."""
        if self.visibility_error:
            raise self.visibility_error
        return self.visibility

    async def come_back_empty(self, waited: Callable[[float], None] = lambda seconds: None) -> None:
        """From now on a receive that finds nothing is over at once; `waited` is told how long it took."""
        async with self.changed:
            self.waited = waited
            self.changed.notify_all()

    async def fail(self, error: QueueError) -> None:
        """From now on each receive fails, also the one under way."""
        async with self.changed:
            self.receive_error = error
            self.changed.notify_all()

    async def until_deleted(self, *ids: str) -> None:
        """Wait until these are gone."""
        async with asyncio.timeout(30), self.changed:
            await self.changed.wait_for(lambda: set(ids) <= set(self.deleted))


class Worker:
    """The function: shows its batches, answers as told, and can be held."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.answers: list[InvokeResult | Exception] = []
        self.open = asyncio.Event()
        self.open.set()
        self.highest = self.running = 0
        self.changed = asyncio.Condition()

    async def invoke(self, function: str, payload: bytes) -> InvokeResult:
        """Work on a batch."""
        self.running += 1
        self.highest = max(self.highest, self.running)
        async with self.changed:
            self.batches.append([record["messageId"] for record in orjson.loads(payload)["Records"]])
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
        async with asyncio.timeout(30), self.changed:
            await self.changed.wait_for(lambda: len(self.batches) >= batches)


class Bench:
    """A mapping with its fakes; sleeping moves its clock."""

    def __init__(self, mapping: EventSourceMapping, queue: FakeQueue, worker: Worker) -> None:
        self.mapping = mapping
        self.queue = queue
        self.worker = worker
        self.slept: list[float] = []
        self.now = 0.0

    def move(self, seconds: float) -> None:
        """Move the clock."""
        self.now += seconds

    async def sleep(self, seconds: float) -> None:
        """Move the clock, and say so."""
        self.slept.append(seconds)
        self.move(seconds)
        await asyncio.sleep(0)


MakeBench = Callable[..., AbstractAsyncContextManager[Bench]]


@pytest.fixture
def bench(tmp_path: Path) -> MakeBench:
    """Return what makes a mapping with fakes: `async with bench(concurrency=2) as b`."""

    @asynccontextmanager
    async def make(
        *,
        concurrency: int = 2,
        batch: int = 10,
        window: float = 0,
        drain: float = 5.0,
        queue: FakeQueue | None = None,
        scale: Scale | None = None,
        filters: Filters | None = None,
        **settings: Any,
    ) -> AsyncIterator[Bench]:
        source, worker = queue or FakeQueue(), Worker()
        described = MappingSettings(
            "ingest", "uploads", batch, window, visibility_timeout=30, drain_seconds=drain, **settings
        )
        holder: list[Bench] = []
        mapping = EventSourceMapping(
            described,
            queue=source,
            invoker=worker,
            scale=scale or FixedScale(concurrency),
            metrics=Metrics(tmp_path),
            filters=filters,
            clock=lambda: holder[0].now,
            sleep=lambda seconds: holder[0].sleep(seconds),
        )
        holder.append(Bench(mapping, source, worker))
        source.clock = lambda: holder[0].now
        async with mapping:
            yield holder[0]

    return make


def failed(*ids: str) -> InvokeResult:
    """Return a partial batch response."""
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
        assert b.worker.highest == 2


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


async def test_a_queue_that_gives_nothing_while_a_disk_is_full_is_a_passing_error(bench: MakeBench):
    """It is told of, nothing is worked on meanwhile, and the mapping goes on when there is room again."""
    queue = FakeQueue()
    queue.receive_error = QueueError("receive", "ServiceUnavailable", "The disk is full (0 MB free).")
    await queue.send("m1")
    async with bench(queue=queue) as b:
        await until(lambda: len(b.slept) >= 6)
        assert b.mapping.last_error == "receive on queue uploads: ServiceUnavailable: The disk is full (0 MB free)."
        assert b.worker.batches == []
        queue.receive_error = None
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
        async def receive(self, count: int, wait: int) -> list[SqsMessage]:
            self.receives.append((count, wait))
            async with self.changed:
                await self.changed.wait_for(lambda: self.deleted)
            return []

    queue = Empty()
    queue.release_error = QueueError("release", "EmptyBatchRequest", "no")
    async with bench(finish_polls=True, queue=queue) as b:
        await until(lambda: queue.receives)
        b.mapping.stop_polling()
        await queue.delete([received("m1")])
    assert b.mapping.last_error is None


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


async def test_while_calls_come_back_full_several_pollers_receive(bench: MakeBench):
    """As many as batches may be at work; messages are not taken one call after the other."""
    async with bench(concurrency=4) as b:
        b.worker.open.clear()
        await b.queue.send(*(f"m{n}" for n in range(60)))
        await b.worker.until(4)
        assert (b.worker.running, len(b.queue.visible)) == (4, 20)
        b.worker.open.set()
        await b.queue.until_deleted(*(f"m{n}" for n in range(60)))
        assert b.worker.highest == 4


async def test_pollers_help_where_batches_have_a_window_too(bench: MakeBench):
    """A full batch does not wait for its window, nor the next one for the one before it."""
    ids = [f"m{n}" for n in range(40)]
    async with bench(concurrency=4, window=20) as b:
        b.worker.open.clear()
        await b.queue.send(*ids)
        await b.worker.until(4)
        b.worker.open.set()
        await b.queue.until_deleted(*ids)
    assert {len(batch) for batch in b.worker.batches} == {10}


async def test_pollers_that_help_go_when_nothing_comes(bench: MakeBench):
    """One poller waits at an idle queue."""
    ids = [f"m{n}" for n in range(40)]
    async with bench(concurrency=8, max_receivers=3) as b:
        await b.queue.send(*ids)
        await until(lambda: b.mapping.pollers == 3)
        await b.queue.until_deleted(*ids)
        await b.queue.come_back_empty()
        await until(lambda: b.mapping.pollers == 1)
    assert {wait for _, wait in b.queue.receives} == {20, 1}


async def test_a_large_batch_is_received_with_calls_at_once(bench: MakeBench):
    """Ten messages a call are SQS's limit; once one came back full the rest is asked for together."""
    ids = [f"m{n}" for n in range(45)]
    async with bench(batch=45, window=20) as b:
        await b.queue.send(*ids)
        await b.queue.until_deleted(*ids)
    assert b.worker.batches == [ids]
    assert b.queue.receives[:5] == [(10, 20), (10, 1), (10, 1), (10, 1), (5, 1)]


async def test_of_several_calls_at_once_one_may_fail(bench: MakeBench):
    """What the others bring is kept; the error is noted, and the missing ones are asked for again."""

    class OnceBroken(FakeQueue):
        async def receive(self, count: int, wait: int) -> list[SqsMessage]:
            if len(self.receives) == 2:
                self.receives.append((count, wait))
                raise QueueError("receive", "InternalError", "oops")
            return await super().receive(count, wait)

    ids = [f"m{n}" for n in range(30)]
    async with bench(batch=30, window=20, queue=OnceBroken()) as b:
        await b.queue.send(*ids)
        await b.queue.until_deleted(*ids)
    assert (b.worker.batches, b.slept) == ([ids], [0.2])


async def test_a_window_ends_on_time_though_sqs_waits_whole_seconds(bench: MakeBench):
    """In its last second short polls are made, with pauses."""
    async with bench(batch=100, window=1.5) as b:
        await b.queue.send("m1")
        await b.queue.come_back_empty(b.move)
        await b.worker.until(1)
        assert b.now >= 1.5
        assert b.queue.receives[:4] == [(10, 20), (10, 1), (10, 0), (10, 0)]
        assert b.slept[:2] == [0.25, 0.25]


async def test_messages_that_no_filter_lets_pass_are_deleted(bench: MakeBench):
    """The function does not see them ("Using event filtering with an Amazon SQS event source")."""
    async with bench(filters=Filters([{"body": [{"prefix": "yes"}]}])) as b:
        await b.queue.send("yes1", "no1", "yes2")
        await b.queue.until_deleted("yes1", "no1", "yes2")
    assert b.worker.batches == [["yes1", "yes2"]]
    statistics = b.mapping.statistics()
    assert (statistics.received, statistics.deleted, statistics.filtered) == (3, 2, 1)


async def test_a_batch_of_nothing_is_not_run(bench: MakeBench):
    """Where all messages are filtered out."""
    async with bench(filters=Filters([{"body": ["yes"]}])) as b:
        await b.queue.send("no1")
        await b.queue.until_deleted("no1")
    assert b.worker.batches == []


async def test_a_filtered_message_that_cannot_be_deleted_is_not_counted(bench: MakeBench):
    """It comes back, and is filtered again."""
    async with bench(filters=Filters([{"body": ["yes"]}])) as b:
        b.queue.delete_error = QueueError("delete", "AccessDenied", "no")
        await b.queue.send("no1")
        await until(lambda: b.mapping.last_error is not None)
    assert b.mapping.statistics().filtered == 0


async def test_without_report_batch_item_failures_the_answer_does_not_matter(bench: MakeBench):
    """Only an error of the function keeps messages ("Handling errors for an SQS event source in Lambda")."""
    async with bench(reports_failures=False) as b:
        b.worker.answers = [failed("m1")]
        await b.queue.send("m1", "m2")
        await b.queue.until_deleted("m1", "m2")


async def test_a_short_visibility_timeout_is_said_and_nothing_received(bench: MakeBench):
    """Lambda refuses such a mapping; it begins when the queue is put right."""
    queue = FakeQueue()
    queue.visibility = 29
    async with bench(queue=queue, function_timeout=30) as b:
        await queue.send("m1")
        await until(lambda: len(b.slept) >= 2)
        assert b.mapping.last_error == (
            "queue uploads: InvalidParameterValueException: Queue visibility timeout: 29 seconds is less than "
            "Function timeout: 30 seconds. Nothing is received until it is longer"
        )
        assert queue.receives == []
        queue.visibility = 30
        await queue.until_deleted("m1")
        assert b.mapping.last_error is None


async def test_a_role_that_may_not_read_the_queues_attributes_is_named(bench: MakeBench):
    """sqs:GetQueueAttributes is one of the three permissions that Lambda needs."""
    queue = FakeQueue()
    queue.visibility_error = QueueError("visibility", "AccessDenied", "no")
    async with bench(queue=queue) as b:
        await until(lambda: b.mapping.last_error is not None)
        assert "lacks sqs:GetQueueAttributes on queue uploads" in b.mapping.last_error


async def test_the_queues_real_visibility_timeout_ends_the_tries_of_a_throttled_batch(bench: MakeBench):
    """Not the described one."""
    queue = FakeQueue()
    queue.visibility = 5
    async with bench(queue=queue) as b:
        b.worker.answers = [Throttled("x")] * 100
        await queue.send("m1")
        await until(lambda: b.mapping.statistics().kept)
        assert b.slept == [0.2, 0.4, 0.8, 1.6]


async def test_a_batch_that_invoke_refuses_is_kept(bench: MakeBench):
    """Such as one message whose event is above 6 MB."""
    async with bench() as b:
        b.worker.answers = [RequestTooLarge(6)]
        await b.queue.send("m1")
        await until(lambda: b.mapping.statistics().kept)
        await b.queue.send("m2")
        await b.queue.until_deleted("m2")
    assert b.queue.deleted == ["m2"]


async def test_scaling_learns_of_throttles_errors_and_backlog(bench: MakeBench):
    """The mapping tells its scale what it meets."""
    told: list[object] = []

    class Told(FixedScale):
        def received(self, now: float, *, messages: int, wanted: int, size: int) -> None:
            told.append((messages, wanted, size > 0))

        def invocation_ended(self, now: float, end: InvocationOutcome) -> None:
            told.append(end)

    async with bench(scale=Told(1)) as b:
        b.worker.answers = [Throttled("x"), failure("r", "E", "no")]
        await b.queue.send("m1")
        await until(lambda: b.mapping.statistics().kept)
    assert told == [(1, 10, True), InvocationOutcome.THROTTLED, InvocationOutcome.FUNCTION_ERROR]


async def test_a_limit_that_grows_with_time_is_noticed(bench: MakeBench):
    """No batch has to end for the next one to begin."""
    scale = StandardScale(load_quotas("aws/5").mappings)
    async with bench(batch=1, scale=scale) as b:
        b.worker.open.clear()
        await b.queue.send("m1", "m2", "m3")
        await b.worker.until(1)
        assert b.mapping.statistics().limit == 1
        b.now = 1.0  # one more a second
        await b.worker.until(2)
        b.worker.open.set()


async def test_provisioned_pollers_pause_between_their_calls(bench: MakeBench):
    """Ten calls a second and poller."""
    async with bench(batch=1, scale=ProvisionedPollers(2, 2, load_quotas("aws/2"))) as b:
        ids = [f"m{n}" for n in range(25)]
        await b.queue.send(*ids)
        await b.queue.until_deleted(*ids)
        assert b.now >= 1.4


async def test_a_receive_beyond_the_limit_in_flight_backs_off(bench: MakeBench):
    """OverLimit is an error of SQS like others: shown, counted, and tried again later."""
    queue = FakeQueue()
    queue.receive_error = QueueError("receive", "OverLimit", "too many")
    async with bench(queue=queue) as b:
        await until(lambda: len(b.slept) >= 3)
        assert b.mapping.last_error == "receive on queue uploads: OverLimit: too many"
        assert b.slept[:3] == [0.2, 0.4, 0.8]


async def test_a_fault_of_polling_is_shown(bench: MakeBench):
    """A mapping does not end in silence."""

    class Broken(FakeQueue):
        async def receive(self, count: int, wait: int) -> list[SqsMessage]:
            raise RuntimeError("oops")

    async with bench(queue=Broken()) as b:
        await until(lambda: b.mapping.last_error is not None)
        assert "polling has ended: RuntimeError('oops')" in b.mapping.last_error


def large(identifier: str) -> SqsMessage:
    """Return a message of a FIFO queue, two of which do not fit into 6 MB."""
    message = received(identifier)
    return replace(message, record=message.record[:-1] + b',"pad":"' + b"x" * 4_000_000 + b'"}')


class LargeQueue(FakeQueue):
    """Its messages are 4 MB."""

    async def receive(self, count: int, wait: int) -> list[SqsMessage]:
        """Receive messages, and make them larger."""
        return [large(message.message_id) for message in await super().receive(count, wait)]


async def test_what_six_megabytes_cut_off_a_fifo_batch_runs_after_it(bench: MakeBench):
    """Of the groups a and b, in order; nothing overtakes."""
    async with bench(queue=LargeQueue(), concurrency=5, fifo=True) as b:
        await b.queue.send("a/1", "a/2", "b/1")
        await b.queue.until_deleted("a/1", "a/2", "b/1")
    assert (b.worker.batches, b.worker.highest) == ([["a/1"], ["a/2"], ["b/1"]], 1)


async def test_later_messages_of_a_failed_group_are_dropped(bench: MakeBench):
    """ "the function attempts all retries on the affected messages before Lambda receives additional messages"."""
    async with bench(queue=LargeQueue(), fifo=True) as b:
        b.worker.answers = [failure("r", "E", "no")]
        await b.queue.send("a/1", "a/2", "b/1")
        await b.queue.until_deleted("b/1")
    assert b.worker.batches == [["a/1"], ["b/1"]]
    assert (b.queue.deleted, b.mapping.statistics().kept) == (["b/1"], 2)


async def test_what_six_megabytes_cut_off_a_standard_batch_begins_the_next(bench: MakeBench):
    """At a place of its own."""
    async with bench(queue=LargeQueue(), concurrency=1) as b:
        await b.queue.send("a/1", "a/2")
        await b.queue.until_deleted("a/1", "a/2")
    assert (b.worker.batches, b.worker.highest) == ([["a/1"], ["a/2"]], 1)


async def test_the_end_gives_back_what_every_poller_brings(bench: MakeBench):
    """Also those that help."""
    ids = [f"m{n}" for n in range(10)]
    async with bench(finish_polls=True, concurrency=4) as b:
        await b.queue.send(*ids)
        await b.queue.until_deleted(*ids)
        await until(lambda: len(b.queue.receives) == 3)
        b.mapping.stop_polling()
        await b.queue.send("n1")
        await b.queue.come_back_empty()
    assert b.queue.released == ["n1"]


async def test_without_a_host_nothing_is_received_and_that_is_said(bench: MakeBench):
    """A joined function's messages wait in the queue, each with the receives it had, until a host has joined."""
    slots = 0
    async with bench(scale=FixedScale(4, capacity=lambda: slots)) as b:
        await b.queue.send("m1", "m2")
        await until(lambda: b.move(1) or b.mapping.last_error is not None)
        assert b.mapping.last_error == "no host has joined ingest: nothing is received from queue uploads"
        assert (b.queue.receives, b.worker.batches) == ([], [])
        slots = 2
        await b.queue.until_deleted("m1", "m2")
        assert b.mapping.last_error is None


async def test_what_a_poll_brings_after_the_last_host_has_left_goes_back(bench: MakeBench):
    """It is not left to its visibility timeout, and no invocation waits for a host that does not come."""
    slots = 2
    async with bench(scale=FixedScale(4, capacity=lambda: slots)) as b:
        await until(lambda: bool(b.queue.receives))
        slots = 0
        await b.queue.send("m1", "m2")
        await until(lambda: b.queue.released == ["m1", "m2"])
        assert b.worker.batches == []
