"""The emulator's state on disk: one SQLite file, brought up to date every second with what has changed (ADR 0020).

ministack writes all its state when it stops, and nothing before; a kill lost everything since the start. Here the items
of tables and the messages of queues are rows of their own, so that a save costs what has changed and not what there is.
Each save is one transaction over all services, taken between two requests: after a kill they agree with each other.
S3's objects are files, written before their PUT is answered; so the events of uploads that came after the last save are
fired again when the state is loaded.

Runs in the emulator's own process, in place of ministack's `_load_persisted_state` and `save_all`.
"""

from __future__ import annotations

import asyncio
import errno
import json
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias

import orjson

SAVE_SECONDS = 1.0
RECOVERY = "recovery.json"  # what the last start found; emulator.embedded reads it
_FORMAT = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS state (
    kind TEXT, part TEXT, key TEXT, value BLOB, PRIMARY KEY (kind, part, key)
)
"""
_TABLE_STORES = (
    *("tags", "ttl_settings", "pitr_settings", "kinesis_destinations", "contributor_insights"),
    *("backups", "resource_policies", "exports", "imports"),
)
_UNSAVED = frozenset({"items", "_index_members"})  # of a table's record: rows of their own, and what is derived
_LOG_BYTES = 8 * 1024 * 1024  # what SQLite's write-ahead log may keep on disk after it was big
_CREATED = "s3:ObjectCreated:Put"
_CLOCK_SECONDS = 0.1  # that an object's own time may be before its PUT

_MALFORMED = (ValueError, LookupError, TypeError, AttributeError)  # what ministack raises for a state of another form

Row: TypeAlias = tuple[str, str, str]
"""kind, part and key."""

log = logging.getLogger("state")


class StateError(RuntimeError):
    """The state cannot be loaded; what is on disk is left as it is. The process ends with `status`."""

    status = os.EX_DATAERR


class DiskFullError(StateError):
    """There is no room to open it."""

    status = os.EX_IOERR


@dataclass(slots=True)
class Changes:
    """Rows to write, rows to remove, and parts of a kind whose every row goes first."""

    written: dict[Row, bytes] = field(default_factory=dict)
    removed: set[Row] = field(default_factory=set)
    cleared: set[tuple[str, str]] = field(default_factory=set)

    def __bool__(self) -> bool:
        return bool(self.written or self.removed or self.cleared)


class StateFile:
    """A file of rows; each `write` is one transaction, so that a kill or a full disk leaves the state before it.

    Raises:
        StateError: it is damaged, or of a later version.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._ended = False
        try:
            self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            # Exclusive: no shared memory file, whose pages a full disk would turn into SIGBUS.
            for pragma in (
                *("locking_mode=EXCLUSIVE", "journal_mode=WAL", "synchronous=NORMAL"),
                f"journal_size_limit={_LOG_BYTES}",
            ):
                self._database.execute(f"PRAGMA {pragma}")
            found = self._database.execute("PRAGMA user_version").fetchone()[0]
            if found > _FORMAT:
                raise StateError(f"{path} was written by a later version of Shoebox (format {found}).")
            self.is_new = not found
            self._database.execute(_SCHEMA)
        except sqlite3.Error as error:
            raise _unusable(path, error) from error

    def rows(self, kind: str) -> Iterator[tuple[str, str, bytes]]:
        """Part, key and value of each row of a kind."""
        yield from self._database.execute("SELECT part, key, value FROM state WHERE kind = ?", (kind,))

    def write(self, changes: Changes) -> None:
        """Write all of it; sqlite3.Error when it cannot be, and then none of it is written.

        After `end` nothing is written: a thread that comes late brings what is older than the last changes.
        """
        with self._lock:
            if not self._ended:
                self._write(changes)

    def end(self, changes: Changes) -> None:
        """Write the last changes and close, with no write of another thread between; sqlite3.Error as above."""
        with self._lock:
            self._write(changes)
            self._ended = True
            self._database.close()

    def sync(self) -> None:
        """Have all that was written on the disk itself; `write` leaves that to the kernel for a while."""
        with self._lock:
            self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _write(self, changes: Changes) -> None:
        self._database.execute("BEGIN")
        try:
            self._database.executemany("DELETE FROM state WHERE kind = ? AND part = ?", changes.cleared)
            self._database.executemany("DELETE FROM state WHERE kind = ? AND part = ? AND key = ?", changes.removed)
            rows = ((*row, value) for row, value in changes.written.items())
            self._database.executemany("INSERT OR REPLACE INTO state VALUES (?, ?, ?, ?)", rows)
            if self.is_new:
                self._database.execute(f"PRAGMA user_version = {_FORMAT}")
            self._database.execute("COMMIT")
            self.is_new = False
        except BaseException:
            if self._database.in_transaction:  # SQLite itself has rolled back after some errors
                self._database.execute("ROLLBACK")
            raise


