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

from collections.abc import Sequence
from typing import Any

import orjson

from fleet.async_events import AsyncEvents
from fleet.environments.invocation import Call, InvokeResult
from fleet.errors import Throttled
from fleet.functions import FunctionSpec
from fleet.http.trace import new_trace_id
from shoebox.telemetry import get_logger

_log = get_logger(action="fleet.s3_delivery")


class S3Delivery:
    """Hands the events in messages to `function`, in place of the invoker of an event source mapping."""

    def __init__(self, function: FunctionSpec, events: AsyncEvents) -> None:
        self._function = function
        self._events = events

    async def invoke(self, function: str, payload: bytes) -> InvokeResult:
        """Submit the events of a batch; the result, a partial batch response, names the messages to keep."""
        refused: list[dict[str, str]] = []
        for message in orjson.loads(payload)["Records"]:
            try:
                records = s3_records(message["body"])
            except ValueError as error:
                key, message_id = self._function.key, message["messageId"]
                _log.error("s3_event_invalid", function=key, message_id=message_id, reason=str(error))
                continue
            try:
                for record in records:
                    event = orjson.dumps({"Records": [record]})
                    self._events.submit(self._function, Call(event, trace_id=new_trace_id(), synchronous=False))
            except Throttled:
                refused.append({"itemIdentifier": message["messageId"]})
        return InvokeResult(orjson.dumps({"batchItemFailures": refused}))


def s3_records(body: str) -> Sequence[Any]:
    """Return the records of an S3 event as it lies in a queue; a test event has none.

    Raises:
        ValueError: S3 cannot have sent it.
    """
    match orjson.loads(body):
        case {"Event": "s3:TestEvent"}:
            return ()
        case {"Records": [*records]}:
            return records
    raise ValueError("it has no records")
