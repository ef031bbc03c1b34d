"""An owner's files, newest first, merged from the shards of the index `by-owner`.

The index is sharded so that a thousand uploads a second of one owner do not meet in one partition; each shard is
sorted by time, so a page is the head of a merge, and the last entry's sort key is a cursor for all shards at once.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from shoebox.errors import Invalid
from shoebox.files.items import Item, to_file
from shoebox.files.model import File, Owner, State

_CURSOR = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z#f[a-z2-7]{32}$")
_ROUNDS = 2  # of one query a shard: a page costs at most 16 queries, whatever it looks for
_FILTERED = 100  # items a query reads where most may not be wanted; a page may look at 1,600


@dataclass(frozen=True, slots=True)
class Page:
    """Some files, newest first; `next_cursor` is None on the last page. A page may be short, even empty."""

    files: list[File]
    next_cursor: str | None


async def list_files(
    client: Any,
    table: str,
    owner: Owner,
    *,
    limit: int,
    cursor: str | None,
    state: State | None,
    visible: Callable[[File], File | None],
) -> Page:
    """One page of at most `limit` files of `owner` that are `visible` and in `state`, if one is given."""
    before = _decode(cursor) if cursor else None
    found: list[File] = []
    for _ in range(_ROUNDS):
        items, end = await _newest(client, table, owner, limit if state is None else max(limit, _FILTERED), before)
        for item in items:
            before = item["listed"]["S"]
            file = visible(to_file(item))
            if file and state in (None, file.state):
                found.append(file)
            if len(found) == limit:
                return Page(found, _encode(before))
        if not end:
            return Page(found, None)
        before = end
    return Page(found, _encode(end))


async def _newest(client: Any, table: str, owner: Owner, limit: int, before: str | None) -> tuple[list[Item], str]:
    """Return the newest items older than `before`, newest first, and the sort key they end at, "" if nothing follows.

    Each shard is asked for `limit`. One that has more hides what is older than the last item it gave, so the result
    ends at the newest of those last items: it has at least `limit` items, or all.
    """
    shards = await asyncio.gather(*(_shard(client, table, key, limit, before) for key in owner.shard_keys()))
    end = max((last for _, last in shards if last), default="")
    items = (item for items, _ in shards for item in items if item["listed"]["S"] >= end)
    return sorted(items, key=lambda item: item["listed"]["S"], reverse=True), end


async def _shard(client: Any, table: str, shard_key: str, limit: int, before: str | None) -> tuple[list[Item], str]:
    """Items of a shard, and the sort key of the last one looked at if there may be more, else "".

    A query also ends early, at 1 MB ("Paginating table query results"), so only DynamoDB knows whether there are more.
    """
    condition, values = "owner_shard = :shard", {":shard": {"S": shard_key}}
    if before:
        condition, values = f"{condition} AND listed < :before", {**values, ":before": {"S": before}}
    answer = await client.query(
        TableName=table,
        IndexName="by-owner",
        KeyConditionExpression=condition,
        ExpressionAttributeValues=values,
        ScanIndexForward=False,
        Limit=limit,
    )
    last = answer.get("LastEvaluatedKey")
    return answer["Items"], last["listed"]["S"] if last else ""


def _encode(listed: str) -> str:
    return base64.urlsafe_b64encode(listed.encode()).decode().rstrip("=")


def _decode(cursor: str) -> str:
    try:
        listed = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
    except (binascii.Error, ValueError):
        listed = ""
    if not _CURSOR.fullmatch(listed):
        raise Invalid("This cursor was not made here; take `next_cursor` of the page before.")
    return listed