class StateKeeper:
    """Loads ministack's state from `folder`, and keeps it there while ministack serves.

    `on_saved` is told after each attempt: None when the state is on disk, or why it is not.
    """

    def __init__(self, folder: Path, on_saved: Callable[[str | None], None] = lambda _: None) -> None:
        self._folder = folder
        self._alive = folder / "alive"
        self._on_saved = on_saved
        self._items = ItemChanges()
        self._messages: dict[int, tuple[Any, ...]] = {}  # by id(message): the message, its row, its place, what changes
        self._places = 0
        self._records: dict[Row, bytes] = {}
        self._unwritten: Changes | None = None  # collected, and not known to be on disk
        self._saving: asyncio.Task[None] | None = None

    def install(self) -> None:
        """Take the place of ministack's own loading and saving."""
        from ministack import app
        from ministack.services import dynamodb

        app._load_persisted_state = self._load_or_end
        app.save_all = lambda _: self.close()
        self._items.watch(dynamodb)

    def load(self) -> None:
        """Load everything, and save what changes from now on.

        Raises:
            StateError: the state is there and cannot be read: better no start than an empty one, which would be saved.
        """
        path = self._folder / "state.db"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._file = StateFile(path)
            self._load()
        except (sqlite3.Error, OSError, *_MALFORMED) as error:
            raise _unusable(path, error) from error
        self._saving = asyncio.get_running_loop().create_task(self._save_regularly())
        self._saving.add_done_callback(self._note_end)

    def _load_or_end(self) -> None:
        """End with a status that `emulator.embedded` knows, and one line in the log instead of a traceback."""
        try:
            self.load()
        except StateError as error:
            log.error("%s", error)
            os._exit(error.status)

    def close(self) -> None:
        """Save what is left; the process ends with status EX_IOERR when that fails, and the former state is kept."""
        if self._saving:
            self._saving.cancel()
        try:
            changes = self._collect()
            changes.written["run", "", "ended"] = b"1"
            self._file.end(changes)
        except Exception as error:  # noqa: BLE001 - of any kind: uvicorn drops it, and ends as if all had been saved
            log.error("The state could not be saved: %r. That of the last save is kept.", error)
            os._exit(os.EX_IOERR)

    # Loading

    def _load(self) -> None:
        cut_off = not self._file.is_new and not any(key == "ended" for _, key, _ in self._file.rows("run"))
        saved_at = self._alive.stat().st_mtime if self._alive.exists() else None
        if self._file.is_new:
            former = self._load_former()
            self._file.write(self._collect())
            self._file.sync()
            for path in former:  # not removed: the only copy of what ministack may have left out when it loaded them
                path.replace(path.with_name(f"{path.name}.former"))
        else:
            self._load_services()
        fired, others = self._fire_again(self._last_save()) if cut_off else (0, 0)
        found = {"cut_off": cut_off, "saved_at": saved_at, "uploads_again": fired, "other_objects": others}
        (self._folder / RECOVERY).write_bytes(orjson.dumps({**found, "started_at": time.time()}))
        self._file.write(Changes(removed={("run", "", "ended")}))
        self._alive.touch()

    def _load_former(self) -> list[Path]:
        """Load the files of a version before this one, if there are any, and return their paths.

        ministack's own loading takes a file that it cannot read, or not use, for one that is not there.
        """
        from ministack import app
        from ministack.core import persistence

        files = {key: self._folder / f"{key}.json" for key in app._state_map}
        files = {key: path for key, path in files.items() if path.exists()}
        for key, path in files.items():
            try:
                if (state := persistence.load_state(key)) is None:
                    raise ValueError("no state in it")
                if state:
                    app._get_module(app._state_map[key]).load_persisted_state(state)
            except _MALFORMED as error:
                text = f"{path}, which an earlier version of Shoebox wrote, cannot be read: {error!r}."
                raise StateError(text) from error
        return list(files.values())

    def _load_services(self) -> None:
        from ministack import app
        from ministack.core import persistence

        states = {
            key: json.loads(value, object_hook=persistence._json_object_hook)
            for _, key, value in self._file.rows("service")
        }
        self._fill_tables(states.get("dynamodb", {}))
        self._fill_queues(states.get("sqs", {}))
        for key, state in states.items():
            app._get_module(app._state_map[key]).load_persisted_state(state)
        self._collect()  # what was loaded is what is saved
        self._items.forget()

    def _fill_tables(self, state: dict[str, Any]) -> None:
        from ministack.services.dynamodb import _extract_key_val

        tables = {_part(scope): table for scope, table in _scoped(state.get("tables"))}
        for table in tables.values():
            table["items"] = {}
        for part, _, value in self._file.rows("item"):
            table, item = tables[part], orjson.loads(value)
            sort = _extract_key_val(item.get(table["sk_name"])) if table["sk_name"] else "__no_sort__"
            table["items"].setdefault(_extract_key_val(item.get(table["pk_name"])), {})[sort] = item

    def _fill_queues(self, state: dict[str, Any]) -> None:
        queues = {_part(scope): queue for scope, queue in _scoped(state.get("queues"))}
        for queue in queues.values():
            queue["messages"] = []
        rows = ((*orjson.loads(value), part, key) for part, key, value in self._file.rows("message"))
        for place, message, part, key in sorted(rows, key=lambda row: row[0]):
            queues[part]["messages"].append(message)
            self._note(message, ("message", part, key), place)
            self._places = place

    # Saving

    async def _save_regularly(self) -> None:
        while True:
            await asyncio.sleep(SAVE_SECONDS)
            await self.save()

    async def save(self) -> None:
        """Save what has changed since the last save; what cannot be saved is tried again with the next one."""
        at = time.time()
        changes = self._collect()
        try:
            if changes:
                changes.written["run", "", "saved"] = str(at).encode()
                self._unwritten = changes
                await asyncio.to_thread(self._file.write, changes)
                self._unwritten = None
            os.utime(self._alive, (at, at))
        except (sqlite3.Error, OSError) as error:
            log.error("The state could not be saved: %s", error)
            self._on_saved(str(error))
        else:
            self._on_saved(None)

    def _note_end(self, saving: asyncio.Task[None]) -> None:
        """A fault of ours: nothing is saved from now on, and whoever writes must learn that."""
        if not saving.cancelled() and (error := saving.exception()):
            log.error("The state is not saved any more.", exc_info=error)
            self._on_saved(repr(error))

    def _collect(self) -> Changes:
        """What differs from the last collection, and what of that one is not on disk."""
        changes = Changes()
        if late := self._unwritten:  # copied: a thread may be at it
            changes = Changes(dict(late.written), set(late.removed), set(late.cleared))
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
            if state is not None and self._records.get(row) != (value := _json(state)):
                self._records[row] = changes.written[row] = value

    def _collect_items(self, changes: Changes) -> None:
        from ministack.services import dynamodb

        tables = {_part(scope): table for scope, table in _scoped(dynamodb._tables)}
        for part in self._items.gone(tables):
            _clear(changes, "item", part)
        for part, table in tables.items():
            whole, items = self._items.take(part, table)
            if whole:
                _clear(changes, "item", part)
            for key, item in items:
                row = ("item", part, repr(key))
                if item is None:
                    changes.written.pop(row, None)
                    changes.removed.add(row)
                else:
                    changes.removed.discard(row)
                    changes.written[row] = _json(item)

    def _collect_messages(self, changes: Changes) -> None:
        from ministack.services import sqs

        former, self._messages = self._messages, {}
        for scope, queue in _scoped(sqs._queues):
            part = ""
            for message in queue["messages"]:
                known = former.pop(id(message), None)
                if known is not None and known[3:] == _changing(message):
                    self._messages[id(message)] = known
                    continue
                part = part or _part(scope)
                self._places += known is None
                row = known[1] if known else ("message", part, message["id"])
                place = known[2] if known else self._places
                changes.written[row] = _json([place, message])
                self._note(message, row, place)
        kept = {row for _, row, *_ in self._messages.values()} if former else set()
        for _, row, *_ in former.values():
            if row not in kept:  # else the message is there as another object, written above
                changes.written.pop(row, None)
                changes.removed.add(row)

    def _note(self, message: dict[str, Any], row: Row, place: int) -> None:
        self._messages[id(message)] = (message, row, place, *_changing(message))

    # After a kill

    def _last_save(self) -> float:
        return max((float(value) for _, key, value in self._file.rows("run") if key == "saved"), default=0.0)

    def _fire_again(self, since: float) -> tuple[int, int]:
        """Fire the events of objects newer than the last save; S3, too, may deliver an event twice.

        Return how many objects have one, and how many have none: renditions, whose item may be lost.
        """
        from ministack.core.responses import _request_account_id
        from ministack.services import s3

        from emulator.server.tuning import targets

        fired = others = 0
        oldest = datetime.fromtimestamp(since - _CLOCK_SECONDS, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]
        for (account, bucket), record in _scoped(s3._buckets):
            raw = s3._bucket_notifications._data.get((account, bucket))
            newer = [(key, each) for key, each in record["objects"].items() if each["last_modified"] >= oldest]
            token = _request_account_id.set(account)
            for key, each in newer:
                if raw and targets(raw, key, _CREATED):
                    s3._fire_s3_event_async(bucket, key, _CREATED, size=each["size"], etag=each["etag"])
                    fired += 1
                else:
                    others += 1
            _request_account_id.reset(token)
        return fired, others


