"""An owner's files, newest first, merged from the shards of the index `by-owner`.

The index is sharded so that a thousand uploads a second of one owner do not meet in one partition; each shard is
sorted by time, so a page is the head of a merge, and the last entry's sort key is a cursor for all shards at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from shoebox.aws.dynamodb import DynamoDBClient
from shoebox.files.items import Item, to_file
from shoebox.files.model import File, Owner
from shoebox.files.store import Page, from_cursor, to_cursor

_ROUNDS = 2  # each one query a shard: a page costs at most 16 queries, however few files match
_FILTERED = 100  # items that a query reads where few may match; a page reads 1,600 at most


async def list_files(
    client: DynamoDBClient,
    table: str,
    owner: Owner,
    *,
    limit: int,
    cursor: str | None,
    wanted: Callable[[File], bool],
    filtered: bool,
) -> Page:
    """Return one page of at most `limit` files of `owner` that are `wanted`; `filtered` says that few may be.

    Raises:
        Invalid: the cursor was not made here.
    """
    before = from_cursor(cursor) if cursor else None
    found: list[File] = []
    for _ in range(_ROUNDS):
        items, end = await _newest(client, table, owner, max(limit, _FILTERED) if filtered else limit, before)
        for item in items:
            before = item["listed"]["S"]
            file = to_file(item)
            if wanted(file):
                found.append(file)
            if len(found) == limit:
                return Page(found, to_cursor(before))
        if not end:
            return Page(found, None)
        before = end
    return Page(found, to_cursor(end))


async def _newest(
    client: DynamoDBClient, table: str, owner: Owner, limit: int, before: str | None
) -> tuple[list[Item], str]:
    """Return the newest items older than `before`, newest first, and the sort key they end at, "" if nothing follows.

    Each shard is asked for `limit`. One that has more hides what is older than the last item it gave, so the result
    ends at the newest of those last items: it has at least `limit` items, or all.
    """
    shards = await asyncio.gather(*(_shard(client, table, key, limit, before) for key in owner.shard_keys()))
    end = max((last for _, last in shards if last), default="")
    items = (item for items, _ in shards for item in items if item["listed"]["S"] >= end)
    return sorted(items, key=lambda item: item["listed"]["S"], reverse=True), end


async def _shard(
    client: DynamoDBClient, table: str, shard_key: str, limit: int, before: str | None
) -> tuple[list[Item], str]:
    """Return items of a shard, and the sort key of the last one looked at if there may be more, else "".

    A query also ends early, at 1 MB ("Paginating table query results"), so only DynamoDB knows whether there are more.
    """
    condition, values = "owner_shard = :shard", {":shard": {"S": shard_key}}
    if before:
        condition, values = f"{condition} AND listed < :before", {**values, ":before": {"S": before}}
    response: dict[str, Any] = await client.query(
        TableName=table,
        IndexName="by-owner",
        KeyConditionExpression=condition,
        ExpressionAttributeValues=values,
        ScanIndexForward=False,
        Limit=limit,
    )
    last = response.get("LastEvaluatedKey")
    return response["Items"], last["listed"]["S"] if last else ""
