"""The store of files: what every implementation keeps to, and the rules that decide what a registration becomes.

`shoebox.files.dynamodb` keeps files in a table, `shoebox.files.memory` in a dictionary; one suite of contract tests
holds both to what `FileStore` says (tests/contract/stores).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from shoebox.errors import Invalid
from shoebox.files.model import File, FileKey, Generation, Owner, Picture, Registration, State
from shoebox.files.ulid import new_ulid
from shoebox.timestamps import iso

REGISTRATION_SECONDS = 86_400
UNFINISHED_SECONDS = 18 * 86_400
"""How long the bytes of a registration may wait for ingest: 4 days in the queue, 14 as a dead letter (stack.yaml)."""
DELETION_SECONDS = 15 * 60
"""A deletion that has not ended after this time is due to be ordered again."""
MAX_DETAIL = 500  # characters of a rejection's detail that are kept

_CURSOR = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z#f[a-z2-7]{32}$")


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

        They come from the items, not from this call's writes: a registration that is asked for again, since its
        response or an order was lost, names them again.
        """
        return list(dict.fromkeys(file.supersedes for file in self.files if file.supersedes))


@dataclass(frozen=True, slots=True)
class PendingDeletion:
    """A record, a file's own or a tombstone, that says that all objects of a generation are to be deleted.

    Those of the generation that it supersedes are to be deleted first: no other record may name them. A tombstone has
    a `mark`, new in each write of it.
    """

    generation: Generation
    revisions: frozenset[str]
    upload_id: str | None = None
    supersedes: Generation | None = None
    mark: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Some files, newest first; `next_cursor` is None on the last page. A page may be short, even empty."""

    files: list[File]
    next_cursor: str | None


class FileStore(Protocol):
    """Keeps the record of every file. Each call is atomic: of two at one time one is first, and both return what holds.

    Any call may raise `shoebox.errors.Unavailable`, which is retryable: what the call was to write may then be written
    or not, and the same call may be made again.
    """

    async def register(self, owner: Owner, registrations: Sequence[Registration]) -> RegisterResult:
        """Register up to 100 files; what the owner has already is returned as it stands.

        A rejected, expired or never-seen file becomes REGISTERED with a new generation, and what it had of an older one
        gets a tombstone. One being deleted is returned as DELETING. Of several registrations of the same bytes the last
        one counts, and its file is returned for each.
        """
        ...

    async def get(self, key: FileKey) -> File | None:
        """Return a file; None if there is none, it is expired, or it is being deleted."""
        ...

    async def get_many(self, keys: Iterable[FileKey]) -> list[File]:
        """Return those of up to 100 files that `get` would, in any order, perhaps as they stood a second ago."""
        ...

    async def states(self, keys: Iterable[FileKey]) -> dict[FileKey, File]:
        """Return any number of files as they stand now, those being deleted or expired too: the workers' view."""
        ...

    async def page(self, owner: Owner, *, limit: int, cursor: str | None = None, state: State | None = None) -> Page:
        """Return up to `limit` of the owner's files, newest first, perhaps as they stood a second ago.

        Raises:
            Invalid: the cursor was not made here.
        """
        ...

    async def mark_ready(self, generation: Generation, picture: Picture, stages: Stages) -> bool:
        """Make a REGISTERED file READY; False if another delivery was first, or it is gone or another generation.

        The file forgets what it supersedes: order that generation's deletion before.
        """
        ...

    async def mark_rejected(self, generation: Generation, reason: str, detail: str, stages: Stages) -> bool:
        """Make a REGISTERED file REJECTED; return False as `mark_ready` does."""
        ...

    async def start_deletion(self, key: FileKey) -> File | None:
        """Make a file DELETING, whatever its state; return it as it stood before, or None if there is none."""
        ...

    async def write_tombstone(self, generation: Generation) -> None:
        """Note that a generation's objects, which belong to no file, are to be deleted; then order that.

        Where there is a tombstone it gets a new mark, so that a clean-up that has deleted already does not remove it.
        """
        ...

    async def pending_deletions(self, generation: Generation) -> list[PendingDeletion]:
        """Return the records of a generation's pending deletion: the file, a tombstone, both, or none."""
        ...

    async def remove(self, pending: PendingDeletion) -> None:
        """Delete the record, its objects being deleted; nothing happens if it is gone or has changed since."""
        ...

    async def open_multipart(self, generation: Generation, upload_id: str) -> bool:
        """Note the multipart upload of a REGISTERED file; False if it has another one or is not REGISTERED.

        The registration is renewed: a large upload may take as long as a registration lasts.
        """
        ...

    async def close_multipart(self, key: FileKey, upload_id: str) -> None:
        """Forget the multipart upload `upload_id`, if it is the file's."""
        ...


# --- rules -----------------------------------------------------------------------------------------------------------


def needs_registering(file: File | None, registration: Registration, now: datetime, *, lifetime: int) -> bool:
    """Return whether a registration changes the file that is there: it is absent, rejected, expired or half expired.

    `lifetime` is that of a registration, in seconds. While a multipart upload is open nothing is renewed: `upload_id`
    stays the file's own.
    """
    if file is None or file.state is State.REJECTED:
        return True
    if file.state is not State.REGISTERED or file.upload_id:
        return file.expired(now)
    return file.registration != registration or (file.register_until or 0) < now.timestamp() + lifetime / 2


def register_anew(
    before: File | None, key: FileKey, registration: Registration, now: datetime, *, lifetime: int
) -> File:
    """Return the REGISTERED file that a registration makes of `before`.

    Its generation is that of `before` while that waits for bytes, for its URL is out; else a new one, which supersedes
    the old.
    """
    if before is None:
        generation, supersedes = Generation(key, new_ulid(now)), None
    elif before.state is State.REGISTERED and not before.expired(now):
        generation, supersedes = before.generation, before.supersedes
    else:
        generation, supersedes = Generation(key, new_ulid(now, after=before.generation.ulid)), before.generation
    return File(
        generation=generation,
        registration=registration,
        state=State.REGISTERED,
        registered_at=stored_time(now),
        register_until=int(now.timestamp()) + lifetime,
        supersedes=supersedes,
    )


def is_visible(file: File, now: datetime) -> bool:
    """Return whether the file's owner may see it."""
    return file.state is not State.DELETING and not file.expired(now)


def stored_time(moment: datetime) -> datetime:
    """Return `moment` as a store gives it back: UTC, in whole milliseconds."""
    moment = moment.astimezone(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def list_key(file: File) -> str:
    """Return what an owner's list is sorted by."""
    return f"{iso(file.registered_at)}#{file.key.file_id}"


def to_cursor(listed: str) -> str:
    """Return the cursor that stands for a place in a list, given as a `list_key`."""
    return base64.urlsafe_b64encode(listed.encode()).decode().rstrip("=")


def from_cursor(cursor: str) -> str:
    """Return the `list_key` that a cursor stands for.

    Raises:
        Invalid: the cursor was not made here.
    """
    try:
        listed = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
    except (binascii.Error, ValueError):
        listed = ""
    if not _CURSOR.fullmatch(listed):
        raise Invalid("This cursor was not made here; take `next_cursor` of the page before.")
    return listed
