"""Capacity units that a write needs of each partition, and what its response shows that it used.

Sources: "DynamoDB read and write operations", "Capacity unit consumption for write operations"; "Amazon DynamoDB
Transactions: How it works", "Capacity management for transactions"; "Condition expressions": a failed one consumes the
table's units. An index gets its entries after the transaction, and only if it succeeds, so they cost once.

Of update expressions ("Update expressions", Amazon DynamoDB Developer Guide) only `SET name = :value` and the names of
REMOVE matter: keys of indexes are strings, numbers or binaries at the top of an item.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, TypeAlias

from emulator.limiter.forwarding import RecordedResponse
from emulator.limiter.tables import (
    IndexKey,
    IndexSchema,
    ItemId,
    ItemMemory,
    KnownItem,
    TableSchema,
    known_item,
    table_name,
)
from fleet.limits.capacity import TRANSACTIONAL, WRITE_BYTES, Item, item_size, write_units
from fleet.limits.dynamodb import Demand, Direction, DynamoDBLimits

Tables: TypeAlias = Mapping[str, TableSchema | None]
"""The tables of a request by name; None where nothing is limited."""

_CONDITION_FAILED = ("ConditionalCheckFailedException", "TransactionCanceledException", "TransactionConflictException")
_CLAUSE = re.compile(r"(?<![#:.\w-])(SET|REMOVE|ADD|DELETE)(?=\s)", re.IGNORECASE)
_ASSIGNED = re.compile(r"(?:^|,)\s*(#?[\w-]+)\s*=\s*(:\w+)\s*(?=,|$)")


@dataclass(frozen=True, slots=True)
class Write:
    """One item's write: its demands, beginning with the table's own, and what the item will be.

    `size` is the item's new size where it must be checked. `table` is None where nothing is limited.
    """

    table: TableSchema | None = None
    demands: tuple[Demand, ...] = ()
    item: ItemId | None = None
    after: KnownItem | None = None
    size: int = 0


UNLIMITED = Write()


def put(table: TableSchema | None, item: Item, memory: ItemMemory, max_size: int, unit_cost: float = 1) -> Write:
    """Plan PutItem; the request has `max_size` bytes, so an item in a small one need not be measured."""
    if table is None:
        return UNLIMITED
    size = max_size if max_size <= WRITE_BYTES else item_size(item)
    return _write(table, item, memory, known_item(table, item, size), unit_cost)


def update(table: TableSchema | None, request: Mapping[str, Any], memory: ItemMemory, unit_cost: float = 1) -> Write:
    """Plan UpdateItem. The item's true size cannot be told, so the emulator checks it."""
    if table is None:
        return UNLIMITED
    key = request["Key"]
    before, changes = memory.get(_id(table, key)), changes_of(request)
    # The larger of what it was and what the update itself holds: adding up would let a counter grow for ever.
    size = max(before.size if before else 0, item_size(key) + item_size(changes))
    index_keys = before.index_keys if before else (None,) * len(table.indexes)
    keys = tuple(_moved(index, was, {**key, **changes}) for index, was in zip(table.indexes, index_keys, strict=True))
    return replace(_write(table, key, memory, KnownItem(size, keys), unit_cost), size=0)


def delete(table: TableSchema | None, key: Item, memory: ItemMemory, unit_cost: float = 1) -> Write:
    """Plan DeleteItem; what is not there costs one unit."""
    return _write(table, key, memory, None, unit_cost) if table else UNLIMITED


def condition_check(table: TableSchema | None, key: Item, memory: ItemMemory, unit_cost: float = 1) -> Write:
    """Plan a ConditionCheck, which costs as a write of the item and changes nothing."""
    if table is None:
        return UNLIMITED
    return replace(_write(table, key, memory, memory.get(_id(table, key)), unit_cost, indexed=False), item=None)


def batch_entry(table: TableSchema | None, request: Mapping[str, Any], memory: ItemMemory, max_size: int) -> Write:
    """Plan one request of a BatchWriteItem."""
    if "PutRequest" in request:
        return put(table, request["PutRequest"]["Item"], memory, max_size)
    return delete(table, request["DeleteRequest"]["Key"], memory)


