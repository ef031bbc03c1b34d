"""The emulator's state on disk: one SQLite file, updated every second with what has changed (ADR 0020).

ministack writes all its state when it stops, and nothing before; a kill lost everything since the start. Here the items
of tables and the messages of queues are rows of their own, so that a save costs what has changed and not what there is.
Each save is one transaction over all services, taken between two requests: after a kill they agree with each other.
S3's objects are files, written before their PUT is answered; so the events of uploads that came after the last save are
fired again when the state is loaded.

Runs in the emulator's own process, in place of ministack's `_load_persisted_state` and `save_all`.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sqlite3
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import orjson

from emulator.server.state_changes import ChangeCollector, part_of, scoped
from emulator.server.state_file import Changes, StateError, StateFile, unusable

SAVE_SECONDS = 1.0
RECOVERY = "recovery.json"  # what the last start found; emulator.embedded reads it
_CREATED = "s3:ObjectCreated:Put"
_CLOCK_SECONDS = 0.1  # that an object's own time may be before its PUT

_MALFORMED = (ValueError, LookupError, TypeError, AttributeError)  # what ministack raises for a state of another form

log = logging.getLogger("state")


class StatePersistence:
    """Loads ministack's state from `folder`, and keeps it there while ministack serves.

    `on_saved` is called after each attempt: with None when the state is on disk, or with why it is not.
    """

    def __init__(self, folder: Path, on_saved: Callable[[str | None], None] = lambda _: None) -> None:
        self._folder = folder
        self._alive = folder / "alive"
        self._on_saved = on_saved
        self._collector = ChangeCollector()
        self._unwritten: Changes | None = None  # collected, and not known to be on disk
        self._saving: asyncio.Task[None] | None = None

    def install(self) -> None:
        """Take the place of ministack's own loading and saving."""
        from ministack import app

        app._load_persisted_state = self._load_or_end
        app.save_all = lambda _: self.close()
        self._collector.install()

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
            raise unusable(path, error) from error
        self._saving = asyncio.get_running_loop().create_task(self._save_regularly())
        self._saving.add_done_callback(self._note_end)

    def _load_or_end(self) -> None:
        # A status that `emulator.embedded` knows, and one line in the log instead of a traceback.
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
        fired = others = 0
        if cut_off:
            saved = [float(value) for _, key, value in self._file.rows("run") if key == "saved"]
            fired, others = _fire_events_since(max(saved, default=0.0))
        found = {"cut_off": cut_off, "saved_at": saved_at, "uploads_again": fired, "other_objects": others}
        (self._folder / RECOVERY).write_bytes(orjson.dumps({**found, "started_at": time.time()}))
        self._file.write(Changes(removed={("run", "", "ended")}))
        self._alive.touch()

    def _load_former(self) -> list[Path]:
        """Load the files of a version before this one, if there are any, and return their paths.

        Not by ministack's own loading, which takes a file that it cannot read, or not use, for one that is not there.
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
        from ministack.services.dynamodb import _extract_key_val

        states = {
            key: json.loads(value, object_hook=persistence._json_object_hook)
            for _, key, value in self._file.rows("service")
        }
        # Items and messages are rows of their own: they are put back where ministack expects them in its states.
        tables = {part_of(scope): table for scope, table in scoped(states.get("dynamodb", {}).get("tables"))}
        for table in tables.values():
            table["items"] = {}
        for part, _, value in self._file.rows("item"):
            table, item = tables[part], orjson.loads(value)
            sort = _extract_key_val(item.get(table["sk_name"])) if table["sk_name"] else "__no_sort__"
            table["items"].setdefault(_extract_key_val(item.get(table["pk_name"])), {})[sort] = item
        queues = {part_of(scope): queue for scope, queue in scoped(states.get("sqs", {}).get("queues"))}
        for queue in queues.values():
            queue["messages"] = []
        rows = ((*orjson.loads(value), part, key) for part, key, value in self._file.rows("message"))
        for place, message, part, key in sorted(rows, key=lambda row: row[0]):
            queues[part]["messages"].append(message)
            self._collector.note_message(message, ("message", part, key), place)
        for key, state in states.items():
            app._get_module(app._state_map[key]).load_persisted_state(state)
        self._collector.start()

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
        if not saving.cancelled() and (error := saving.exception()):
            # A fault of ours: nothing is saved from now on, so writes have to be refused.
            log.error("The state is not saved any more.", exc_info=error)
            self._on_saved(repr(error))

    def _collect(self) -> Changes:
        """Return what differs from the last collection, and what of that one is not on disk."""
        late = self._unwritten
        return self._collector.collect(late.copy() if late else Changes())


def _fire_events_since(since: float) -> tuple[int, int]:
    """Fire the events of objects that are newer than the last save; S3, too, may deliver an event twice.

    Return how many objects have one, and how many have none: renditions, whose item may be lost.
    """
    from ministack.core.responses import _request_account_id
    from ministack.services import s3

    from emulator.server.tuning import event_destinations

    fired = others = 0
    oldest = datetime.fromtimestamp(since - _CLOCK_SECONDS, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]
    for (account, bucket), record in scoped(s3._buckets):
        raw = s3._bucket_notifications._data.get((account, bucket))
        newer = [(key, each) for key, each in record["objects"].items() if each["last_modified"] >= oldest]
        token = _request_account_id.set(account)
        for key, each in newer:
            if raw and event_destinations(raw, key, _CREATED):
                s3._fire_s3_event_async(bucket, key, _CREATED, size=each["size"], etag=each["etag"])
                fired += 1
            else:
                others += 1
        _request_account_id.reset(token)
    return fired, others
