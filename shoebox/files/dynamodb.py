"""The table `files`: conditional writes decide every race, and no request scans.

One item a file. Its id comes from owner and content, so registering the same bytes again, from ten phones at once,
is one conditional write on one key; an event that comes late or twice finds the same item. A tombstone is an item of
its own for objects that no file's item speaks for: clean-up finds there what to delete.

A write may be done and its response lost; the client then tries again, and may fail by a condition that its own first
try has made false. What each conditional write does then: docs/reference/data-model.md, "Conditional writes".
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from shoebox.aws.dynamodb import DynamoDBClient
from shoebox.aws.errors import AwsError
from shoebox.aws.retry import RetryPolicy
from shoebox.errors import Unavailable
from shoebox.files.faults import retryable_as_unavailable
from shoebox.files.items import (
    Item,
    picture_text,
    registered,
    superseding,
    to_file,
    to_generation,
    to_pending_deletion,
    tombstone,
    update_of,
)
from shoebox.files.listing import list_files
from shoebox.files.model import FIRST_REVISION, File, FileKey, Generation, Owner, Picture, Registration, State
from shoebox.files.store import (
    DELETION_SECONDS,
    MAX_DETAIL,
    REGISTRATION_SECONDS,
    UNFINISHED_SECONDS,
    Page,
    PendingDeletion,
    RegisterResult,
    Stages,
    is_visible,
    needs_registering,
    register_anew,
)
from shoebox.files.ulid import new_ulid
from shoebox.timestamps import iso

_REGISTER = RetryPolicy(attempts=6, first_pause=0.025)
_READ = RetryPolicy(attempts=8, first_pause=0.025)
_MAX_KEYS = 100  # of one BatchGetItem
_MAX_ACTIONS = 100  # of one TransactWriteItems
_BUSY = ("TransactionCanceledException", "TransactionInProgressException", "TransactionConflictException")
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


class DynamoDBFileStore:
    """A `FileStore` in one DynamoDB table; `now` gives the time in UTC."""

    def __init__(
        self,
        client: DynamoDBClient,
        table: str,
        *,
        registration_seconds: int = REGISTRATION_SECONDS,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._client = client
        self._table = table
        self._registration_seconds = registration_seconds
        self._now = now

    @retryable_as_unavailable
    async def register(self, owner: Owner, registrations: Sequence[Registration]) -> RegisterResult:
        """Register up to 100 files.

        Raises:
            Unavailable: also where others kept writing the same files.
        """
        wanted = {owner.file_id(r.sha256): r for r in registrations}
        lifetime = self._registration_seconds
        async for _ in _REGISTER.each_attempt():
            known = {f.key.file_id: f for f in await self._files(FileKey(owner, file_id) for file_id in wanted)}
            writes = [
                self._registering(FileKey(owner, file_id), r, known.get(file_id))
                for file_id, r in wanted.items()
                if needs_registering(known.get(file_id), r, self._now(), lifetime=lifetime)
            ]
            if await self._transact(writes):
                known |= {write.file.key.file_id: write.file for write in writes}
                return RegisterResult([known[owner.file_id(r.sha256)] for r in registrations])
        raise Unavailable("The table of files is busy, or another request registers the same files; try again.")

    @retryable_as_unavailable
    async def get(self, key: FileKey) -> File | None:
        """Return a file that its owner may see."""
        item = await self._item(key)
        file = to_file(item) if item else None
        return file if file and is_visible(file, self._now()) else None

    @retryable_as_unavailable
    async def get_many(self, keys: Iterable[FileKey]) -> list[File]:
        """Return those of some files that their owner may see, by an eventually consistent read."""
        return [file for file in await self._files(keys, consistent=False) if is_visible(file, self._now())]

    @retryable_as_unavailable
    async def states(self, keys: Iterable[FileKey]) -> dict[FileKey, File]:
        """Return any number of files as they stand now."""
        return {file.key: file for file in await self._files(keys)}

    @retryable_as_unavailable
    async def page(self, owner: Owner, *, limit: int, cursor: str | None = None, state: State | None = None) -> Page:
        """Return a page of the owner's files, merged from the shards of the index `by-owner`."""
        now = self._now()
        return await list_files(
            self._client,
            self._table,
            owner,
            limit=limit,
            cursor=cursor,
            wanted=lambda file: is_visible(file, now) and state in (None, file.state),
            filtered=state is not None,
        )

    @retryable_as_unavailable
    async def mark_ready(self, generation: Generation, picture: Picture, stages: Stages) -> bool:
        """Make a REGISTERED file READY."""
        found = {"picture": {"S": picture_text(picture)}, "revision": {"S": FIRST_REVISION}}
        return await self._finish(generation, State.READY, found, stages)

    @retryable_as_unavailable
    async def mark_rejected(self, generation: Generation, reason: str, detail: str, stages: Stages) -> bool:
        """Make a REGISTERED file REJECTED."""
        found = {"reason": {"S": reason}, "detail": {"S": detail[:MAX_DETAIL]}}
        return await self._finish(generation, State.REJECTED, found, stages)

    @retryable_as_unavailable
    async def start_deletion(self, key: FileKey) -> File | None:
        """Make a file DELETING, whatever its state."""
        item = await self._item(key)
        if item is None:
            return None
        file = to_file(item)
        if file.state is not State.DELETING:
            changes = update_of({"state": {"S": State.DELETING}, "due": self._due(DELETION_SECONDS)}, _UNTIL)
            # The condition names the generation that was read: repeated after a lost response, the write can hit
            # nothing newer. Where it fails, that generation is gone already, which is what was asked for.
            await self._update(key.pk, changes, _Condition.of(file.generation))
        return file

    @retryable_as_unavailable
    async def write_tombstone(self, generation: Generation) -> None:
        """Write a tombstone, or give the one that is there a new mark."""
        changes = update_of(tombstone(generation, new_ulid(self._now()), self._due(DELETION_SECONDS)))
        await self._client.update_item(TableName=self._table, Key={"pk": {"S": generation.tombstone_pk}}, **changes)

    @retryable_as_unavailable
    async def pending_deletions(self, generation: Generation) -> list[PendingDeletion]:
        """Return the file's item and the tombstone, where they say that the generation is to be deleted."""
        items = await self._read([generation.key.pk, generation.tombstone_pk])
        return [
            to_pending_deletion(item)
            for item in items
            if item["state"]["S"] == State.DELETING and to_generation(item) == generation
        ]

    @retryable_as_unavailable
    async def remove(self, pending: PendingDeletion) -> None:
        """Delete the item, unless it has changed since it was read."""
        pk, condition = pending.generation.key.pk, _Condition.of(pending.generation, State.DELETING)
        if pending.mark:
            pk = pending.generation.tombstone_pk
            condition = condition.and_("mark = :if_mark", {":if_mark": {"S": pending.mark}})
        try:
            await self._client.delete_item(TableName=self._table, Key={"pk": {"S": pk}}, **condition.added_to({}))
        except AwsError as error:
            if not error.has_code("ConditionalCheckFailedException"):
                raise

    @retryable_as_unavailable
    async def open_multipart(self, generation: Generation, upload_id: str) -> bool:
        """Note the multipart upload of a REGISTERED file, and renew its registration."""
        until = {"N": str(int(self._now().timestamp()) + self._registration_seconds)}
        attributes = {"upload_id": {"S": upload_id}, "register_until": until, "due": self._due(UNFINISHED_SECONDS)}
        none_or_this = _Condition.of(generation, State.REGISTERED).and_(
            "(attribute_not_exists(upload_id) OR upload_id = :if_upload)", {":if_upload": {"S": upload_id}}
        )
        return await self._update(generation.key.pk, update_of(attributes, ["expires_at"]), none_or_this)

    @retryable_as_unavailable
    async def close_multipart(self, key: FileKey, upload_id: str) -> None:
        """Forget the multipart upload."""
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
        # Perhaps this very write was done, its response lost, and the client's own retry failed by what it had written.
        item = await self._item(generation.key)
        return item is not None and to_generation(item) == generation and item.get("finish") == {"S": token}

    def _registering(self, key: FileKey, registration: Registration, before: File | None) -> _Registering:
        """Return the writes that make a file REGISTERED, and a tombstone of what it supersedes."""
        # Updates, never puts: attributes that a newer version has written, and that are not named here, stay.
        file = register_anew(before, key, registration, self._now(), lifetime=self._registration_seconds)
        condition = _Condition.unchanged(before) if before else _Condition("attribute_not_exists(pk)", {})
        attributes = {**registered(file), "due": self._due(UNFINISHED_SECONDS)}
        removed = [name for name in (*_RESULTS, "expires_at") if name not in attributes]
        actions = [self._action(key.pk, condition.added_to(update_of(attributes, removed)))]
        if before and before.generation != file.generation:
            old = before.generation
            changes = tombstone(old, new_ulid(self._now()), self._due(DELETION_SECONDS))
            changes |= {"upload_id": {"S": before.upload_id}} if before.upload_id else {}
            changes |= superseding(before.supersedes)
            actions.append(self._action(old.tombstone_pk, update_of(changes)))
        return _Registering(file, actions)

    def _action(self, pk: str, update: dict[str, Any]) -> dict[str, Any]:
        return {"Update": {"TableName": self._table, "Key": {"pk": {"S": pk}}, **update}}

    async def _transact(self, writes: Sequence[_Registering]) -> bool:
        """Return whether all was written; False when another request wrote since the read, or DynamoDB throttled.

        What belongs to one file is written whole or not at all. No SDK tries a canceled transaction again, whatever
        the reason ("Error handling with DynamoDB"); one whose response was lost is tried again with the same token, so
        that it is one transaction.
        """
        for actions in _transactions(writes):
            try:
                await self._client.transact_write_items(TransactItems=actions)
            except AwsError as error:
                if error.has_code(*_BUSY):
                    return False
                raise
        return True

    async def _update(self, pk: str, changes: dict[str, Any], condition: _Condition) -> bool:
        """Return whether the condition held."""
        try:
            await self._client.update_item(TableName=self._table, Key={"pk": {"S": pk}}, **condition.added_to(changes))
        except AwsError as error:
            if error.has_code("ConditionalCheckFailedException"):
                return False
            raise
        return True

    async def _item(self, key: FileKey) -> Item | None:
        response = await self._client.get_item(TableName=self._table, Key={"pk": {"S": key.pk}}, ConsistentRead=True)
        item: Item | None = response.get("Item")
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
        async for _ in _READ.each_attempt():
            response = await self._client.batch_get_item(RequestItems=asked)
            items += response["Responses"].get(self._table, [])
            # What was throttled is asked for after a pause ("Error handling with DynamoDB", batch operations).
            asked = response.get("UnprocessedKeys") or {}
            if not asked.get(self._table, {}).get("Keys"):
                return items
        raise Unavailable("The table of files is busy; try again.")

    def _due(self, seconds: int) -> dict[str, str]:
        return {"N": str(int(self._now().timestamp()) + seconds)}


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
        """Hold where the item is there, is of this generation, and in this state, if one is given."""
        if generation.ulid:
            condition = cls("generation = :if_generation", {":if_generation": {"S": generation.ulid}})
        else:
            condition = cls("attribute_exists(pk) AND attribute_not_exists(generation)", {})
        return condition.and_("#state = :if_state", {":if_state": {"S": state}}) if state else condition

    @classmethod
    def unchanged(cls, file: File) -> _Condition:
        """Hold where nothing has registered, renewed or finished it, or opened an upload, since it was read."""
        condition = cls.of(file.generation, file.state)
        if file.register_until is not None:
            until: Item = {":if_until": {"N": str(file.register_until)}}
            condition = condition.and_("(register_until = :if_until OR expires_at = :if_until)", until)
        if file.upload_id:
            return condition.and_("upload_id = :if_upload", {":if_upload": {"S": file.upload_id}})
        return condition.and_("attribute_not_exists(upload_id)", {})

    def and_(self, text: str, values: Item) -> _Condition:
        """Return a condition that holds where this one and another do."""
        return _Condition(f"{self.text} AND {text}", {**self.values, **values})

    def added_to(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return a request with this condition; members that are empty are left out, as DynamoDB demands."""
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


def _transactions(writes: Iterable[_Registering]) -> Iterator[list[dict[str, Any]]]:
    """Yield the actions in transactions of as many as DynamoDB takes; those of one file stay together."""
    actions: list[dict[str, Any]] = []
    for write in writes:
        if len(actions) + len(write.actions) > _MAX_ACTIONS:
            yield actions
            actions = []
        actions = [*actions, *write.actions]
    if actions:
        yield actions
