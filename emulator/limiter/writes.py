"""What a write wants of which partition, and what its answer tells.

Sources: "DynamoDB read and write operations", "Capacity unit consumption for write operations"; "Amazon DynamoDB
Transactions: How it works", "Capacity management for transactions"; "Condition expressions": a failed one consumes the
table's units. An index gets its entries after the transaction, and only if it succeeds, so they cost once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from emulator.limiter.exchange import Answer
from emulator.limiter.memory import ABSENT_SIZE, ItemId, ItemMemory, Known, changed, index_demands, known_of
from emulator.limiter.schemas import TableSchema, table_name
from emulator.limiter.updates import changes_of
from fleet.limits.capacity import TRANSACTIONAL, WRITE_BYTES, item_size, write_units
from fleet.limits.dynamodb import Demand, Direction, DynamoDBLimits

Tables: TypeAlias = Mapping[str, TableSchema | None]

_CONDITION_FAILED = ("ConditionalCheckFailedException", "TransactionCanceledException", "TransactionConflictException")


@dataclass(frozen=True, slots=True)
class Write:
    """One item's write: what it wants, and what the item will be; `demands` begins with the table's own.

    `table` is None where nothing is limited.
    """

    table: TableSchema | None = None
    demands: tuple[Demand, ...] = ()
    item: ItemId | None = None
    after: Known | None = None
    size: int = 0


UNLIMITED = Write()


def put(table: TableSchema | None, item: Mapping[str, Any], memory: ItemMemory, most: int, each: float = 1) -> Write:
    """PutItem; `most` bytes are in the request, so an item in a small one need not be measured."""
    if table is None:
        return UNLIMITED
    size = most if most <= WRITE_BYTES else item_size(item)
    return _write(table, item, memory, known_of(table, item, size), each)


def update(table: TableSchema | None, request: Mapping[str, Any], memory: ItemMemory, each: float = 1) -> Write:
    """UpdateItem."""
    if table is None:
        return UNLIMITED
    key = request["Key"]
    after = changed(table, memory.get(_id(table, key)), key, changes_of(request))
    return replace(_write(table, key, memory, after, each), size=0)  # the emulator knows its true size


def delete(table: TableSchema | None, key: Mapping[str, Any], memory: ItemMemory, each: float = 1) -> Write:
    """DeleteItem; what is not there costs one unit."""
    return _write(table, key, memory, None, each) if table else UNLIMITED


def check(table: TableSchema | None, key: Mapping[str, Any], memory: ItemMemory, each: float = 1) -> Write:
    """ConditionCheck: costs as a write of the item, and changes nothing."""
    if table is None:
        return UNLIMITED
    return replace(_write(table, key, memory, memory.get(_id(table, key)), each, indexed=False), item=None)


def actions(tables: Tables, request: Mapping[str, Any], memory: ItemMemory, most: int) -> list[Write]:
    """TransactWriteItems: every action costs twice."""
    writes = []
    for action in request["TransactItems"]:
        ((kind, content),) = action.items()
        table = tables[table_name(content["TableName"])]
        match kind:
            case "Put":
                writes.append(put(table, content["Item"], memory, most, TRANSACTIONAL))
            case "Update":
                writes.append(update(table, content, memory, TRANSACTIONAL))
            case "Delete":
                writes.append(delete(table, content["Key"], memory, TRANSACTIONAL))
            case _:
                writes.append(check(table, content["Key"], memory, TRANSACTIONAL))
    return writes


def batch(table: TableSchema | None, request: Mapping[str, Any], memory: ItemMemory, most: int) -> Write:
    """One request of a BatchWriteItem."""
    if "PutRequest" in request:
        return put(table, request["PutRequest"]["Item"], memory, most)
    return delete(table, request["DeleteRequest"]["Key"], memory)


def settle(writes: Iterable[Write], answer: Answer, limits: DynamoDBLimits, memory: ItemMemory, now: float) -> None:
    """Remember the items that were written; give back what was not used."""
    if answer.status == 200:
        for write in writes:
            if write.table and write.item and _is_worth_knowing(write.table, write.item, write.after, memory):
                memory.put(write.item, write.after)
        return
    kind = str(answer.document().get("__type", "")).rpartition("#")[2]
    first = 1 if kind in _CONDITION_FAILED else 0
    for write in writes:
        limits.give_back(Direction.WRITE, write.demands[first:], now)


def _is_worth_knowing(table: TableSchema, item: ItemId, after: Known | None, memory: ItemMemory) -> bool:
    """An item in no index that costs one unit is as one that is not known, unless it was another before."""
    return bool(table.indexes) or bool(after and after.size > WRITE_BYTES) or memory.get(item) is not None


def _write(
    table: TableSchema,
    item: Mapping[str, Any],
    memory: ItemMemory,
    after: Known | None,
    each: float,
    *,
    indexed: bool = True,
) -> Write:
    """Of its sizes before and after the larger one counts."""
    item_id = _id(table, item)
    before = memory.get(item_id)
    sizes = [known.size for known in (before, after) if known]
    size = max(sizes, default=ABSENT_SIZE)
    own = Demand(table.resource, item_id[1], each * write_units(size))
    indexes = index_demands(table, before, after) if indexed and table.indexes else ()
    return Write(table, (own, *indexes), item_id, after, after.size if after else 0)


def _id(table: TableSchema, item: Mapping[str, Any]) -> ItemId:
    """An item's identity.

    Raises:
        KeyError: it lacks its key.
    """
    key = table.keys.of(item)
    if key is None:
        raise KeyError(table.keys.hash)
    return (table.resource.table, *key)
