"""What has changed in ministack's state since it was last collected.

Items of tables and messages of queues are rows of their own; the rest of a service is one row.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, NamedTuple, TypeAlias

import orjson

from emulator.server.state_file import Changes, Row

_TABLE_STORES = (
    *("tags", "ttl_settings", "pitr_settings", "kinesis_destinations", "contributor_insights"),
    *("backups", "resource_policies", "exports", "imports"),
)
_NOT_IN_TABLE_ROW = frozenset({"items", "_index_members"})  # rows of their own, and what is derived

Message: TypeAlias = dict[str, Any]


class _SavedMessage(NamedTuple):
    """A message of a queue as it was last collected: its row, its place in the queue, and what changes in its life.

    `message` keeps the object alive, so that its id() is not given to another one.
    """

    message: Message
    row: Row
    place: int
    changing: tuple[Any, ...]


class ChangeCollector:
    """Finds the rows that differ from the last collection."""

    def __init__(self) -> None:
        self._items = _ItemChanges()
        self._messages: dict[int, _SavedMessage] = {}  # by id(message)
        self._last_place = 0
        self._service_rows: dict[Row, bytes] = {}

    def install(self) -> None:
        """Be told of each item that ministack writes or removes from now on."""
        from ministack.services import dynamodb

        self._items.watch(dynamodb)

    def start(self) -> None:
        """Take what was loaded for what is saved."""
        self.collect(Changes())
        self._items.forget()

    def note_message(self, message: Message, row: Row, place: int) -> None:
        """Take a message for saved in a row, at a place in its queue; later ones get higher places."""
        self._messages[id(message)] = _SavedMessage(message, row, place, _changing(message))
        self._last_place = max(self._last_place, place)

    def collect(self, changes: Changes) -> Changes:
        """Add what has changed since the last collection, and return the changes."""
        self._collect_services(changes)
        self._collect_items(changes)
        self._collect_messages(changes)
        changes.removed -= changes.written.keys()
        return changes

    def _collect_services(self, changes: Changes) -> None:
        from ministack import app

        states = app._build_persistence_save_dict()
        states |= {"dynamodb": _tables_state, "sqs": _queues_state}
        for key, get_state in states.items():
            row, state = ("service", "", key), get_state()
            if state is not None and self._service_rows.get(row) != (value := to_json(state)):
                self._service_rows[row] = changes.written[row] = value

    def _collect_items(self, changes: Changes) -> None:
        from ministack.services import dynamodb

        tables = {part_of(scope): table for scope, table in scoped(dynamodb._tables)}
        for part in self._items.take_dropped(tables):
            changes.clear("item", part)
        for part, table in tables.items():
            whole, items = self._items.take(part, table)
            if whole:
                changes.clear("item", part)
            for key, item in items:
                row = ("item", part, repr(key))
                if item is None:
                    changes.remove(row)
                else:
                    changes.write(row, to_json(item))

    def _collect_messages(self, changes: Changes) -> None:
        from ministack.services import sqs

        former, self._messages = self._messages, {}
        for scope, queue in scoped(sqs._queues):
            part = ""
            for message in queue["messages"]:
                saved = former.pop(id(message), None)
                if saved is not None and saved.changing == _changing(message):
                    self._messages[id(message)] = saved
                    continue
                part = part or part_of(scope)
                row = saved.row if saved else ("message", part, message["id"])
                place = saved.place if saved else self._last_place + 1
                changes.written[row] = to_json([place, message])
                self.note_message(message, row, place)
        if former:
            kept = {saved.row for saved in self._messages.values()}
            for saved in former.values():
                if saved.row not in kept:  # else the message is there as another object, written above
                    changes.remove(saved.row)


class _ItemChanges:
    """Which items of ministack's tables were written or removed; items are replaced by a write, never changed."""

    def __init__(self) -> None:
        self._changed: dict[int, dict[tuple[str, str], Any]] = {}  # by id(table's items)
        self._known: dict[str, Any] = {}  # by part: the items' dict, which is replaced as a whole by a restore

    def watch(self, dynamodb: Any) -> None:
        """Be told of each write and removal; all of ministack's go through these two functions."""
        set_item, remove_item = dynamodb._set_item, dynamodb._remove_item

        def set_and_note(table: dict[str, Any], pk: str, sk: str, item: dict[str, Any]) -> Any:
            self._changed.setdefault(id(table["items"]), {})[pk, sk] = item
            return set_item(table, pk, sk, item)

        def remove_and_note(table: dict[str, Any], pk: str, sk: str) -> Any:
            self._changed.setdefault(id(table["items"]), {})[pk, sk] = None
            return remove_item(table, pk, sk)

        dynamodb._set_item, dynamodb._remove_item = set_and_note, remove_and_note

    def take(self, part: str, table: dict[str, Any]) -> tuple[bool, Iterable[tuple[tuple[str, str], Any]]]:
        """Return whether all of a table is new, and the items that have changed since the last time; None: removed."""
        items = table["items"]
        changed = self._changed.pop(id(items), {})
        if self._known.get(part) is items:
            return False, changed.items()
        self._known[part] = items
        return True, (((pk, sk), item) for pk, rows in items.items() for sk, item in rows.items())

    def take_dropped(self, tables: Iterable[str]) -> list[str]:
        """Return the tables that were there the last time, and are not any more."""
        dropped = [part for part in self._known if part not in tables]
        for part in dropped:
            del self._known[part]
        return dropped

    def forget(self) -> None:
        """Take what has changed for saved."""
        self._changed.clear()


def _changing(message: Message) -> tuple[Any, ...]:
    """Return what a message's life changes in it."""
    return message.get("receipt_handle"), message.get("visible_at"), message.get("receive_count")


def scoped(store: Any) -> list[tuple[tuple[str, ...], Any]]:
    """Return all of a store's entries, whatever account and region they belong to."""
    return list(store._data.items()) if store is not None else []


def part_of(scope: tuple[str, ...]) -> str:
    """Return the part under which rows of an account, region and name are saved."""
    return " ".join(scope)


def _tables_state() -> dict[str, Any]:
    """Return DynamoDB's state as ministack saves it, without the items."""
    from ministack.core.responses import AccountRegionScopedDict
    from ministack.services import dynamodb

    tables = AccountRegionScopedDict()
    for scope, table in scoped(dynamodb._tables):
        tables._data[scope] = {name: value for name, value in table.items() if name not in _NOT_IN_TABLE_ROW}
    return {"tables": tables} | {name: getattr(dynamodb, f"_{name}") for name in _TABLE_STORES}


def _queues_state() -> dict[str, Any]:
    """Return SQS's state as ministack saves it, without the messages."""
    from ministack.core.responses import AccountRegionScopedDict
    from ministack.services import sqs

    queues = AccountRegionScopedDict()
    for scope, queue in scoped(sqs._queues):
        queues._data[scope] = {name: value for name, value in queue.items() if name != "messages"}
    return {"queues": queues}


def to_json(value: Any) -> bytes:
    """Return JSON that ministack's own hook reads back."""
    from ministack.core import persistence

    try:
        return orjson.dumps(value, default=persistence._json_default)
    except TypeError:  # what orjson does not take and json does: lone surrogates, huge numbers
        return json.dumps(value, default=persistence._json_default).encode()
