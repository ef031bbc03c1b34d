"""moto's transactions without a copy of the whole table.

For its rollback moto 5.1 deep-copies each table that a transaction names, once for each of its items: with some
hundreds of items stored that takes longer than all else together. Here only the items that it touches are copied.
Whoever calls this holds the lock (providers.py), so one transaction runs at a time.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from moto.dynamodb.models import DynamoDBBackend, Table
from moto.dynamodb.models.dynamo_type import DynamoType

_touched: dict[str, set[DynamoType]] = {}
"""Hash keys by table of the transaction that runs; empty outside of one."""


def copy_what_is_touched() -> None:
    """Change moto so, once."""
    run = DynamoDBBackend.transact_write_items

    def transact_write_items(self: DynamoDBBackend, transact_items: list[dict[str, Any]]) -> None:
        with _touching(self, transact_items):
            run(self, transact_items)

    DynamoDBBackend.transact_write_items = transact_write_items
    Table.__deepcopy__ = _copied


@contextmanager
def _touching(backend: DynamoDBBackend, transact_items: list[dict[str, Any]]) -> Iterator[None]:
    for operation in [operation for item in transact_items for operation in item.values()]:
        table = backend.tables.get(operation.get("TableName"))
        attributes = operation.get("Item") or operation.get("Key") or {}
        if table is not None and table.hash_key_attr in attributes:
            _touched.setdefault(table.name, set()).add(DynamoType(attributes[table.hash_key_attr]))
    try:
        yield
    finally:
        _touched.clear()


def _copied(table: Table, memo: dict[int, Any]) -> Table:
    """The whole table, as ever, where no transaction runs; in one a table that shares what is not touched."""
    if table.name not in _touched:
        whole = memo[id(table)] = table.__class__.__new__(table.__class__)
        whole.__dict__.update(copy.deepcopy(table.__dict__, memo))
        return whole
    kept = copy.copy(table)
    kept.items = copy.copy(table.items)
    for key in _touched[table.name] & table.items.keys():
        kept.items[key] = copy.deepcopy(table.items[key])
    if table.stream_shard is not None:
        kept.stream_shard = copy.copy(table.stream_shard)
        kept.stream_shard.items = list(table.stream_shard.items)
    return kept
