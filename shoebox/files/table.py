"""The table `files`: conditional writes decide every race, and no request scans.

One item a file. Its id comes from owner and content, so registering the same bytes again, from ten phones at once,
is one conditional write on one key; an event that comes late or twice finds the same item. A tombstone is an item of
its own for objects that no file's item speaks for: clean-up finds there what to delete.

A write may be done and its answer lost; the client then tries again, and may fail by a condition that its own first try
has made false. What each conditional write does then: docs/reference/data-model.md, "Conditional writes".
"""

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from shoebox.aws.errors import AwsError
from shoebox.errors import Unavailable
from shoebox.files.items import (
    Item,
    iso,
    picture_text,
    registered,
    superseding,
    to_file,
    to_generation,
    to_superseded,
    tombstone,
    update_of,
)
from shoebox.files.listing import Page, list_files
from shoebox.files.model import FIRST_REVISION, File, FileKey, Generation, Owner, Picture, Registration, State
from shoebox.files.ulid import new_ulid

UNFINISHED_SECONDS = 18 * 86_400
"""How long the bytes of a registration may wait for ingest: 4 days in the queue, 14 as a dead letter (stack.yaml)."""
DELETION_SECONDS = 15 * 60
"""A deletion that has not ended after this time is due to be ordered again."""

_REGISTER_ATTEMPTS = 6
_READ_ATTEMPTS = 8
_MAX_KEYS = 100  # of one BatchGetItem
_MAX_ACTIONS = 100  # of one TransactWriteItems
_BUSY = {"TransactionCanceledException", "TransactionInProgressException", "TransactionConflictException"}
_UNTIL = ("register_until", "expires_at")  # `expires_at` is what items of the first layout call it
_RESULTS = (
    "uploaded_at",
    "received_at",
    "finished_at",
    "finish",
    "revision",
    "picture",
    "reason",
    "detail",
    "upload_id",
)


@dataclass(frozen=True, slots=True)
class Stages:
    """When a photo's bytes were stored and when its message reached a worker; both UTC."""

    uploaded_at: datetime
    received_at: datetime


@dataclass(frozen=True, slots=True)
class RegisterResult:
    """The files in the order asked for."""

    files: list[File]

    @property
    def superseded(self) -> list[Generation]:
        """Generations that have a tombstone: order their deletion.

        They come from the items, not from this call's writes: a registration that is asked for again, since its answer
        or an order was lost, names them again.
        """
        return list(dict.fromkeys(file.supersedes for file in self.files if file.supersedes))


@dataclass(frozen=True, slots=True)
class Doomed:
    """An item, a file's own or a tombstone, that says that all objects of a generation are to be deleted.

    So are those of the generation that it supersedes, and first: nothing else may know of them.
    """

    pk: str
    generation: Generation
    revisions: frozenset[str]
    upload_id: str | None
    supersedes: Generation | None
    mark: str | None


