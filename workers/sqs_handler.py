"""The handler of a function that consumes an SQS queue, but for what it does with a message.

    @asynccontextmanager
    async def open_consumer(aws, clients):  # once a process
        yield partial(run_batch, work=work, at_once=10)

    handler = sqs_handler("reports", open_consumer)

The rest is here: logging and settings at the start, the batch's time budget, messages that stay hidden while they are
worked on, and the partial batch response. stack.yaml names the handler and its queue.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import asdict
from functools import partial
from typing import Any, Protocol

from shoebox.aws.clients import Clients
from shoebox.aws.sqs import open_visibility
from shoebox.config import AwsSettings, ConsumerSettings
from shoebox.telemetry import configure_logging, get_logger, log_context
from workers.batch import BatchResult, Message, TimeBudget
from workers.heartbeat import Heartbeat
from workers.runtime.context import Context
from workers.runtime.lifespan import ResourceHandler, with_lifespan

_log = get_logger()


class BatchRunner(Protocol):
    """Works on the messages of batches."""

    async def __call__(self, messages: Sequence[Message], *, budget: TimeBudget, function: str) -> BatchResult:
        """Work on one batch within `budget`; `function` names the worker in logs and metrics."""


OpenConsumer = Callable[[AwsSettings, Clients], AbstractAsyncContextManager[BatchRunner]]


def sqs_handler(function: str, open_consumer: OpenConsumer) -> ResourceHandler[tuple[BatchRunner, Heartbeat]]:
    """Return the Lambda handler of `function`, which takes SQS events.

    `open_consumer` makes an async context manager of what runs a batch, entered once a process, before the first event.
    """

    @asynccontextmanager
    async def open_resources() -> AsyncIterator[tuple[BatchRunner, Heartbeat]]:
        configure_logging()
        aws, settings = AwsSettings.from_environment(), ConsumerSettings.from_environment()
        async with (
            Clients(aws) as clients,
            open_visibility(aws, clients.credentials) as visibility,
            open_consumer(aws, clients) as run_messages,
        ):
            yield run_messages, Heartbeat(visibility, settings.visibility_seconds, function)

    @with_lifespan(open_resources)
    async def handler(
        event: Mapping[str, Any], context: Context, resources: tuple[BatchRunner, Heartbeat]
    ) -> dict[str, Any]:
        """Work on the messages of an SQS event; the response is a partial batch response."""
        run_messages, heartbeat = resources
        with log_context(request_id=context.aws_request_id):
            messages = [Message.of_record(record) for record in event["Records"]]
            seconds_left = context.get_remaining_time_in_millis() / 1000
            budget = TimeBudget.of_remaining(seconds_left)
            work = partial(run_messages, messages, budget=budget, function=function)
            result = await heartbeat.run(messages, work, seconds_left=seconds_left)
            _log.info("batch_finished", **asdict(result.statistics))
            return result.response()

    return handler
