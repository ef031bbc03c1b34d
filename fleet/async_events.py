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
from typing import Self, TypeAlias

import orjson
from botocore.exceptions import BotoCoreError, ClientError

from fleet.credentials import CredentialsCache, CredentialsError
from fleet.environments.invocation import Call, InvokeResult
from fleet.errors import InvokeError, Throttled
from fleet.functions import VERSION, FunctionSpec
from fleet.limits.async_events import AsyncRules, Condition, GiveUp, Next
from fleet.limits.concurrency import ThrottleReason
from fleet.limits.use import LimitUse
from shoebox.aws.clients import Clients
from shoebox.config import AwsSettings
from shoebox.telemetry import get_logger

_log = get_logger(action="fleet.async_events")

Destination: TypeAlias = Callable[[bytes], Awaitable[None]]
"""Takes an invocation record; raises DeliveryError when it cannot be delivered."""


@dataclass(frozen=True, slots=True)
class AsyncStatistics:
    """A function's events: those that wait or run, and what became of the others.

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
    born: float
    tries: int = 0
    errors: int = 0
    throttles: int = 0
    last: InvokeResult | None = None


@dataclass(slots=True)
class _Tally:
    """Of one function: the events that are pending, the oldest first, and the others counted."""

    pending: dict[_Event, None] = field(default_factory=dict)
    succeeded: int = 0
    given_up: int = 0
    throttled: int = 0
    failed: int = 0


class AsyncEvents:
    """The queue of asynchronous invocations; at its end what has not run is dropped, as its log says.

    `most` is how many may wait; `destinations` are by the functions' names in stack.yaml.
    """

    def __init__(
        self,
        run: Callable[[str, Call], Awaitable[InvokeResult]],
        *,
        most: float = 100_000,
        destinations: Mapping[str, Destination] | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._run = run
        self._most = most
        self._destinations = destinations or {}
        self._sleep = sleep
        self._clock = clock or asyncio.get_running_loop().time
        self._tasks: set[asyncio.Task[None]] = set()
        self._tallies: defaultdict[str, _Tally] = defaultdict(_Tally)
        self._refused = self._peak = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        if self._tasks:
            _log.warning("dropped events", count=len(self._tasks))
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def statistics(self) -> list[AsyncStatistics]:
        """The queue as it is now, by the functions that have had events."""
        return [self._statistics(function, tally) for function, tally in self._tallies.items()]

    def _statistics(self, function: str, tally: _Tally) -> AsyncStatistics:
        oldest = next(iter(tally.pending), None)
        return AsyncStatistics(
            function=function,
            pending=len(tally.pending),
            oldest=self._clock() - oldest.born if oldest else 0.0,
            succeeded=tally.succeeded,
            given_up=tally.given_up,
            throttled=tally.throttled,
            failed=tally.failed,
        )

    def uses(self, now: float) -> Iterable[LimitUse]:
        """How full the queue is."""
        yield LimitUse(
            "lambda.async_queue", "account", self._pending(), self._peak, self._most, "events", self._refused
        )

    def submit(self, function: FunctionSpec, call: Call) -> None:
        """Accept an event.

        Raises:
            Throttled: too many wait already.
        """
        if self._pending() >= self._most:
            self._refused += 1
            raise Throttled(ThrottleReason.CALLER)
        event = _Event(function, call, self._clock())
        self._tallies[function.key].pending[event] = None
        task = asyncio.create_task(self._deliver(event))
        self._tasks.add(task)
        self._peak = max(self._peak, self._pending())
        task.add_done_callback(self._tasks.discard)

    def _pending(self) -> int:
        return sum(len(tally.pending) for tally in self._tallies.values())

    async def _deliver(self, event: _Event) -> None:
        tally = self._tallies[event.function.key]
        condition = await self._until_done(event, tally)
        if condition is None:
            tally.succeeded += 1
        else:
            tally.given_up += 1
            await self._give_up(event, condition)
        del tally.pending[event]

    async def _until_done(self, event: _Event, tally: _Tally) -> Condition | None:
        """Try until it is done; or why it was given up."""
        if event.function.reserved_concurrency == 0:
            return Condition.OFF
        while not await self._try(event, tally):
            decision = self._decide(event.function.asynchronous, event)
            if isinstance(decision, GiveUp):
                return decision.condition
            await self._sleep(decision.delay)
        return None

    async def _try(self, event: _Event, tally: _Tally) -> bool:
        """Run it once; says whether it is done."""
        try:
            event.last = await self._run(event.function.key, event.call)
        except InvokeError:
            event.throttles += 1
            tally.throttled += 1
            return False
        event.tries, event.throttles = event.tries + 1, 0
        if event.last.function_error is None:
            return True
        event.errors += 1
        tally.failed += 1
        return False

    def _decide(self, rules: AsyncRules, event: _Event) -> Next:
        age = self._clock() - event.born
        if event.throttles:
            return rules.after_throttle(event.throttles, age)
        return rules.after_error(event.errors, age)

    async def _give_up(self, event: _Event, condition: Condition) -> None:
        function, request_id = event.function.key, event.call.request_id
        _log.error("event given up", function=function, request_id=request_id, errors=event.errors, condition=condition)
        destination = self._destinations.get(function)
        if destination is None:
            return
        try:
            await destination(invocation_record(event.function, event.call, condition, event.tries, event.last))
        except DeliveryError as error:
            _log.error("record not delivered", function=function, request_id=request_id, reason=str(error))


def invocation_record(
    function: FunctionSpec,
    call: Call,
    condition: Condition,
    tries: int,
    last: InvokeResult | None,
    *,
    now: datetime | None = None,
) -> bytes:
    """AWS's invocation record, version 1.0, of an event that was given up; what is not known of a response is null."""
    stamp = (now or datetime.now(UTC)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return orjson.dumps(
        {
            "version": "1.0",
            "timestamp": stamp,
            "requestContext": {
                "requestId": call.request_id,
                "functionArn": f"{function.arn}:{VERSION}",
                "condition": condition,
                "approximateInvokeCount": tries,
            },
            "requestPayload": orjson.loads(call.payload),
            "responseContext": last
            and {"statusCode": 200, "executedVersion": VERSION, "functionError": last.function_error},
            "responsePayload": orjson.loads(last.payload) if last and last.payload else None,
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

    async def __call__(self, record: bytes) -> None:
        """Send one record.

        Raises:
            DeliveryError: the role may not, or SQS cannot be reached.
        """
        try:
            lease = await self._credentials.get(self._function)
            async with Clients(self._aws, lease.keys) as clients:
                sqs = await clients.open("sqs")
                await sqs.send_message(QueueUrl=self._url, MessageBody=record.decode())
        except (BotoCoreError, ClientError, CredentialsError, OSError) as error:
            raise DeliveryError(f"{type(error).__name__}: {error}") from error