def transaction(tables: Tables, request: Mapping[str, Any], memory: ItemMemory, max_size: int) -> list[Write]:
    """Plan TransactWriteItems, in which every action costs twice."""
    writes = []
    for action in request["TransactItems"]:
        ((kind, content),) = action.items()
        table = tables[table_name(content["TableName"])]
        match kind:
            case "Put":
                writes.append(put(table, content["Item"], memory, max_size, TRANSACTIONAL))
            case "Update":
                writes.append(update(table, content, memory, TRANSACTIONAL))
            case "Delete":
                writes.append(delete(table, content["Key"], memory, TRANSACTIONAL))
            case _:
                writes.append(condition_check(table, content["Key"], memory, TRANSACTIONAL))
    return writes


def settle(
    writes: Iterable[Write], response: RecordedResponse, limits: DynamoDBLimits, memory: ItemMemory, now: float
) -> None:
    """Remember the items that were written; give back what was not used."""
    if response.status == 200:
        for write in writes:
            if not write.table or not write.item:
                continue
            # An item in no index that costs one unit is as one that is not known, unless it was another before.
            large = write.after is not None and write.after.size > WRITE_BYTES
            if write.table.indexes or large or memory.get(write.item) is not None:
                memory.put(write.item, write.after)
        return
    error = str(response.document().get("__type", "")).rpartition("#")[2]
    first = 1 if error in _CONDITION_FAILED else 0
    for write in writes:
        limits.give_back(Direction.WRITE, write.demands[first:], now)


def changes_of(request: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the attributes that an update sets to a plain value, and an empty value for each that it removes."""
    expression = request.get("UpdateExpression")
    if not expression:
        return {}
    names, values = request.get("ExpressionAttributeNames", {}), request.get("ExpressionAttributeValues", {})
    assigned, removed = _parse_update(expression)
    changes = {names.get(name, name): values[value] for name, value in assigned if value in values}
    return changes | {names.get(name, name): {} for name in removed}


@lru_cache(maxsize=1024)  # programs use few expressions
def _parse_update(expression: str) -> tuple[tuple[tuple[str, str], ...], tuple[str, ...]]:
    """Return assignments as (name, value), and removed names."""
    words = _CLAUSE.split(expression)
    assigned: list[tuple[str, str]] = []
    removed: list[str] = []
    for clause, content in zip(words[1::2], words[2::2], strict=False):
        if clause.upper() == "SET":
            assigned += _ASSIGNED.findall(content)
        elif clause.upper() == "REMOVE":
            removed += [name.strip() for name in content.split(",")]
    return tuple(assigned), tuple(removed)


def _moved(index: IndexSchema, was: IndexKey, changes: Item) -> IndexKey:
    """Return the item's key in an index after an update, from what it changes and what was known."""
    names = (index.keys.hash, index.keys.range)
    if not any(name in changes for name in names if name):
        return was
    values: dict[str, Mapping[str, Any]] = {}
    for name, former in zip(names, was or (None, None), strict=True):
        if name and name in changes:
            values[name] = changes[name]
        elif name and former is not None:
            values[name] = {"": former}
    return index.keys.of(values)


def _write(
    table: TableSchema,
    item: Item,
    memory: ItemMemory,
    after: KnownItem | None,
    unit_cost: float,
    *,
    indexed: bool = True,
) -> Write:
    item_id = _id(table, item)
    before = memory.get(item_id)
    size = max((known.size for known in (before, after) if known), default=0)  # the larger of the two counts
    own = Demand(table.resource, item_id[1], unit_cost * write_units(size))
    indexes = _index_demands(table, before, after) if indexed and table.indexes else ()
    return Write(table, (own, *indexes), item_id, after, after.size if after else 0)


def _index_demands(table: TableSchema, before: KnownItem | None, after: KnownItem | None) -> list[Demand]:
    """Return what a write costs on the indexes ("Using Global Secondary Indexes in DynamoDB", "Write capacity units").

    One write puts, replaces or deletes an entry; a change of its key takes two, one to delete and one to put. An index
    that does not project all attributes has entries of at most 1 KB here.
    """
    demands: list[Demand] = []
    for number, index in enumerate(table.indexes):
        was, now = (known.index_keys[number] if known else None for known in (before, after))
        if was and was != now:
            demands.append(Demand(index.resource, was[0], _entry_units(index, before)))
        if now:
            larger = before if was == now and before and after and before.size > after.size else after
            demands.append(Demand(index.resource, now[0], _entry_units(index, larger)))
    return demands


def _entry_units(index: IndexSchema, item: KnownItem | None) -> int:
    size = item.size if item else 0
    return write_units(size if index.whole else min(size, WRITE_BYTES))


def _id(table: TableSchema, item: Item) -> ItemId:
    key = table.keys.of(item)
    if key is None:
        raise KeyError(table.keys.hash)
    return (table.resource.table, *key)
