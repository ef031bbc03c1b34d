"""Asynchronous invocation: AWS Lambda, "How Lambda handles errors and retries with asynchronous invocation" (H),
"Configuring error handling settings for Lambda asynchronous invocations" (C)."""

import asyncio
from dataclasses import dataclass, field, replace
from typing import Any

import orjson
import pytest
from fleet_fakes import until

from fleet.async_events import AsyncEvents, AsyncStatistics, DeliveryError
from fleet.environments.invocation import Call, InvokeResult, failure
from fleet.errors import InvokeError, Throttled
from fleet.functions import FunctionSpec
from fleet.limits.async_events import AsyncRules, Condition, GiveUp, RetryAfter


@dataclass
class Time:
    """A clock that sleeping moves."""

    now: float = 0.0
    slept: list[float] = field(default_factory=list)

    async def sleep(self, seconds: float) -> None:
        """Move the clock."""
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)


class Function:
    """A function with these results, the last one again and again; each call waits until it may `go`."""

    def __init__(self, *results: InvokeResult | Exception) -> None:
        self.results = list(results)
        self.go = asyncio.Event()
        self.go.set()

    async def invoke(self, call: Call) -> InvokeResult:
        """Return or raise the next result."""
        await self.go.wait()
        result = self.results.pop(0) if len(self.results) > 1 else self.results[0]
        if isinstance(result, Exception):
            raise result
        return result


class Destination:
    """Keeps the records that it gets, or fails."""

    def __init__(self, error: DeliveryError | None = None) -> None:
        self.records: list[dict[str, Any]] = []
        self.error = error

    async def send(self, record: bytes) -> None:
        """Take one record."""
        if self.error:
            raise self.error
        self.records.append(orjson.loads(record))


def function(rules: AsyncRules = AsyncRules(), reserved: int | None = None) -> FunctionSpec:  # noqa: B008  # frozen
    """Return a function with these rules."""
    return FunctionSpec(
        "f", "shoebox-f", "arn:f", "a.b", 128, 3, reserved_concurrency=reserved, asynchronous=rules, on_failure="dead"
    )


def only(events: AsyncEvents) -> AsyncStatistics:
    """Return the statistics of the one function that had events."""
    [statistics] = events.statistics()
    return statistics


async def deliver(
    time: Time, *results: InvokeResult | Exception, spec: FunctionSpec | None = None
) -> tuple[AsyncStatistics, list[dict[str, Any]]]:
    """Deliver one event to a function with these results; return the statistics, and its destination's records."""
    destination = Destination()
    async with AsyncEvents(
        {"f": Function(*results)}, destinations={"f": destination}, sleep=time.sleep, clock=lambda: time.now
    ) as events:
        events.submit(spec or function(), Call(b'{"n":1}', request_id="r1"))
        await until(lambda: not only(events).pending)
        return only(events), destination.records


GOOD, BAD, THROTTLED = InvokeResult(b"{}"), failure("r", "E", "no"), Throttled("x")


@pytest.mark.parametrize(
    ("answers", "rules", "slept", "condition"),
    [
        pytest.param([GOOD], AsyncRules(), [], None, id="H: done at once"),
        pytest.param([BAD], AsyncRules(), [60, 120], Condition.RETRIES, id="H: two more times, after 1 and 2 minutes"),
        pytest.param([BAD, GOOD], AsyncRules(), [60], None, id="H: done at the second try"),
        pytest.param([BAD], AsyncRules(retries=1), [60], Condition.RETRIES, id="C: MaximumRetryAttempts 1"),
        pytest.param([BAD], AsyncRules(retries=0), [], Condition.RETRIES, id="C: MaximumRetryAttempts 0"),
        pytest.param([BAD], AsyncRules(max_age=60), [60], Condition.AGE, id="C: MaximumEventAgeInSeconds"),
        pytest.param(
            [THROTTLED, THROTTLED, BAD, GOOD], AsyncRules(), [1, 2, 60], None, id="H: throttles are no errors"
        ),
        pytest.param([InvokeError("5xx"), GOOD], AsyncRules(), [1], None, id="H: system errors as throttles"),
    ],
)
async def test_retries(
    answers: list[InvokeResult | Exception], rules: AsyncRules, slept: list[float], condition: Condition | None
):
    """An event is tried again after these seconds, and given up for this reason or not at all."""
    time = Time()
    statistics, records = await deliver(time, *answers, spec=function(rules))
    assert time.slept == slept
    done, refused = condition is None, sum(type(answer) in (Throttled, InvokeError) for answer in answers)
    assert statistics == AsyncStatistics(
        "f",
        succeeded=int(done),
        given_up=int(not done),
        throttled=refused,
        failed=len(slept) + 1 - done - refused,
    )
    assert [record["requestContext"]["condition"] for record in records] == ([condition] if condition else [])


