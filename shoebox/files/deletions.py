"""The queue `deletions`: files that nobody holds any more, to be taken out of S3 and the table."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any

import orjson

from shoebox.files.model import FILE_ID, GENERATION, LANE, LANES, FileKey, Generation, Owner
from shoebox.identifiers import TENANT, USER

_INGEST_SECONDS = 65  # the timeout of the function `ingest` in stack.yaml, and a little


class Deletions:
    """Sends deletion orders. `client` gives an aiobotocore SQS client, which is made when it is first needed."""

    def __init__(self, client: Callable[[], Awaitable[Any]], queue_url: str) -> None:
        self._client = client
        self._queue_url = queue_url

    async def order(self, generation: Generation, *, after_ingest: bool = False) -> None:
        """Order the deletion of a generation's objects; ordering twice does no harm.

        `after_ingest` is for a file that may be in a worker's hands, being REGISTERED or deleted a moment ago: the
        order waits until that worker must be done, which saves a second deletion of what it still stores.
        """
        client, delay = await self._client(), _INGEST_SECONDS if after_ingest else 0
        await client.send_message(QueueUrl=self._queue_url, MessageBody=order_text(generation), DelaySeconds=delay)


def order_text(generation: Generation) -> str:
    """The body of a deletion order."""
    key = generation.key
    order = {"tenant": key.owner.tenant, "user": key.owner.user, "file_id": key.file_id}
    return orjson.dumps({**order, "generation": generation.ulid, "lane": generation.lane}).decode()


def read_order(text: str) -> Generation:
    """The generation that a deletion order names; orders from before there were any name that of the first layout.

    Raises:
        ValueError: the text is no deletion order.
    """
    try:
        order = orjson.loads(text)
        tenant, user, file_id = order["tenant"], order["user"], order["file_id"]
        ulid, lane = order.get("generation", ""), order.get("lane", LANE)
    except (KeyError, TypeError, AttributeError, orjson.JSONDecodeError) as error:
        raise ValueError("not a deletion order") from error
    _check(TENANT, tenant)
    _check(USER, user)
    _check(FILE_ID, file_id)
    _check(GENERATION, ulid)
    _check(LANES, lane)
    return Generation(FileKey(Owner(tenant, user), file_id), ulid, lane)


def _check(pattern: re.Pattern[str], value: object) -> None:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise ValueError("not a deletion order")
