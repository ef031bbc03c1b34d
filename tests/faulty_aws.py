"""Faults between AWS clients and AWS: responses that are lost after the work was done, and stale reads."""

from __future__ import annotations

from collections import Counter
from typing import Any

from botocore.exceptions import ConnectionClosedError

from shoebox.aws.connections import Connections, Response
from shoebox.aws.errors import ConnectionLost


class LossyConnections(Connections):
    """Connections of a small client that lose responses: the next one to an operation with `lose["UpdateItem"] = 1`."""

    def __init__(self, url: str, **options: Any) -> None:
        super().__init__(url, **options)
        self.lose: Counter[str] = Counter()
        self.lost: Counter[str] = Counter()

    async def exchange(self, head: bytes, seconds: float, **options: Any) -> Response:
        """Do the request; a lost response is a lost connection."""
        response = await super().exchange(head, seconds, **options)
        for operation in self.lose:
            if self.lose[operation] and f".{operation}\r\n".encode() in head:
                self.lose[operation] -= 1
                self.lost[operation] += 1
                raise ConnectionLost("the response was lost")
        return response


class LossyHttp:
    """The HTTP session of an aiobotocore client; it loses the next responses to an operation, as `lose` says.

    Operations are told by `X-Amz-Target`; those of S3 by what is in a POST's query: `queries` has it by operation.
    """

    def __init__(self, client: Any, queries: dict[str, str] | None = None) -> None:
        session = client._endpoint.http_session
        self._send = session.send
        self._queries = queries or {}
        self.lose: Counter[str] = Counter()
        self.lost: Counter[str] = Counter()
        session.send = self.send

    async def send(self, request: Any) -> Any:
        """Do the request; a lost response is a closed connection."""
        response = await self._send(request)
        for operation in self.lose:
            if self.lose[operation] and self._is(request, operation):
                self.lose[operation] -= 1
                self.lost[operation] += 1
                raise ConnectionClosedError(endpoint_url=request.url)
        return response

    def _is(self, request: Any, operation: str) -> bool:
        if operation in self._queries:
            return request.method == "POST" and self._queries[operation] in request.url
        target = request.headers.get("X-Amz-Target", b"")
        return (target if isinstance(target, str) else target.decode()).endswith(f".{operation}")


class StaleReads:
    """A DynamoDB client whose eventually consistent reads see the items of its tables as they were at `freeze`."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._items: dict[str, Any] | None = None
        self.served = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    async def freeze(self, table: str, *pks: str) -> None:
        """Remember these items; others are absent."""
        keys = [{"pk": {"S": pk}} for pk in pks]
        request = {table: {"Keys": keys, "ConsistentRead": True}}
        found = (await self._client.batch_get_item(RequestItems=request))["Responses"][table] if keys else []
        self._items = {item["pk"]["S"]: item for item in found}

    async def get_item(self, **request: Any) -> Any:
        """Return what GetItem gave at `freeze`."""
        if self._items is None or request.get("ConsistentRead"):
            return await self._client.get_item(**request)
        self.served += 1
        item = self._items.get(request["Key"]["pk"]["S"])
        return {"Item": item} if item else {}

    async def batch_get_item(self, **request: Any) -> Any:
        """Return what BatchGetItem of one table gave at `freeze`."""
        ((table, asked),) = request["RequestItems"].items()
        if self._items is None or asked.get("ConsistentRead"):
            return await self._client.batch_get_item(**request)
        self.served += 1
        found = [self._items[key["pk"]["S"]] for key in asked["Keys"] if key["pk"]["S"] in self._items]
        return {"Responses": {table: found}, "UnprocessedKeys": {}}
