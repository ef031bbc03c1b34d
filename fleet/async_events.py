"""Asynchronous invocations: accepted at once, run later, tried again by `fleet.limits.async_events`.

What is given up goes to the function's on-failure destination as AWS's invocation record ("Capturing records of Lambda
asynchronous invocations"), if it has one.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol, Self

import orjson

from fleet.credentials import CredentialsCache, CredentialsError
from fleet.environments.invocation import Call, InvokeResult
from fleet.errors import InvokeError, Throttled
from fleet.functions import VERSION, FunctionSpec
from fleet.limits.async_events import Condition, GiveUp
from fleet.limits.concurrency import ThrottleReason
from fleet.limits.use import LimitUse
from shoebox.aws.botocore_errors import aws_errors
from shoebox.aws.clients import Clients
from shoebox.aws.errors import AwsError
from shoebox.config import AwsSettings
from shoebox.telemetry import get_logger
from shoebox.timestamps import iso

_log = get_logger(action="fleet.async_events")


class EventFunction(Protocol):
    """What runs a function's events: its `fleet.environments.pool.Pool`."""

    async def invoke(self, call: Call) -> InvokeResult:
        """Run `call`; raises InvokeError where it could not run."""


class Destination(Protocol):
    """Where the records of events go that were given up: a `QueueDestination`."""

    async def send(self, record: bytes) -> None:
        """Send one record; raises DeliveryError."""


@dataclass(frozen=True, slots=True)
class AsyncStatistics:
    """A function's events at a moment: those that wait or run, and what became of the others.

    `oldest` is the age of the oldest pending one, in seconds. `throttled` and `failed` count tries that were refused
    or whose function failed: each led to another try, but for the last one of an event that was given up.
    """

    function: str
    pending: int = 0
    oldest: float = 0.0
    succeeded: int = 0
    given_up: int = 0
    throttled: int = 0
    failed: int = 0


@dataclass(slots=True, eq=False)
class _Event:
    """An event on its way, and how its tries went."""

    function: FunctionSpec
    call: Call
    accepted_at: float
    tries: int = 0
    errors: int = 0
    throttles: int = 0  # in a row
    last: InvokeResult | None = None


@dataclass(slots=True)
class _Counts:
    """Of one function: the events that are pending, the oldest first, and the others counted."""

    pending: dict[_Event, None] = field(default_factory=dict)
    succeeded: int = 0
    given_up: int = 0
    throttled: int = 0
    failed: int = 0


