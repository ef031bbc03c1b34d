"""An owner's files, newest first, merged from the shards of the index `by-owner`.

The index is sharded so that a thousand uploads a second of one owner do not meet in one partition; each shard is
sorted by time, so a page is the head of a merge, and the last entry's sort key is a cursor for all shards at once.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import heapq
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from shoebox.errors import Invalid
from shoebox.files import File, Owner, State
from shoebox.ports.items import Item, to_file

_CURSOR = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z#f[a-z2-7]{32}$")
_READ_BUDGET = 20  # rounds of `limit` items each that one filtered page may look at


@dataclass(frozen=True, slots=True)
class Page:
    """Some files, newest first; `next_cursor` is None on the last page. A filtered page may be short, even empty."""

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
    for _ in range(_READ_BUDGET):
        items = await _newest(client, table, owner, limit, before)
        for item in items:
            before = item["listed"]["S"]
            file = visible(to_file(item))
            if file and state in (None, file.state):
                found.append(file)
            if len(found) == limit:
                return Page(found, _encode(before))
        if len(items) < limit:
            return Page(found, None)
    return Page(found, _encode(before) if before else None)


async def _newest(client: Any, table: str, owner: Owner, limit: int, before: str | None) -> list[Item]:
    """The `limit` newest items of the owner that are older than `before`, newest first."""
    shards = await asyncio.gather(*(_shard(client, table, key, limit, before) for key in owner.shard_keys()))
    return heapq.nlargest(limit, (item for shard in shards for item in shard), key=lambda item: item["listed"]["S"])


async def _shard(client: Any, table: str, shard_key: str, limit: int, before: str | None) -> list[Item]:
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
    items: list[Item] = answer["Items"]
    return items


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