class ItemChanges:
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
        """What has changed since it was last asked for; whether that is the whole table."""
        items = table["items"]
        changed = self._changed.pop(id(items), {})
        if self._known.get(part) is items:
            return False, changed.items()
        self._known[part] = items
        return True, (((pk, sk), item) for pk, rows in items.items() for sk, item in rows.items())

    def gone(self, tables: Iterable[str]) -> list[str]:
        """Tables that were there, and are not any more."""
        gone = [part for part in self._known if part not in tables]
        for part in gone:
            del self._known[part]
        return gone

    def forget(self) -> None:
        """What has changed is saved."""
        self._changed.clear()


def _changing(message: dict[str, Any]) -> tuple[Any, ...]:
    """What a message's life changes in it."""
    return message.get("receipt_handle"), message.get("visible_at"), message.get("receive_count")


def _clear(changes: Changes, kind: str, part: str) -> None:
    changes.cleared.add((kind, part))
    for row in [row for row in changes.written if row[:2] == (kind, part)]:
        del changes.written[row]


def _scoped(store: Any) -> list[tuple[tuple[str, ...], Any]]:
    """All of a store's entries, whatever account and region they belong to."""
    return list(store._data.items()) if store is not None else []


def _part(scope: tuple[str, ...]) -> str:
    return " ".join(scope)


