"""The queue `deletions`: files whose objects and records are to be deleted."""

from __future__ import annotations

from typing import Protocol

import orjson

from shoebox.files.model import FILE_ID, GENERATION, LANE, LANES, FileKey, Generation, Owner
from shoebox.identifiers import TENANT, USER


class DeletionQueue(Protocol):
    """Takes deletion orders, which clean-up carries out."""

    async def order(self, generation: Generation, *, after_ingest: bool = False) -> None:
        """Order the deletion of a generation's objects; ordering twice does no harm.

        `after_ingest` is for a file that a worker may be processing, being REGISTERED or deleted a moment ago: the
        order is delayed until that worker must have ended, which saves a second deletion of what it still stores.

        Raises:
            Unavailable: retryable; order again.
        """
        ...


def order_text(generation: Generation) -> str:
    """Return the body of a deletion order."""
    key = generation.key
    order = {"tenant": key.owner.tenant, "user": key.owner.user, "file_id": key.file_id}
    return orjson.dumps({**order, "generation": generation.ulid, "lane": generation.lane}).decode()


def read_order(text: str) -> Generation:
    """Return the generation that a deletion order names; an order without one means the first key layout.

    Raises:
        ValueError: the text is no deletion order.
    """
    try:
        order = orjson.loads(text)
        tenant, user, file_id = order["tenant"], order["user"], order["file_id"]
        ulid, lane = order.get("generation", ""), order.get("lane", LANE)
    except (KeyError, TypeError, AttributeError, orjson.JSONDecodeError) as error:
        raise ValueError("not a deletion order") from error
    for pattern, value in ((TENANT, tenant), (USER, user), (FILE_ID, file_id), (GENERATION, ulid), (LANES, lane)):
        if not isinstance(value, str) or not pattern.fullmatch(value):
            raise ValueError("not a deletion order")
    return Generation(FileKey(Owner(tenant, user), file_id), ulid, lane)
