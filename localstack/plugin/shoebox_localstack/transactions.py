"""moto's transactions without copies of whole tables, and its models without a list of all that ever were.

For its rollback moto 5.1 deep-copies each table that a transaction names, once for each of the transaction's items.
Here the items that it names are noted before it runs, and put back if it fails. Whoever calls this holds the lock
(providers.py), so one transaction runs at a time.

moto also lists every instance of each of its models for as long as the process lives, for a dashboard that LocalStack
does not have: each item that was ever stored, and a copy of it for each time that it was updated or found by a query.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

from moto.core.common_models import BaseModel
from moto.dynamodb.models import DynamoDBBackend, Table
from moto.dynamodb.models.dynamo_type import DynamoType, Item


def list_no_instances() -> None:
    """Let moto's models go when nothing else holds them."""
    BaseModel.__new__ = lambda cls, *_, **__: object.__new__(cls)


def undo_instead_of_copying() -> None:
    """Change moto's transactions so, once."""
    run = DynamoDBBackend.transact_write_items

    def transact_write_items(self: DynamoDBBackend, transact_items: list[dict[str, Any]]) -> None:
        noted = _Noted.before(self, transact_items)
        Table.__deepcopy__ = lambda table, _: table  # what moto puts back is the table itself
        try:
            run(self, transact_items)
        except BaseException:
            noted.put_back()
            raise
        finally:
            del Table.__deepcopy__

    DynamoDBBackend.transact_write_items = transact_write_items


@dataclass(frozen=True, slots=True)
class _Noted:
    """Copies of the items that a transaction names, None where there is none, and how long each table's stream is."""

    items: list[tuple[Table, DynamoType, DynamoType | None, Item | None]]
    streams: list[tuple[Table, int]]

    @classmethod
    def before(cls, backend: DynamoDBBackend, transact_items: list[dict[str, Any]]) -> _Noted:
        """Read them; an operation that names no item of a table is moto's to refuse."""
        items = []
        for operation in [operation for item in transact_items for operation in item.values()]:
            table = backend.tables.get(operation.get("TableName"))
            key = operation.get("Item") or operation.get("Key") or {}
            if table is not None and set(table.table_key_attrs) <= key.keys():
                hash_key = DynamoType(key[table.hash_key_attr])
                range_key = DynamoType(key[table.range_key_attr]) if table.range_key_attr else None
                items.append((table, hash_key, range_key, copy.deepcopy(table.get_item(hash_key, range_key))))
        streams = {table.name: (table, len(table.stream_shard.items)) for table, *_ in items if table.stream_shard}
        return cls(items, list(streams.values()))

    def put_back(self) -> None:
        """Make the tables what they were."""
        for table, hash_key, range_key, item in self.items:
            stored, key = (table.items, hash_key) if range_key is None else (table.items[hash_key], range_key)
            if item is None:
                stored.pop(key, None)
            else:
                stored[key] = item
        for table, length in self.streams:
            del table.stream_shard.items[length:]
