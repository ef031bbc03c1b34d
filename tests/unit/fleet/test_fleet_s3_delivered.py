"""S3's events on their way to a function: one record is one asynchronous invocation."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest
from fleet_fakes import until

from fleet.async_events import AsyncEvents
from fleet.environments.invocation import Call, InvokeResult
from fleet.functions import FunctionSpec
from fleet.queues.s3_delivery import S3Delivery

FUNCTION = FunctionSpec("ingest", "shoebox-ingest", "arn", "a.b", 128, 3)
TEST_EVENT = {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "personal"}


@dataclass
class Ran:
    """The calls that a function got."""

    calls: list[Call] = field(default_factory=list)
    go: asyncio.Event = field(default_factory=asyncio.Event)

    async def invoke(self, call: Call) -> InvokeResult:
        """Run one, when it may."""
        self.calls.append(call)
        await self.go.wait()
        return InvokeResult(b"null")


def sqs_event(*bodies: Any) -> bytes:
    """Return messages 0, 1, … as a mapping hands them over."""
    records = [{"messageId": str(n), "body": orjson.dumps(body).decode()} for n, body in enumerate(bodies)]
    return orjson.dumps({"Records": records})


def s3_event(*keys: str) -> dict[str, Any]:
    """Return an event of S3 for these objects."""
    return {"Records": [{"eventSource": "aws:s3", "s3": {"object": {"key": key}}} for key in keys]}


async def kept(delivery: S3Delivery, *bodies: Any) -> list[str]:
    """Return the messages that a delivery leaves in the queue."""
    answer = orjson.loads((await delivery.invoke("s3-to-ingest", sqs_event(*bodies))).payload)
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]


@pytest.mark.parametrize(
    ("bodies", "events"),
    [
        pytest.param([s3_event("a"), s3_event("b")], [s3_event("a"), s3_event("b")], id="an event for each message"),
        pytest.param([s3_event("a", "b")], [s3_event("a"), s3_event("b")], id="an event for each record"),
        pytest.param([TEST_EVENT, s3_event("a")], [s3_event("a")], id="no test events"),
        pytest.param([s3_event()], [], id="no records"),
        pytest.param(
            ["hello", [1], {"Message": "x"}, {"Records": 7}, s3_event("a")], [s3_event("a")], id="no S3 events"
        ),
    ],
)
async def test_a_record_is_an_invocation(bodies: list[Any], events: list[dict[str, Any]]):
    """The function gets S3's event with one record; messages are done with, whatever they hold."""
    ran = Ran()
    ran.go.set()
    async with AsyncEvents({"ingest": ran}) as queue:
        assert await kept(S3Delivery(FUNCTION, queue), *bodies) == []
        await until(lambda: not any(of.pending for of in queue.statistics()))
    assert [orjson.loads(call.payload) for call in ran.calls] == events
    assert not any(call.synchronous for call in ran.calls)
    assert len({call.request_id for call in ran.calls}) == len(events)


async def test_a_message_that_is_no_event_is_named_in_the_log(capsys: pytest.CaptureFixture[str]):
    """It is dropped, but not in silence."""
    async with AsyncEvents({"ingest": Ran()}) as queue:
        assert await kept(S3Delivery(FUNCTION, queue), "hello") == []
    assert "s3_event_invalid" in capsys.readouterr().out


async def test_what_is_not_accepted_stays_in_the_queue():
    """Where too many events wait, a message is kept, and its event is accepted when there is room."""
    ran = Ran()
    async with AsyncEvents({"ingest": ran}, max_pending=1) as queue:
        delivery = S3Delivery(FUNCTION, queue)
        assert await kept(delivery, s3_event("a"), s3_event("b")) == ["1"]
        ran.go.set()
        await until(lambda: not queue.statistics()[0].pending)
        assert await kept(delivery, s3_event("b")) == []
        await until(lambda: not queue.statistics()[0].pending)
    assert [orjson.loads(call.payload) for call in ran.calls] == [s3_event("a"), s3_event("b")]