async def test_throttles_wait_up_to_five_minutes_for_six_hours():
    """H: from 1 second exponentially to a maximum of 5 minutes, for up to 6 hours."""
    time = Time()
    _, records = await deliver(time, THROTTLED)
    assert time.slept[:10] == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300]
    assert 6 * 3600 - 300 < sum(time.slept) <= 6 * 3600
    assert records[0]["requestContext"]["condition"] == "EventAgeExceeded"
    assert records[0]["responseContext"] is None


async def test_a_function_that_is_off_gets_nothing():
    """Reserved concurrency 0: events go to the destination without a try ("Configuring reserved concurrency")."""
    time = Time()
    statistics, records = await deliver(time, GOOD, spec=function(reserved=0))
    assert statistics.given_up == 1
    assert records[0]["requestContext"]["approximateInvokeCount"] == 0


async def test_the_record_is_awss():
    """Capturing records of Lambda asynchronous invocations: the fields of version 1.0."""
    _, [record] = await deliver(Time(), BAD)
    assert record.pop("timestamp")
    assert record == {
        "version": "1.0",
        "requestContext": {
            "requestId": "r1",
            "functionArn": "arn:f:$LATEST",
            "condition": "RetriesExhausted",
            "approximateInvokeCount": 3,
        },
        "requestPayload": {"n": 1},
        "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
        "responsePayload": {"errorType": "E", "errorMessage": "no"},
    }


async def test_a_record_that_cannot_be_sent_is_logged_and_the_queue_goes_on(capsys: pytest.CaptureFixture[str]):
    """The event counts as given up all the same."""
    broken = Destination(DeliveryError("no such queue"))
    async with AsyncEvents({"f": Function(BAD)}, destinations={"f": broken}) as events:
        events.submit(function(AsyncRules(retries=0)), Call(b"{}"))
        await until(lambda: not only(events).pending)
        assert only(events).given_up == 1
    assert "no such queue" in capsys.readouterr().out


async def test_statistics_tell_what_waits_and_for_how_long():
    """By function, with the age of the oldest event; a function without events is not there."""
    time, held = Time(now=100.0), Function(GOOD)
    held.go.clear()
    async with AsyncEvents({"f": held, "g": held}, sleep=time.sleep, clock=lambda: time.now) as events:
        assert events.statistics() == []
        for now in (100.0, 107.0):
            time.now = now
            events.submit(function(), Call(b"{}"))
        events.submit(other := replace(function(), key="g"), Call(b"{}"))
        time.now = 110.0
        assert events.statistics() == [
            AsyncStatistics("f", pending=2, oldest=10.0),
            AsyncStatistics(other.key, pending=1, oldest=3.0),
        ]
        held.go.set()
        await until(lambda: all(not of.pending for of in events.statistics()))
        assert events.statistics() == [AsyncStatistics("f", succeeded=2), AsyncStatistics("g", succeeded=1)]


async def test_the_queue_is_bounded():
    """Beyond it the caller gets a 429, and the limit tells of it."""
    held = Function(GOOD)
    held.go.clear()
    async with AsyncEvents({"f": held}, max_pending=1) as events:
        events.submit(function(), Call(b"{}"))
        with pytest.raises(Throttled) as refused:
            events.submit(function(), Call(b"{}"))
        assert refused.value.reason == "CallerRateLimitExceeded"
        [use] = events.uses(0.0)
        assert (use.used, use.throttled) == (1, 1)


async def test_a_response_that_is_no_json_is_recorded_as_text():
    """A custom runtime may report an error in any form; the event is recorded, and no longer pending."""
    broken = InvokeResult(b"Segmentation fault", function_error="Unhandled")
    statistics, [record] = await deliver(Time(), broken, spec=function(AsyncRules(retries=0)))
    assert (statistics.given_up, statistics.pending) == (1, 0)
    assert record["responsePayload"] == "Segmentation fault"


def test_the_rules_are_decisions():
    """Each with its delay or its reason."""
    rules = AsyncRules()
    assert [rules.after_error(n, 0) for n in (1, 2, 3)] == [RetryAfter(60), RetryAfter(120), GiveUp(Condition.RETRIES)]
    assert rules.after_throttle(20, 21_300) == RetryAfter(300)
    assert rules.after_throttle(20, 21_301) == GiveUp(Condition.AGE)