class AsyncEvents:
    """The queue of asynchronous invocations; at its end what has not run is dropped, as its log says.

    `functions` and `destinations` are by the functions' names in stack.yaml; `max_pending` events may wait or run.
    """

    def __init__(
        self,
        functions: Mapping[str, EventFunction],
        *,
        max_pending: float = 100_000,
        destinations: Mapping[str, Destination] | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._functions = functions
        self._max_pending = max_pending
        self._destinations = destinations or {}
        self._sleep = sleep
        self._clock = clock or asyncio.get_running_loop().time
        self._tasks: set[asyncio.Task[None]] = set()
        self._counts: defaultdict[str, _Counts] = defaultdict(_Counts)
        self._refused = self._peak = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        if self._tasks:
            _log.warning("events_dropped", count=len(self._tasks))
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def statistics(self) -> list[AsyncStatistics]:
        """Return the queue as it is now, by the functions that have had events."""
        statistics = []
        for function, counts in self._counts.items():
            oldest = next(iter(counts.pending), None)
            statistics.append(
                AsyncStatistics(
                    function=function,
                    pending=len(counts.pending),
                    oldest=self._clock() - oldest.accepted_at if oldest else 0.0,
                    succeeded=counts.succeeded,
                    given_up=counts.given_up,
                    throttled=counts.throttled,
                    failed=counts.failed,
                )
            )
        return statistics

    def uses(self, now: float) -> Iterable[LimitUse]:
        """Yield how full the queue is."""
        pending, limit = self._pending(), self._max_pending
        yield LimitUse("lambda.async_queue", "account", pending, self._peak, limit, "events", self._refused)

    def submit(self, function: FunctionSpec, call: Call) -> None:
        """Accept an event.

        Raises:
            Throttled: too many wait already.
        """
        if self._pending() >= self._max_pending:
            self._refused += 1
            raise Throttled(ThrottleReason.CALLER)
        event = _Event(function, call, self._clock())
        self._counts[function.key].pending[event] = None
        task = asyncio.create_task(self._deliver(event))
        self._tasks.add(task)
        self._peak = max(self._peak, self._pending())
        task.add_done_callback(self._tasks.discard)

    def _pending(self) -> int:
        return sum(len(counts.pending) for counts in self._counts.values())

    async def _deliver(self, event: _Event) -> None:
        """Run an event until it succeeds, or is given up and recorded."""
        counts = self._counts[event.function.key]
        condition = await self._run(event, counts)
        if condition is None:
            counts.succeeded += 1
        else:
            counts.given_up += 1
            await self._give_up(event, condition)
        del counts.pending[event]

    async def _run(self, event: _Event, counts: _Counts) -> Condition | None:
        """Invoke the function until it succeeds, and return None; or return why the event is given up."""
        function, rules = event.function, event.function.asynchronous
        if function.reserved_concurrency == 0:  # AWS: no try at all, the event goes to its destination at once
            return Condition.OFF
        while True:
            try:
                event.last = await self._functions[function.key].invoke(event.call)
            except InvokeError:
                event.throttles += 1
                counts.throttled += 1
                decision = rules.after_throttle(event.throttles, self._clock() - event.accepted_at)
            else:
                event.tries, event.throttles = event.tries + 1, 0
                if event.last.function_error is None:
                    return None
                event.errors += 1
                counts.failed += 1
                decision = rules.after_error(event.errors, self._clock() - event.accepted_at)
            if isinstance(decision, GiveUp):
                return decision.condition
            await self._sleep(decision.delay)

    async def _give_up(self, event: _Event, condition: Condition) -> None:
        function, request_id = event.function.key, event.call.request_id
        _log.error("event_given_up", function=function, request_id=request_id, errors=event.errors, condition=condition)
        destination = self._destinations.get(function)
        if destination is None:
            return
        try:
            await destination.send(invocation_record(event.function, event.call, condition, event.tries, event.last))
        except DeliveryError as error:
            _log.error("record_not_delivered", function=function, request_id=request_id, reason=str(error))


def invocation_record(
    function: FunctionSpec,
    call: Call,
    condition: Condition,
    tries: int,
    last: InvokeResult | None,
    *,
    now: datetime | None = None,
) -> bytes:
    """Return AWS's invocation record, version 1.0, of an event that was given up; what a response lacks is null."""
    response: Any = None
    if last and last.payload:
        try:
            response = orjson.loads(last.payload)
        except orjson.JSONDecodeError:  # a custom runtime may report an error in any form
            response = last.payload.decode(errors="replace")
    return orjson.dumps(
        {
            "version": "1.0",
            "timestamp": iso(now or datetime.now(UTC)),
            "requestContext": {
                "requestId": call.request_id,
                "functionArn": f"{function.arn}:{VERSION}",
                "condition": condition,
                "approximateInvokeCount": tries,
            },
            "requestPayload": orjson.loads(call.payload),
            "responseContext": last
            and {"statusCode": 200, "executedVersion": VERSION, "functionError": last.function_error},
            "responsePayload": response,
        }
    )


class DeliveryError(Exception):
    """A record could not be sent; the message says why."""


class QueueDestination:
    """Sends records to the queue at `url` with `function`'s role, as Lambda does; events are given up seldom."""

    def __init__(self, function: str, url: str, credentials: CredentialsCache, aws: AwsSettings) -> None:
        self._function = function
        self._url = url
        self._credentials = credentials
        self._aws = aws

    async def send(self, record: bytes) -> None:
        """Send one record.

        Raises:
            DeliveryError: the role may not, or SQS cannot be reached.
        """
        try:
            lease = await self._credentials.get(self._function)
            async with Clients(self._aws, lease.keys) as clients:
                sqs = await clients.open("sqs")
                with aws_errors():
                    await sqs.send_message(QueueUrl=self._url, MessageBody=record.decode())
        except (AwsError, CredentialsError, OSError) as error:
            raise DeliveryError(f"{type(error).__name__}: {error}") from error
