"""The table `files`: conditional writes decide every race, and no request scans.

One item a file. Its id comes from owner and content, so registering the same bytes again, from ten phones at once,
is one conditional write on one key; an event that comes late or twice finds the same item.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

from shoebox.errors import Unavailable
from shoebox.files import File, FileKey, Owner, Picture, Registration, State
from shoebox.ports.items import Item, iso, picture_text, registered_item, to_file
from shoebox.ports.listing import Page, list_files

_REGISTER_ATTEMPTS = 6
_READ_ATTEMPTS = 8
_OPEN = (
    "attribute_not_exists(pk) OR #state = :rejected"
    " OR (#state = :registered AND (attribute_not_exists(upload_id) OR expires_at <= :now))"
)
_BUSY = {"TransactionCanceledException", "TransactionInProgressException", "TransactionConflictException"}


@dataclass(frozen=True, slots=True)
class Stages:
    """When a photo's bytes were stored and when its message reached a worker; both UTC."""

    uploaded_at: datetime
    received_at: datetime


class FilesTable:
    """Reads and writes files. `client` is an aiobotocore DynamoDB client; `now` gives the time in UTC."""

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

    async def register(self, owner: Owner, registrations: Sequence[Registration]) -> list[File]:
        """Register up to 100 files; what the owner has already is returned as it stands.

        A rejected, expired or never-seen file becomes REGISTERED. One being deleted is returned as DELETING.

        Raises:
            Unavailable: others kept writing the same files, or DynamoDB kept throttling; try again.
        """
        wanted = {owner.file_id(r.sha256): r for r in registrations}
        for attempt in range(_REGISTER_ATTEMPTS):
            known = {f.key.file_id: f for f in await self._read(FileKey(owner, file_id) for file_id in wanted)}
            fresh = [
                registered_item(FileKey(owner, file_id), r, self._now(), self._expiry())
                for file_id, r in wanted.items()
                if self._needs_registering(known.get(file_id), r)
            ]
            if not fresh or await self._put_all(fresh):
                known |= {f.key.file_id: f for f in map(to_file, fresh)}
                return [known[owner.file_id(r.sha256)] for r in registrations]
            await asyncio.sleep(random.uniform(0, 0.05 * 2**attempt))  # noqa: S311 - spreads rivals, hides nothing
        raise Unavailable("The table of files is busy, or someone else registers the same files; try again.")

    async def get(self, key: FileKey) -> File | None:
        """One file; None if there is none, it is expired, or it is being deleted."""
        answer = await self._client.get_item(TableName=self._table, Key={"pk": {"S": key.pk}}, ConsistentRead=True)
        return self._visible(to_file(answer["Item"])) if "Item" in answer else None

    async def get_many(self, keys: Iterable[FileKey]) -> list[File]:
        """Those of up to 100 files that exist, in no particular order."""
        return [file for file in await self._read(keys) if self._visible(file)]

    async def states(self, keys: Iterable[FileKey]) -> dict[FileKey, File]:
        """Up to 100 files as they stand, those being deleted or expired among them: the workers' view."""
        return {file.key: file for file in await self._read(keys)}

    async def page(self, owner: Owner, *, limit: int, cursor: str | None = None, state: State | None = None) -> Page:
        """A page of the owner's files, newest first.

        Raises:
            Invalid: the cursor was not made here.
        """
        return await list_files(
            self._client, self._table, owner, limit=limit, cursor=cursor, state=state, visible=self._visible
        )

    async def mark_ready(self, key: FileKey, picture: Picture, stages: Stages) -> bool:
        """REGISTERED → READY; False if another delivery was first, or the file is gone."""
        values = {":picture": {"S": picture_text(picture)}}
        return await self._finish(key, State.READY, "picture = :picture", values, stages)

    async def mark_rejected(self, key: FileKey, reason: str, detail: str, stages: Stages) -> bool:
        """REGISTERED → REJECTED; False if another delivery was first, or the file is gone."""
        values = {":reason": {"S": reason}, ":detail": {"S": detail[:500]}}
        return await self._finish(key, State.REJECTED, "reason = :reason, detail = :detail", values, stages)

    async def start_deletion(self, key: FileKey) -> File | None:
        """Any state → DELETING, also again; the file as it stood before, or None if there is none."""
        try:
            answer = await self._client.update_item(
                TableName=self._table,
                Key={"pk": {"S": key.pk}},
                UpdateExpression="SET #state = :deleting REMOVE expires_at",
                ConditionExpression="attribute_exists(pk)",
                ExpressionAttributeNames={"#state": "state"},
                ExpressionAttributeValues={":deleting": {"S": State.DELETING}},
                ReturnValues="ALL_OLD",
            )
        except ClientError as error:
            if _condition_failed(error):
                return None
            raise
        return to_file(answer["Attributes"])

    async def remove(self, key: FileKey) -> None:
        """Delete the item of a file that is being deleted; nothing happens if it is gone or no longer DELETING."""
        try:
            await self._client.delete_item(
                TableName=self._table,
                Key={"pk": {"S": key.pk}},
                ConditionExpression="#state = :deleting",
                ExpressionAttributeNames={"#state": "state"},
                ExpressionAttributeValues={":deleting": {"S": State.DELETING}},
            )
        except ClientError as error:
            if not _condition_failed(error):
                raise

    async def open_multipart(self, key: FileKey, upload_id: str) -> bool:
        """Note the multipart upload of a REGISTERED file; False if it has one already or is not REGISTERED.

        The registration is renewed: a large upload may take as long as a registration lasts.
        """
        return await self._update(
            key,
            UpdateExpression="SET upload_id = :upload, expires_at = :expires",
            ConditionExpression="#state = :registered AND attribute_not_exists(upload_id)",
            ExpressionAttributeNames={"#state": "state"},
            ExpressionAttributeValues={
                ":registered": {"S": State.REGISTERED},
                ":upload": {"S": upload_id},
                ":expires": {"N": str(self._expiry())},
            },
        )

    async def close_multipart(self, key: FileKey, upload_id: str) -> bool:
        """Forget the multipart upload `upload_id`; False if it is not the file's."""
        return await self._update(
            key,
            UpdateExpression="REMOVE upload_id",
            ConditionExpression="upload_id = :upload",
            ExpressionAttributeValues={":upload": {"S": upload_id}},
        )

    async def _finish(
        self, key: FileKey, state: State, assignments: str, values: dict[str, Item], stages: Stages
    ) -> bool:
        return await self._update(
            key,
            UpdateExpression=(
                f"SET #state = :state, uploaded_at = :uploaded, received_at = :received, finished_at = :finished,"
                f" {assignments} REMOVE expires_at, upload_id"
            ),
            ConditionExpression="#state = :registered",
            ExpressionAttributeNames={"#state": "state"},
            ExpressionAttributeValues={
                ":registered": {"S": State.REGISTERED},
                ":state": {"S": state},
                ":uploaded": {"S": iso(stages.uploaded_at)},
                ":received": {"S": iso(stages.received_at)},
                ":finished": {"S": iso(self._now())},
                **values,
            },
        )

    async def _update(self, key: FileKey, **expression: Any) -> bool:
        try:
            await self._client.update_item(TableName=self._table, Key={"pk": {"S": key.pk}}, **expression)
        except ClientError as error:
            if _condition_failed(error):
                return False
            raise
        return True

    async def _put_all(self, items: list[Item]) -> bool:
        """All of the items or none; False when a rival wrote one of them since it was read, or DynamoDB throttled one.

        No SDK tries a canceled transaction again, whatever the reason ("Error handling with DynamoDB").
        """
        puts = [
            {
                "Put": {
                    "TableName": self._table,
                    "Item": item,
                    "ConditionExpression": _OPEN,
                    "ExpressionAttributeNames": {"#state": "state"},
                    "ExpressionAttributeValues": {
                        ":registered": {"S": State.REGISTERED},
                        ":rejected": {"S": State.REJECTED},
                        ":now": {"N": str(int(self._now().timestamp()))},
                    },
                }
            }
            for item in items
        ]
        try:
            await self._client.transact_write_items(TransactItems=puts)
        except ClientError as error:
            if error.response["Error"]["Code"] in _BUSY:
                return False
            raise
        return True

    async def _read(self, keys: Iterable[FileKey]) -> list[File]:
        asked: dict[str, Any] = {self._table: {"Keys": [{"pk": {"S": pk}} for pk in {key.pk for key in keys}]}}
        files: list[File] = []
        for attempt in range(_READ_ATTEMPTS):
            if not asked.get(self._table, {}).get("Keys"):
                return files
            answer = await self._client.batch_get_item(RequestItems=asked)
            files += map(to_file, answer["Responses"].get(self._table, []))
            asked = answer.get("UnprocessedKeys") or {}
            if asked:  # throttled: the rest after a pause ("Error handling with DynamoDB", batch operations)
                await asyncio.sleep(random.uniform(0, 0.05 * 2**attempt))  # noqa: S311 - spreads rivals
        raise Unavailable("The table of files is busy; try again.")

    def _needs_registering(self, file: File | None, registration: Registration) -> bool:
        if file is None or file.state is State.REJECTED:
            return True
        if file.state is not State.REGISTERED or file.upload_id:
            return file.expired(self._now())
        half_time = self._now().timestamp() + self._registration_seconds / 2
        return file.registration != registration or (file.expires_at or 0) < half_time

    def _visible(self, file: File) -> File | None:
        return None if file.state is State.DELETING or file.expired(self._now()) else file

    def _expiry(self) -> int:
        return int(self._now().timestamp()) + self._registration_seconds


def _condition_failed(error: ClientError) -> bool:
    return bool(error.response["Error"]["Code"] == "ConditionalCheckFailedException")
