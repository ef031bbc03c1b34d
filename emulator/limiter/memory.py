"""What is known of items: their size, and where the indexes have them. An UpdateItem tells neither.

Bounded: the items used last are known. An unknown one is taken for new and small, so the limits err to the mild side.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

from emulator.limiter.schemas import IndexSchema, TableSchema
from fleet.limits.capacity import WRITE_BYTES, Item, item_size, write_units
from fleet.limits.dynamodb import Demand

MOST_ITEMS = 50_000  # about 28 MB

IndexKey: TypeAlias = tuple[str, str] | None
ItemId: TypeAlias = tuple[str, str, str]


class Known(NamedTuple):
    """An item: its bytes, and its key in each of the table's indexes, None where it is not in one."""

    size: int
    index_keys: tuple[IndexKey, ...]


ABSENT_SIZE = 0


class ItemMemory:
    """The items that were used last."""

    def __init__(self, most: int = MOST_ITEMS) -> None:
        self._most = most
        self._items: dict[ItemId, Known] = {}

    def __len__(self) -> int:
        """How many are known."""
        return len(self._items)

    def get(self, item: ItemId) -> Known | None:
        """What is known of an item."""
        return self._items.get(item)

    def put(self, item: ItemId, known: Known | None) -> None:
        """Remember; None forgets. The one that was put longest ago makes room."""
        self._items.pop(item, None)
        if known is None:
            return
        if len(self._items) >= self._most:
            del self._items[next(iter(self._items))]
        self._items[item] = known

    def forget(self, table: str) -> None:
        """The table has other indexes now, or is gone."""
        self._items = {item: known for item, known in self._items.items() if item[0] != table}


def known_of(table: TableSchema, item: Item, size: int | None = None) -> Known:
    """What a whole item tells; its size may be known already."""
    return Known(item_size(item) if size is None else size, tuple(index.keys.of(item) for index in table.indexes))


def changed(table: TableSchema, before: Known | None, key: Item, changes: Mapping[str, Mapping[str, Any]]) -> Known:
    """An item after an update.

    Its size is the larger of what it was and what the update itself holds: the true one cannot be told without the
    item, and adding up would let a counter grow for ever.
    """
    size = max(before.size if before else ABSENT_SIZE, item_size(key) + item_size(changes))
    former = before.index_keys if before else (None,) * len(table.indexes)
    keys = tuple(_moved(index, was, {**key, **changes}) for index, was in zip(table.indexes, former, strict=True))
    return Known(size, keys)


def _moved(index: IndexSchema, was: IndexKey, told: Item) -> IndexKey:
    """The key in an index after an update, from what it tells and what was known."""
    names = (index.keys.hash, index.keys.range)
    if not any(name in told for name in names if name):
        return was
    values: dict[str, Mapping[str, Any]] = {}
    for name, former in zip(names, was or (None, None), strict=True):
        if name and name in told:
            values[name] = told[name]
        elif name and former is not None:
            values[name] = {"": former}
    return index.keys.of(values)


def index_demands(table: TableSchema, before: Known | None, after: Known | None) -> list[Demand]:
    """What a write costs on the indexes ("Using Global Secondary Indexes in DynamoDB", "Write capacity units").

    One write to put, replace or delete an entry, two if its key changes: one deletes, one puts. An index that does not
    project all attributes has entries of at most 1 KB here.
    """
    demands: list[Demand] = []
    for number, index in enumerate(table.indexes):
        was, now = (state.index_keys[number] if state else None for state in (before, after))
        if was and was != now:
            demands.append(Demand(index.resource, was[0], _entry_units(index, before)))
        if now:
            larger = before if was == now and before and after and before.size > after.size else after
            demands.append(Demand(index.resource, now[0], _entry_units(index, larger)))
    return demands


def _entry_units(index: IndexSchema, item: Known | None) -> int:
    size = item.size if item else ABSENT_SIZE
    return write_units(size if index.whole else min(size, WRITE_BYTES))
