"""DynamoDB over plain signed HTTP: the hot path of the API and of ingest.

A photo is registered, read, polled and finished by calls that cost 1.2-1.4 ms of CPU each through aiobotocore, and a
fifth of that here (`./run bench photo_calls`). What goes in and out is what aiobotocore's client takes and gives, and
what it raises, so that ports work with either; binary attributes are not taken, for we have none. What is not done for
every photo goes through aiobotocore.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from shoebox.aws.botocore_errors import as_botocore
from shoebox.aws.clients import service_url
from shoebox.aws.connections import Connections
from shoebox.aws.credentials import Credentials, CredentialsSource
from shoebox.aws.json_service import AwsError, JsonService, Patience
from shoebox.config import AwsSettings

PATIENCE = Patience(attempts=4, first_pause=0.05, answer_seconds=25.0)
_MOST_BYTES = 64 * 1024 * 1024  # a BatchGetItem gives 16 MB, and JSON may write a character with six bytes

Answer = dict[str, Any]


class DynamoDBClient:
    """Some operations of DynamoDB, named, called and failing as those of aiobotocore's client.

    `credentials` gives those of the moment: they may be renewed while the process lives.
    """

    def __init__(
        self, connections: Connections, credentials: CredentialsSource, *, region: str, patience: Patience = PATIENCE
    ) -> None:
        self._connections = connections
        self._credentials = credentials
        self._region = region
        self._patience = patience
        self._keys: Credentials | None = None
        self._service: JsonService | None = None

    async def get_item(self, **request: Any) -> Answer:
        """GetItem."""
        return await self._call("GetItem", request)

    async def batch_get_item(self, **request: Any) -> Answer:
        """BatchGetItem."""
        return await self._call("BatchGetItem", request)

    async def query(self, **request: Any) -> Answer:
        """Query."""
        return await self._call("Query", request)

    async def update_item(self, **request: Any) -> Answer:
        """UpdateItem."""
        return await self._call("UpdateItem", request)

    async def delete_item(self, **request: Any) -> Answer:
        """DeleteItem."""
        return await self._call("DeleteItem", request)

    async def transact_write_items(self, **request: Any) -> Answer:
        """TransactWriteItems; with a token, as every SDK sends it: what is tried again is one transaction."""
        return await self._call("TransactWriteItems", {"ClientRequestToken": str(uuid.uuid4()), **request})

    async def _call(self, operation: str, request: dict[str, Any]) -> Answer:
        """Raises botocore's ClientError for a refusal, another of its errors where there was no answer."""
        service = await self._current()
        try:
            return await service.call(operation, request)
        except AwsError as error:
            raise as_botocore(error, operation, self._connections.host) from error

    async def _current(self) -> JsonService:
        keys = await self._credentials()
        if self._service is None or keys != self._keys:
            self._keys, self._service = keys, self._signing_with(keys)
        return self._service

    def _signing_with(self, keys: Credentials) -> JsonService:
        return JsonService(
            self._connections,
            keys,
            region=self._region,
            service="dynamodb",
            target="DynamoDB_20120810",
            patience=self._patience,
        )


@asynccontextmanager
async def open_dynamodb(settings: AwsSettings, credentials: CredentialsSource) -> AsyncIterator[DynamoDBClient]:
    """A client of the settings' DynamoDB, whose connections are closed at the end."""
    connections = Connections(service_url(settings, "dynamodb"), most_bytes=_MOST_BYTES)
    try:
        yield DynamoDBClient(connections, credentials, region=settings.region)
    finally:
        connections.close()
