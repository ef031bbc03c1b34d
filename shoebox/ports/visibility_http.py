"""SQS over plain signed HTTP: ChangeMessageVisibilityBatch, which ingest calls for what its deadline leaves."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from botocore.exceptions import BotoCoreError

from shoebox.aws import Credentials, service_url
from shoebox.aws_json import AwsError, JsonService, Patience
from shoebox.config import AwsSettings, ConfigError
from shoebox.connections import Connections
from shoebox.ports.dynamodb_http import CredentialsNow
from shoebox.telemetry import get_logger

# It is called in the last two seconds of an invocation.
PATIENCE = Patience(attempts=1, answer_seconds=1.0)
_MAX_ENTRIES = 10  # of a batch call
_MAX_BYTES = 1024 * 1024

_log = get_logger()


class VisibilityHttp:
    """Makes messages visible again. `credentials` gives those of the moment."""

    def __init__(self, connections: Connections, credentials: CredentialsNow, aws: AwsSettings) -> None:
        self._connections = connections
        self._credentials = credentials
        self._aws = aws
        self._keys: Credentials | None = None
        self._service: JsonService | None = None

    async def release(self, queue_arn: str, receipts: Sequence[str]) -> int:
        """Let others receive messages of a queue at once; returns how many.

        A message that cannot be released is logged; it comes after its visibility timeout.
        """
        released = 0
        for start in range(0, len(receipts), _MAX_ENTRIES):
            entries = [
                {"Id": str(index), "ReceiptHandle": receipt, "VisibilityTimeout": 0}
                for index, receipt in enumerate(receipts[start : start + _MAX_ENTRIES])
            ]
            request = {"QueueUrl": queue_url(queue_arn, self._aws), "Entries": entries}
            try:
                response = await (await self._current()).call("ChangeMessageVisibilityBatch", request)
            except (AwsError, ConfigError, BotoCoreError) as error:  # the last two: there are no keys to sign with
                code = getattr(error, "code", type(error).__name__)
                _log.warning("messages_not_given_back", code=code, detail=str(error), messages=len(entries))
                continue
            failed: list[dict[str, Any]] = response.get("Failed", [])
            for failure in failed:
                _log.warning("messages_not_given_back", code=failure.get("Code"), messages=1)
            released += len(entries) - len(failed)
        return released

    async def _current(self) -> JsonService:
        keys = await self._credentials()
        if self._service is None or keys != self._keys:
            self._keys = keys
            self._service = JsonService(
                self._connections,
                keys,
                region=self._aws.region,
                service="sqs",
                target="AmazonSQS",
                patience=PATIENCE,
            )
        return self._service


def queue_url(queue_arn: str, aws: AwsSettings) -> str:
    """URL of the queue with this ARN (Amazon SQS, "Queue and message identifiers")."""
    *_, account, name = queue_arn.split(":")
    return f"{service_url(aws, 'sqs')}/{account}/{name}"


@asynccontextmanager
async def open_visibility(aws: AwsSettings, credentials: CredentialsNow) -> AsyncIterator[VisibilityHttp]:
    """A client; closes its connections at the end."""
    connections = Connections(service_url(aws, "sqs"), most_bytes=_MAX_BYTES)
    try:
        yield VisibilityHttp(connections, credentials, aws)
    finally:
        connections.close()
