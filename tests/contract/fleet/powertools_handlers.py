"""Powertools for AWS Lambda and X-Ray's SDK, as for AWS."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, APIGatewayRestResolver
from aws_lambda_powertools.utilities.batch import (
    AsyncBatchProcessor,
    BatchProcessor,
    EventType,
    async_process_partial_response,
    batch_processor,
    process_partial_response,
)
from aws_lambda_powertools.utilities.idempotency import DynamoDBPersistenceLayer, IdempotencyConfig, idempotent
from aws_lambda_powertools.utilities.idempotency.exceptions import IdempotencyAlreadyInProgressError

logger = Logger(service="photos")
metrics = Metrics(namespace="photos", service="photos")
tracer = Tracer(service="photos")
http = APIGatewayHttpResolver()
rest = APIGatewayRestResolver()


@rest.get("/photos/<name>")
@http.get("/photos/<name>")
def show(name: str) -> dict[str, str]:
    """Return the name in the path."""
    return {"name": name}


@http.get("/waits")
async def waits() -> dict[str, str]:
    """Return from an asynchronous route."""
    await asyncio.sleep(0)
    return {"waited": "yes"}


def api_http(event: dict[str, Any], context: Any) -> Any:
    """Routes of an HTTP API; those that wait are resolved on a loop."""
    if event["rawPath"] == "/waits":
        return asyncio.run(http.resolve_async(event, context))
    return http.resolve(event, context)


def api_rest(event: dict[str, Any], context: Any) -> Any:
    """Routes of a REST API."""
    return rest.resolve(event, context)


processor = BatchProcessor(event_type=EventType.SQS)
async_processor = AsyncBatchProcessor(event_type=EventType.SQS)


def handle(record: Any) -> str:
    """Fails as its body says."""
    if record.body == "bad":
        raise ValueError("as asked")
    return str(record.body)


async def handle_later(record: Any) -> str:
    """Handle a message later."""
    await asyncio.sleep(0)
    return handle(record)


def batch(event: dict[str, Any], context: Any) -> Any:
    """Report the messages that failed."""
    return process_partial_response(event=event, record_handler=handle, processor=processor, context=context)


def batch_async(event: dict[str, Any], context: Any) -> Any:
    """Report the messages that failed, all of them handled at once."""
    return async_process_partial_response(
        event=event, record_handler=handle_later, processor=async_processor, context=context
    )


@batch_processor(record_handler=handle, processor=processor)
def batch_decorated(event: dict[str, Any], context: Any) -> Any:
    """Report the messages that failed by the older decorator."""
    return processor.response()


runs: list[Any] = []


@idempotent(
    persistence_store=DynamoDBPersistenceLayer(table_name=os.environ.get("IDEMPOTENCY_TABLE", "")),
    config=IdempotencyConfig(event_key_jmespath="order"),
)
def order(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Count how often it really ran; an event may invoke it again meanwhile."""
    runs.append(event)
    if event.get("again"):
        try:
            order({"order": event["order"]}, context)
        except IdempotencyAlreadyInProgressError:
            return {"runs": len(runs), "again": "in progress"}
    if event.get("fails"):
        raise ValueError("as asked")
    return {"runs": len(runs)}


@tracer.capture_method
def render(name: str) -> str:
    """Run a traced part of an invocation."""
    tracer.put_annotation("name", name)
    return name


@logger.inject_lambda_context(correlation_id_path="id", log_event=True)
@tracer.capture_lambda_handler
@metrics.log_metrics(capture_cold_start_metric=True)
def observed(event: dict[str, Any], context: Any) -> Any:
    """Log, count and trace."""
    logger.info("rendering", extra={"photo": event["photo"]})
    metrics.add_metric("rendered", unit="Count", value=1)
    if event.get("fails"):
        raise ValueError("as asked")
    return {"photo": render(event["photo"])}
