"""S3's part where a bucket notifies a function: each event becomes one asynchronous invocation.

AWS Lambda, "Process Amazon S3 event notifications with Lambda": S3 invokes the function asynchronously; Lambda's rules
of such events hold from there (fleet.async_events). `Records` is a list for the future's sake (aws-lambda-go, issue 86)
and has one record in practice; so it is here, whatever a message holds. S3's test events are for queues and topics, so
none reaches a function.

The events come by a queue (shoebox.stack.s3_queues), taken from it as an event source mapping takes messages, with its
polls, retries and end; but nothing is batched for the function, and none of a mapping's quotas hold. A message is
deleted once its events are accepted; what is not accepted, because too many events wait already, comes again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any

import orjson

from fleet.async_events import AsyncEvents
from fleet.credentials import CredentialsCache
from fleet.environments.invocation import Call, InvokeResult
from fleet.errors import Throttled
from fleet.functions import FunctionSpec
from fleet.http.trace import new_trace_id
from fleet.limits.event_source import FixedScale
from fleet.metrics import Metrics
from fleet.queues.event_source import EventSourceMapping
from fleet.queues.mapping_settings import MappingSettings
from fleet.queues.source_queue import RoleQueue
from fleet.settings import FleetSettings
from shoebox.stack.base import s3_queue
from shoebox.stack.deployment import ResolvedStack
from shoebox.stack.s3_queues import with_s3_queues
from shoebox.telemetry import get_logger

_AT_ONCE = 4  # receive calls of ten; one alone brings some 1,000 events a second from the embedded emulator

_log = get_logger(action="fleet.s3_delivery")


class S3Delivery:
    """Hands the events in messages to `function`; called as a mapping calls its function."""

    def __init__(self, function: FunctionSpec, events: AsyncEvents) -> None:
        self._function = function
        self._events = events

    async def __call__(self, batch: bytes) -> InvokeResult:
        """Submit the events of an SQS event; the answer, a partial batch response, names the messages to keep."""
        refused = [message["messageId"] for message in orjson.loads(batch)["Records"] if not self._accepted(message)]
        failures = [{"itemIdentifier": identifier} for identifier in refused]
        return InvokeResult(orjson.dumps({"batchItemFailures": failures}))

    def _accepted(self, message: Mapping[str, Any]) -> bool:
        try:
            records = s3_records(message["body"])
        except ValueError as error:
            _log.error("not an S3 event", function=self._function.key, message_id=message["messageId"], why=str(error))
            return True
        try:
            for record in records:
                payload = orjson.dumps({"Records": [record]})
                self._events.submit(self._function, Call(payload, trace_id=new_trace_id(), synchronous=False))
        except Throttled:
            return False
        return True


def s3_records(body: str) -> Sequence[Any]:
    """The records of an S3 event as it lies in a queue; a test event has none.

    Raises:
        ValueError: S3 cannot have sent it.
    """
    match orjson.loads(body):
        case {"Event": "s3:TestEvent"}:
            return ()
        case {"Records": [*records]}:
            return records
    raise ValueError("it has no records")


class S3Deliveries:
    """Makes the deliveries of a fleet, and has them in `made`: one for each function that S3 invokes."""

    def __init__(
        self,
        stack: ResolvedStack,
        settings: FleetSettings,
        credentials: CredentialsCache,
        metrics: Metrics,
    ) -> None:
        self._stack = with_s3_queues(stack)
        self._settings = settings
        self._credentials = credentials
        self._metrics = metrics
        self.made: list[EventSourceMapping] = []

    async def make(self, opening: AsyncExitStack, function: FunctionSpec, events: AsyncEvents) -> EventSourceMapping:
        """The delivery to `function`, not yet entered; its queue is closed with `opening`."""
        name = s3_queue(function.key)
        queue = await opening.enter_async_context(RoleQueue.of_stack(self._stack, name, name, self._credentials))
        delivery = EventSourceMapping(
            self._mapping_settings(name),
            queue=queue,
            invoke=S3Delivery(function, events),
            scale=FixedScale(_AT_ONCE, function=name),
            metrics=self._metrics,
        )
        self.made.append(delivery)
        return delivery

    def _mapping_settings(self, name: str) -> MappingSettings:
        return MappingSettings(
            function=name,
            queue=name,
            batch_size=10,
            window=0,
            visibility_timeout=self._stack.stack.queues[name].visibility_timeout,
            poll_seconds=self._settings.poll_seconds,
            drain_seconds=self._settings.drain_seconds,
            finish_polls=self._settings.finish_polls,
        )