def _tables_state() -> dict[str, Any]:
    """DynamoDB's state as ministack saves it, without the items."""
    from ministack.core.responses import AccountRegionScopedDict
    from ministack.services import dynamodb

    tables = AccountRegionScopedDict()
    for scope, table in _scoped(dynamodb._tables):
        tables._data[scope] = {name: value for name, value in table.items() if name not in _UNSAVED}
    return {"tables": tables} | {name: getattr(dynamodb, f"_{name}") for name in _TABLE_STORES}


def _queues_state() -> dict[str, Any]:
    """SQS's state as ministack saves it, without the messages."""
    from ministack.core.responses import AccountRegionScopedDict
    from ministack.services import sqs

    queues = AccountRegionScopedDict()
    for scope, queue in _scoped(sqs._queues):
        queues._data[scope] = {name: value for name, value in queue.items() if name != "messages"}
    return {"queues": queues}


def _unusable(path: Path, error: Exception) -> StateError:
    """What to raise for an error while the state is loaded."""
    file = getattr(error, "filename", None) or path
    number = getattr(error, "errno", None)
    if number in (errno.ENOSPC, errno.EDQUOT) or getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
        return DiskFullError(f"{file} cannot be written: the disk is full.")
    return StateError(f"{file} cannot be read: {error if isinstance(error, sqlite3.Error | OSError) else repr(error)}.")


def _json(value: Any) -> bytes:
    """JSON that ministack's own hook reads back."""
    from ministack.core import persistence

    try:
        return orjson.dumps(value, default=persistence._json_default)
    except TypeError:  # what orjson does not take and json does: lone surrogates, huge numbers
        return json.dumps(value, default=persistence._json_default).encode()
