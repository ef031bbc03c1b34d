"""What a read wants of which partition, and what its answer shows that it cost.

The least that it can cost is taken before; the rest is known from the answer, and charged then: it may leave a debt,
which refuses the next. Source: "DynamoDB read and write operations", "Capacity unit consumption for read operations".

A filter hides what it read: bytes are scaled by ScannedCount / Count. Attributes that a projection leaves out, and
pages that a filter empties, cannot be seen and are not charged, unless the answer has ConsumedCapacity.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from emulator.limiter.exchange import Answer
from emulator.limiter.memory import ItemId, ItemMemory, known_of
from emulator.limiter.schemas import TableSchema, table_name
from emulator.limiter.updates import partition_of
from emulator.limiter.writes import Tables
from fleet.limits.capacity import EVENTUAL, READ_BYTES, STRONG, TRANSACTIONAL, item_size, read_units
from fleet.limits.dynamodb import Demand, Direction, DynamoDBLimits


@dataclass(frozen=True, slots=True)
class Read:
    """A read of one item, or a Query or Scan; `each` is the cost of 4 KB. `table` is None where nothing is limited."""

    table: TableSchema | None = None
    demands: tuple[Demand, ...] = ()
    each: float = EVENTUAL
    item: ItemId | None = None
    whole: bool = True


UNLIMITED = Read()


def get(table: TableSchema | None, key: Mapping[str, Any], request: Mapping[str, Any], each: float = 0) -> Read:
    """A read of one item; `request` says how consistent, and whether the whole item is wanted."""
    if table is None:
        return UNLIMITED
    values = table.keys.of(key)
    if values is None:
        raise KeyError(table.keys.hash)
    each = each or _each(request)
    whole = "ProjectionExpression" not in request and "AttributesToGet" not in request
    return Read(table, (Demand(table.resource, values[0], each),), each, (table.resource.table, *values), whole)


def gets(tables: Tables, request: Mapping[str, Any]) -> list[Read]:
    """TransactGetItems."""
    items = [item["Get"] for item in request["TransactItems"]]
    return [get(tables[table_name(item["TableName"])], item["Key"], item, TRANSACTIONAL) for item in items]


def search(table: TableSchema | None, request: Mapping[str, Any]) -> Read:
    """Query and Scan, of the table or one of its indexes; a Scan is spread over all partitions."""
    if table is None:
        return UNLIMITED
    index = table.index(request.get("IndexName"))
    resource, keys = (index.resource, index.keys) if index else (table.resource, table.keys)
    each = _each(request)
    return Read(table, (Demand(resource, partition_of(request, keys.hash), each),), each)


def settle_items(
    found: Iterable[tuple[Read, Mapping[str, Any] | None]], limits: DynamoDBLimits, memory: ItemMemory, now: float
) -> None:
    """Charge what each item cost beyond the least, and remember it."""
    for read, item in found:
        if item is None or read.table is None:
            continue
        size = item_size(item)
        _charge(read, size, limits, now)
        if read.item and read.whole and read.table.indexes:
            memory.put(read.item, known_of(read.table, item, size))


def settle_search(read: Read, answer: Answer, limits: DynamoDBLimits, now: float) -> None:
    """Charge what a page cost beyond the least."""
    document = answer.document()
    consumed = document.get("ConsumedCapacity", {}).get("CapacityUnits")
    if consumed is not None:
        _charge_units(read, consumed - read.each, limits, now)
        return
    count, scanned = document.get("Count", 0), document.get("ScannedCount", 0)
    if answer.size <= READ_BYTES and count == scanned:
        return
    size = sum(map(item_size, document.get("Items", ())))
    _charge(read, size * scanned / count if count else size, limits, now)


def give_back(reads: Iterable[Read], limits: DynamoDBLimits, now: float) -> None:
    """A read that failed costs nothing."""
    for read in reads:
        limits.give_back(Direction.READ, read.demands, now)


def must_look(reads: Iterable[Read], answer: Answer, memory: ItemMemory) -> bool:
    """Whether an answer can tell something: one that is small costs the least, and its items may be known."""
    if answer.size > READ_BYTES:
        return True
    return any(r.table and r.table.indexes and r.whole and r.item and not memory.get(r.item) for r in reads)


def _each(request: Mapping[str, Any]) -> float:
    return STRONG if request.get("ConsistentRead") else EVENTUAL


def _charge(read: Read, size: float, limits: DynamoDBLimits, now: float) -> None:
    _charge_units(read, read_units(size, read.each) - read.each, limits, now)


def _charge_units(read: Read, units: float, limits: DynamoDBLimits, now: float) -> None:
    if units > 0 and read.demands:
        limits.charge(Direction.READ, [read.demands[0]._replace(units=units)], now)
