"""DynamoDB over plain signed HTTP: the hot path of the API and of ingest.

A photo is registered, read, polled and finished by calls that cost 1.2-1.4 ms of CPU each through aiobotocore, and a
fifth of that here (`./run bench photo_calls`). What is not done for every photo goes through aiobotocore.
"""

from __future__ import annotations

import uuid
from typing import Any

from shoebox.aws.json_service import JsonService
from shoebox.aws.retry import RetryPolicy


class DynamoDBClient(JsonService):
    """Some operations of DynamoDB, named and called as those of aiobotocore's client; they raise `AwsError`.

    Binary attributes are not taken, for we have none.
    """

    service = "dynamodb"
    target = "DynamoDB_20120810"
    retry = RetryPolicy(attempts=4)
    response_seconds = 25.0
    max_bytes = 64 * 1024 * 1024  # a BatchGetItem gives 16 MB, and JSON may write a character with six bytes

    async def get_item(self, **request: Any) -> dict[str, Any]:
        """Call GetItem."""
        return await self.call("GetItem", request)

    async def batch_get_item(self, **request: Any) -> dict[str, Any]:
        """Call BatchGetItem."""
        return await self.call("BatchGetItem", request)

    async def query(self, **request: Any) -> dict[str, Any]:
        """Call Query."""
        return await self.call("Query", request)

    async def update_item(self, **request: Any) -> dict[str, Any]:
        """Call UpdateItem."""
        return await self.call("UpdateItem", request)

    async def delete_item(self, **request: Any) -> dict[str, Any]:
        """Call DeleteItem."""
        return await self.call("DeleteItem", request)

    async def transact_write_items(self, **request: Any) -> dict[str, Any]:
        """Call TransactWriteItems, with a token, as every SDK sends it: what is tried again is one transaction."""
        return await self.call("TransactWriteItems", {"ClientRequestToken": str(uuid.uuid4()), **request})
