"""Capacity units that a read needs of each partition, and what its response shows that it used.

The minimum that a read can cost is taken before; the rest is known from the response, and charged then, which may leave
a debt that refuses the next one. Source: "DynamoDB read and write operations", "Capacity unit consumption for read
operations".

A filter hides what it read: bytes are scaled by ScannedCount / Count. Attributes that a projection leaves out, and
pages that a filter empties, cannot be seen and are not charged, unless the response has ConsumedCapacity.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from emulator.limiter.forwarding import RecordedResponse
from emulator.limiter.tables import ItemId, ItemMemory, TableSchema, known_item, table_name, text_of
from emulator.limiter.writes import Tables
from fleet.limits.capacity import EVENTUAL, READ_BYTES, STRONG, TRANSACTIONAL, item_size, read_units
from fleet.limits.dynamodb import Demand, Direction, DynamoDBLimits

_EQUAL = re.compile(r"(?<![\w#:.\])-])(#?[A-Za-z_][\w-]*)\s*=\s*(:\w+)")


@dataclass(frozen=True, slots=True)
class Read:
    """A read of one item, or a Query or Scan.

    `unit_cost` is what 4 KB cost; `whole` tells that no attribute is left out. `table` is None where nothing is
    limited.
    """

    table: TableSchema | None = None
    demands: tuple[Demand, ...] = ()
    unit_cost: float = EVENTUAL
    item: ItemId | None = None
    whole: bool = True


UNLIMITED = Read()


def get(table: TableSchema | None, key: Mapping[str, Any], request: Mapping[str, Any], unit_cost: float = 0) -> Read:
    """Plan the read of one item; `request` says how consistent it is, and whether the whole item is read.

    Raises:
        KeyError: the key lacks an attribute.
    """
    if table is None:
        return UNLIMITED
    values = table.keys.of(key)
    if values is None:
        raise KeyError(table.keys.hash)
    unit_cost = unit_cost or _unit_cost(request)
    whole = "ProjectionExpression" not in request and "AttributesToGet" not in request
    demand = Demand(table.resource, values[0], unit_cost)
    return Read(table, (demand,), unit_cost, (table.resource.table, *values), whole)


def transaction(tables: Tables, request: Mapping[str, Any]) -> list[Read]:
    """Plan TransactGetItems."""
    items = [item["Get"] for item in request["TransactItems"]]
    return [get(tables[table_name(item["TableName"])], item["Key"], item, TRANSACTIONAL) for item in items]


def search(table: TableSchema | None, request: Mapping[str, Any]) -> Read:
    """Plan a Query or Scan of the table or one of its indexes; a Scan is spread over all partitions."""
    if table is None:
        return UNLIMITED
    index = table.index(request.get("IndexName"))
    resource, keys = (index.resource, index.keys) if index else (table.resource, table.keys)
    unit_cost = _unit_cost(request)
    return Read(table, (Demand(resource, partition_of(request, keys.hash), unit_cost),), unit_cost)


def _unit_cost(request: Mapping[str, Any]) -> float:
    return STRONG if request.get("ConsistentRead") else EVENTUAL


def partition_of(request: Mapping[str, Any], attribute: str) -> str | None:
    """Return the value of a partition key that a Query names; None if it cannot be told."""
    if condition := request.get("KeyConditions", {}).get(attribute):
        return text_of(condition["AttributeValueList"][0])
    names, values = request.get("ExpressionAttributeNames", {}), request.get("ExpressionAttributeValues", {})
    for name, value in _equalities(request.get("KeyConditionExpression", "")):
        if names.get(name, name) == attribute and value in values:
            return text_of(values[value])
    return None


@lru_cache(maxsize=1024)
def _equalities(expression: str) -> tuple[tuple[str, str], ...]:
    return tuple(_EQUAL.findall(expression))


def give_back(reads: Iterable[Read], limits: DynamoDBLimits, now: float) -> None:
    """Return what was taken for a read that failed, which costs nothing."""
    for read in reads:
        limits.give_back(Direction.READ, read.demands, now)


def must_parse(reads: Iterable[Read], response: RecordedResponse, memory: ItemMemory) -> bool:
    """Tell whether the response of GetItem or a batch shows anything new.

    A small one costs the minimum, and its items may be known already: then parsing it would be CPU for nothing.
    """
    if response.size > READ_BYTES:
        return True
    return any(r.table and r.table.indexes and r.whole and r.item and not memory.get(r.item) for r in reads)


def settle_items(
    found: Iterable[tuple[Read, Mapping[str, Any] | None]], limits: DynamoDBLimits, memory: ItemMemory, now: float
) -> None:
    """Charge what each item cost beyond the minimum, and remember it."""
    for read, item in found:
        if item is None or read.table is None:
            continue
        size = item_size(item)
        _charge(read, read_units(size, read.unit_cost), limits, now)
        if read.item and read.whole and read.table.indexes:
            memory.put(read.item, known_item(read.table, item, size))


def settle_search(read: Read, response: RecordedResponse, limits: DynamoDBLimits, now: float) -> None:
    """Charge what a page of a Query or Scan cost beyond the minimum."""
    document = response.document()
    consumed = document.get("ConsumedCapacity", {}).get("CapacityUnits")
    if consumed is None:
        count, scanned = document.get("Count", 0), document.get("ScannedCount", 0)
        if response.size <= READ_BYTES and count == scanned:
            return
        size = sum(map(item_size, document.get("Items", ())))
        consumed = read_units(size * scanned / count if count else size, read.unit_cost)
    _charge(read, consumed, limits, now)


def _charge(read: Read, units: float, limits: DynamoDBLimits, now: float) -> None:
    more = units - read.unit_cost
    if more > 0 and read.demands:
        limits.charge(Direction.READ, [read.demands[0]._replace(units=more)], now)
