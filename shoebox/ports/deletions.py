"""The queue `deletions`: files that nobody holds any more, to be taken out of S3 and the table."""

from __future__ import annotations

import re
from typing import Any

import orjson

from shoebox.files import FILE_ID, TENANT, USER, File, FileKey, Owner, State

_INGEST_SECONDS = 65  # the timeout of the function `ingest` in stack.yaml, and a little


class Deletions:
    """Sends deletion orders. `client` is an aiobotocore SQS client."""

    def __init__(self, client: Any, queue_url: str) -> None:
        self._client = client
        self._queue_url = queue_url

    async def order(self, file: File) -> None:
        """Order the deletion of `file`, as it stood before; ordering twice does no harm.

        A file that was still REGISTERED, or was deleted a moment ago, may be in a worker's hands: its order waits until
        that worker must be done, so that no rendition appears after the deletion.
        """
        delay = 0 if file.state in {State.READY, State.REJECTED} else _INGEST_SECONDS
        await self._client.send_message(QueueUrl=self._queue_url, MessageBody=order_text(file.key), DelaySeconds=delay)


def order_text(key: FileKey) -> str:
    """The body of a deletion order."""
    return orjson.dumps({"tenant": key.owner.tenant, "user": key.owner.user, "file_id": key.file_id}).decode()


def read_order(text: str) -> FileKey:
    """The file that a deletion order names.

    Raises:
        ValueError: the text is no deletion order.
    """
    try:
        order = orjson.loads(text)
        tenant, user, file_id = order["tenant"], order["user"], order["file_id"]
    except (KeyError, TypeError, orjson.JSONDecodeError) as error:
        raise ValueError("not a deletion order") from error
    _check(TENANT, tenant)
    _check(USER, user)
    _check(FILE_ID, file_id)
    return FileKey(Owner(tenant, user), file_id)


def _check(pattern: re.Pattern[str], value: object) -> None:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise ValueError("not a deletion order")