class FilesTable:
    """Reads and writes files. `client` is a DynamoDBClient; `now` gives the time in UTC."""

    def __init__(
        self,
        client: Any,
        table: str,
        *,
        registration_seconds: int = 86_400,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._client = client
        self._table = table
        self._registration_seconds = registration_seconds
        self._now = now

    async def register(self, owner: Owner, registrations: Sequence[Registration]) -> RegisterResult:
        """Register up to 100 files; what the owner has already is returned as it stands.

        A rejected, expired or never-seen file becomes REGISTERED with a new generation, and what it had of an older one
        gets a tombstone. One being deleted is returned as DELETING.

        Raises:
            Unavailable: others kept writing the same files, or DynamoDB kept throttling; try again.
        """
        wanted = {owner.file_id(r.sha256): r for r in registrations}
        for attempt in range(_REGISTER_ATTEMPTS):
            known = {f.key.file_id: f for f in await self._files(FileKey(owner, file_id) for file_id in wanted)}
            writes = [
                self._registering(FileKey(owner, file_id), r, known.get(file_id))
                for file_id, r in wanted.items()
                if self._needs_registering(known.get(file_id), r)
            ]
            if await self._transact(writes):
                known |= {write.file.key.file_id: write.file for write in writes}
                return RegisterResult([known[owner.file_id(r.sha256)] for r in registrations])
            await asyncio.sleep(random.uniform(0, 0.05 * 2**attempt))  # noqa: S311 - spreads rivals, hides nothing
        raise Unavailable("The table of files is busy, or someone else registers the same files; try again.")

    async def get(self, key: FileKey) -> File | None:
        """One file; None if there is none, it is expired, or it is being deleted."""
        file = await self._find(key)
        return self._visible(file) if file else None

    async def get_many(self, keys: Iterable[FileKey]) -> list[File]:
        """Those of some files that exist, in no particular order, perhaps as they stood a second ago."""
        return [file for file in await self._files(keys, consistent=False) if self._visible(file)]

    async def states(self, keys: Iterable[FileKey]) -> dict[FileKey, File]:
        """Any number of files as they stand now, those being deleted or expired among them: the workers' view."""
        return {file.key: file for file in await self._files(keys)}

    async def page(self, owner: Owner, *, limit: int, cursor: str | None = None, state: State | None = None) -> Page:
        """A page of the owner's files, newest first.

        Raises:
            Invalid: the cursor was not made here.
        """
        return await list_files(
            self._client, self._table, owner, limit=limit, cursor=cursor, state=state, visible=self._visible
        )

    async def mark_ready(self, generation: Generation, picture: Picture, stages: Stages) -> bool:
        """REGISTERED → READY; False if another delivery was first, or the file is gone or of another generation.

        The item forgets what it supersedes: order that generation's deletion before.
        """
        found = {"picture": {"S": picture_text(picture)}, "revision": {"S": FIRST_REVISION}}
        return await self._finish(generation, State.READY, found, stages)

    async def mark_rejected(self, generation: Generation, reason: str, detail: str, stages: Stages) -> bool:
        """REGISTERED → REJECTED; False as for `mark_ready`."""
        found = {"reason": {"S": reason}, "detail": {"S": detail[:500]}}
        return await self._finish(generation, State.REJECTED, found, stages)

    async def start_deletion(self, key: FileKey) -> File | None:
        """Any state → DELETING; the file as it stood before, or None if there is none.

        The write names the generation that was read: tried again after a lost answer it can hit nothing newer, and
        where its condition fails, that generation has gone meanwhile, as was wished.
        """
        file = await self._find(key)
        if file is None or file.state is State.DELETING:
            return file
        changes = update_of({"state": {"S": State.DELETING}, "due": {"N": str(self._due(DELETION_SECONDS))}}, _UNTIL)
        await self._update(key.pk, changes, _Condition.of(file.generation))
        return file

    async def bury(self, generation: Generation) -> None:
        """Write a tombstone for objects that no file's item speaks for; then order the generation's deletion.

        Where there is a tombstone it gets a new mark, so that a clean-up that has deleted already does not remove it.
        """
        changes = update_of(tombstone(generation, new_ulid(self._now()), self._due(DELETION_SECONDS)))
        await self._client.update_item(TableName=self._table, Key={"pk": {"S": generation.tombstone_pk}}, **changes)

    async def doomed(self, generation: Generation) -> list[Doomed]:
        """What says that a generation's objects are to be deleted: the file's item, a tombstone, both, or nothing."""
        items = await self._read([generation.key.pk, generation.tombstone_pk])
        return [
            Doomed(
                pk=item["pk"]["S"],
                generation=generation,
                revisions=frozenset({FIRST_REVISION, item.get("revision", {}).get("S", FIRST_REVISION)}),
                upload_id=item.get("upload_id", {}).get("S"),
                supersedes=to_superseded(item),
                mark=item.get("mark", {}).get("S"),
            )
            for item in items
            if item["state"]["S"] == State.DELETING and to_generation(item) == generation
        ]

    async def remove(self, doomed: Doomed) -> None:
        """Delete the item, its objects being deleted; nothing happens if it is gone or has changed since."""
        condition = _Condition.of(doomed.generation, State.DELETING)
        if doomed.mark:
            condition = condition.and_("mark = :if_mark", {":if_mark": {"S": doomed.mark}})
        try:
            await self._client.delete_item(
                TableName=self._table, Key={"pk": {"S": doomed.pk}}, **condition.added_to({})
            )
        except AwsError as error:
            if not _condition_failed(error):
                raise

    async def open_multipart(self, generation: Generation, upload_id: str) -> bool:
        """Note the multipart upload of a REGISTERED file; False if it has another one or is not REGISTERED.

        The registration is renewed: a large upload may take as long as a registration lasts.
        """
        changes = update_of({"upload_id": {"S": upload_id}, **self._times()}, ["expires_at"])
        none_or_this = _Condition.of(generation, State.REGISTERED).and_(
            "(attribute_not_exists(upload_id) OR upload_id = :if_upload)", {":if_upload": {"S": upload_id}}
        )
        return await self._update(generation.key.pk, changes, none_or_this)

    async def close_multipart(self, key: FileKey, upload_id: str) -> None:
        """Forget the multipart upload `upload_id`, if it is the file's."""
        condition = _Condition("upload_id = :if_upload", {":if_upload": {"S": upload_id}})
        await self._update(key.pk, update_of({}, ["upload_id"]), condition)

    async def _finish(self, generation: Generation, state: State, found: Item, stages: Stages) -> bool:
        token = secrets.token_hex(4)
        attributes = {
            "state": {"S": state},
            "uploaded_at": {"S": iso(stages.uploaded_at)},
            "received_at": {"S": iso(stages.received_at)},
            "finished_at": {"S": iso(self._now())},
            "finish": {"S": token},
            **found,
        }
        changes = update_of(attributes, (*_UNTIL, "due", "upload_id", "supersedes"))
        if await self._update(generation.key.pk, changes, _Condition.of(generation, State.REGISTERED)):
            return True
        item = await self._item(generation.key)  # perhaps this very write was done, and its answer lost
        return item is not None and to_generation(item) == generation and item.get("finish") == {"S": token}

    def _registering(self, key: FileKey, registration: Registration, before: File | None) -> _Registering:
        """The writes that make a file REGISTERED: with its generation while that waits for bytes, else with a new one.

        Updates, never puts: attributes that are not named here stay.
        """
        now = self._now()
        if before is None:
            generation, condition = Generation(key, new_ulid(now)), _Condition("attribute_not_exists(pk)", {})
        else:
            condition = _Condition.unchanged(before)
            renewed = before.state is State.REGISTERED and not before.expired(now)
            ulid = new_ulid(now, after=before.generation.ulid)
            generation = before.generation if renewed else Generation(key, ulid)
        superseded = before.generation if before and before.generation != generation else None
        supersedes = superseded or (before.supersedes if before else None)
        attributes = {**registered(generation, registration, now), **self._times(), **superseding(supersedes)}
        removed = [name for name in (*_RESULTS, "expires_at") if name not in attributes]
        actions = [self._action(key.pk, condition.added_to(update_of(attributes, removed)))]
        if before and superseded:
            due = self._due(DELETION_SECONDS)
            changes = tombstone(superseded, new_ulid(now), due, before.upload_id, before.supersedes)
            actions.append(self._action(superseded.tombstone_pk, update_of(changes)))
        return _Registering(to_file({"pk": {"S": key.pk}, **attributes}), actions)

    def _action(self, pk: str, update: dict[str, Any]) -> dict[str, Any]:
        return {"Update": {"TableName": self._table, "Key": {"pk": {"S": pk}}, **update}}

    async def _transact(self, writes: Sequence[_Registering]) -> bool:
        """Whether all was written; False when a rival wrote something since it was read, or DynamoDB throttled.

        What belongs to one file is written whole or not at all. No SDK tries a canceled transaction again, whatever
        the reason ("Error handling with DynamoDB"); one whose answer was lost is tried again with the same token, so
        that it is one transaction.
        """
        for actions in _together(writes):
            try:
                await self._client.transact_write_items(TransactItems=actions)
            except AwsError as error:
                if error.code in _BUSY:
                    return False
                raise
        return True

    async def _update(self, pk: str, changes: dict[str, Any], condition: _Condition) -> bool:
        """Whether the condition held."""
        try:
            await self._client.update_item(TableName=self._table, Key={"pk": {"S": pk}}, **condition.added_to(changes))
        except AwsError as error:
            if _condition_failed(error):
                return False
            raise
        return True

    async def _find(self, key: FileKey) -> File | None:
        item = await self._item(key)
        return to_file(item) if item else None

    async def _item(self, key: FileKey) -> Item | None:
        answer = await self._client.get_item(TableName=self._table, Key={"pk": {"S": key.pk}}, ConsistentRead=True)
        item: Item | None = answer.get("Item")
        return item

    async def _files(self, keys: Iterable[FileKey], *, consistent: bool = True) -> list[File]:
        return [to_file(item) for item in await self._read([key.pk for key in keys], consistent=consistent)]

    async def _read(self, pks: Iterable[str], *, consistent: bool = True) -> list[Item]:
        wanted = list(dict.fromkeys(pks))
        items: list[Item] = []
        for start in range(0, len(wanted), _MAX_KEYS):
            items += await self._read_some(wanted[start : start + _MAX_KEYS], consistent)
        return items

    async def _read_some(self, pks: Sequence[str], consistent: bool) -> list[Item]:
        keys = [{"pk": {"S": pk}} for pk in pks]
        asked: dict[str, Any] = {self._table: {"Keys": keys, "ConsistentRead": consistent}}
        items: list[Item] = []
        for attempt in range(_READ_ATTEMPTS):
            answer = await self._client.batch_get_item(RequestItems=asked)
            items += answer["Responses"].get(self._table, [])
            asked = answer.get("UnprocessedKeys") or {}
            if not asked.get(self._table, {}).get("Keys"):
                return items
            # throttled: the rest after a pause ("Error handling with DynamoDB", batch operations)
            await asyncio.sleep(random.uniform(0, 0.05 * 2**attempt))  # noqa: S311 - spreads rivals
        raise Unavailable("The table of files is busy; try again.")

    def _needs_registering(self, file: File | None, registration: Registration) -> bool:
        if file is None or file.state is State.REJECTED:
            return True
        if file.state is not State.REGISTERED or file.upload_id:
            return file.expired(self._now())
        half_time = self._now().timestamp() + self._registration_seconds / 2
        return file.registration != registration or (file.register_until or 0) < half_time

    def _visible(self, file: File) -> File | None:
        return None if file.state is State.DELETING or file.expired(self._now()) else file

    def _times(self) -> Item:
        """Until when a registration made now may be used, and when it is due to be deleted, used or not."""
        return {
            "register_until": {"N": str(int(self._now().timestamp()) + self._registration_seconds)},
            "due": {"N": str(self._due(UNFINISHED_SECONDS))},
        }

    def _due(self, seconds: int) -> int:
        return int(self._now().timestamp()) + seconds


@dataclass(frozen=True, slots=True)
class _Registering:
    """The file as it will be, and the actions of a transaction that make it so."""

    file: File
    actions: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class _Condition:
    """A condition expression and its values; `#state` is the only name that needs a placeholder."""

    text: str
    values: Item

    @classmethod
    def of(cls, generation: Generation, state: State | None = None) -> _Condition:
        """The item is there, is of this generation, and in this state, if one is given."""
        if generation.ulid:
            condition = cls("generation = :if_generation", {":if_generation": {"S": generation.ulid}})
        else:
            condition = cls("attribute_exists(pk) AND attribute_not_exists(generation)", {})
        return condition.and_("#state = :if_state", {":if_state": {"S": state}}) if state else condition

    @classmethod
    def unchanged(cls, file: File) -> _Condition:
        """No rival has registered it anew, renewed it, finished it, or opened an upload since it was read."""
        condition = cls.of(file.generation, file.state)
        if file.register_until is not None:
            until: Item = {":if_until": {"N": str(file.register_until)}}
            condition = condition.and_("(register_until = :if_until OR expires_at = :if_until)", until)
        if file.upload_id:
            return condition.and_("upload_id = :if_upload", {":if_upload": {"S": file.upload_id}})
        return condition.and_("attribute_not_exists(upload_id)", {})

    def and_(self, text: str, values: Item) -> _Condition:
        """Both this condition and another."""
        return _Condition(f"{self.text} AND {text}", {**self.values, **values})

    def added_to(self, request: dict[str, Any]) -> dict[str, Any]:
        """The members of a request with this condition among them; empty ones are left out, as DynamoDB demands."""
        names = {
            **request.get("ExpressionAttributeNames", {}),
            **({"#state": "state"} if "#state" in self.text else {}),
        }
        values = {**request.get("ExpressionAttributeValues", {}), **self.values}
        expressions = {"ExpressionAttributeNames": names, "ExpressionAttributeValues": values}
        return {
            **request,
            "ConditionExpression": self.text,
            **{name: content for name, content in expressions.items() if content},
        }


def _together(writes: Iterable[_Registering]) -> Iterator[list[dict[str, Any]]]:
    """The actions in transactions of as many as DynamoDB takes; those of one file stay together."""
    actions: list[dict[str, Any]] = []
    for write in writes:
        if len(actions) + len(write.actions) > _MAX_ACTIONS:
            yield actions
            actions = []
        actions = [*actions, *write.actions]
    if actions:
        yield actions


def _condition_failed(error: AwsError) -> bool:
    return error.code == "ConditionalCheckFailedException"
