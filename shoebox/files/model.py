"""A file: its owner, registration, state and S3 keys."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Self

from shoebox.files import ulid

OWNER_SHARDS = 8
LANE = "0"
"""The only lane there is so far: originals of a lane have a key prefix, and so a queue, of their own."""
FIRST_REVISION = "1"
"""Of the renditions that ingest makes: known beforehand, so that clean-up finds them without an item and a list."""
FILE_ID = re.compile(r"^f[a-z2-7]{32}$")
GENERATION = re.compile(rf"^(?:{ulid.PATTERN})?$")  # empty: of the first key layout
LANES = re.compile(r"^[a-z0-9]{1,16}$")
_ORIGINAL = re.compile(
    r"^originals/(?:(?P<lane>[a-z0-9]{1,16})/)?(?P<tenant>[a-z][a-z0-9-]{1,31})/(?P<user>[A-Za-z0-9_-]{1,64})"
    rf"/(?P<file_id>f[a-z2-7]{{32}})(?(lane)/(?P<generation>{ulid.PATTERN}))$"
)


class State(StrEnum):
    """A file's state; READY and REJECTED are final until it is deleted or registered anew."""

    REGISTERED = "REGISTERED"
    READY = "READY"
    REJECTED = "REJECTED"
    DELETING = "DELETING"


@dataclass(frozen=True, slots=True)
class Owner:
    """A user of a tenant. Every key begins with it, so that no key of a request can name another owner's file."""

    tenant: str
    user: str

    def file_id(self, sha256: str) -> str:
        """Id of the owner's file with this content (SHA-256 as 64 hex digits): the same bytes, the same id."""
        digest = hashlib.sha256(f"{self.tenant}\0{self.user}\0{sha256}".encode()).digest()
        return "f" + base64.b32encode(digest[:20]).decode().lower()

    def shard_keys(self) -> list[str]:
        """Return the partition keys of this owner's list: several, so that one busy owner is not one hot partition."""
        return [f"{self.tenant}#{self.user}#{n}" for n in range(OWNER_SHARDS)]


@dataclass(frozen=True, slots=True)
class FileKey:
    """A file of an owner, and its keys in DynamoDB."""

    owner: Owner
    file_id: str

    @property
    def pk(self) -> str:
        """Partition key in the table `files`."""
        return f"F#{self.owner.tenant}#{self.owner.user}#{self.file_id}"

    @property
    def owner_shard(self) -> str:
        """Partition key in the index `by-owner`."""
        shard = hashlib.blake2b(self.file_id.encode(), digest_size=1).digest()[0] % OWNER_SHARDS
        return f"{self.owner.tenant}#{self.owner.user}#{shard}"


@dataclass(frozen=True, slots=True)
class Generation:
    """One registration of a file, with S3 keys that no other registration has, not even one of the same bytes.

    `ulid` sorts by time. It is empty for what was registered before keys had a generation: those keys have neither lane
    nor generation nor revision, and the empty text sorts before every ULID.
    """

    key: FileKey
    ulid: str
    lane: str = LANE

    @property
    def original(self) -> str:
        """S3 key of the bytes as uploaded."""
        if not self.ulid:
            return f"originals/{self._file}"
        return f"originals/{self.lane}/{self._file}/{self.ulid}"

    def rendition(self, revision: str, name: str) -> str:
        """S3 key of a rendition of one making, `name` being one of `shoebox_client.renditions`."""
        if not self.ulid:
            return f"renditions/{self._file}/{name}.jpg"
        return f"renditions/{self._file}/{self.ulid}/{revision}/{name}.jpg"

    @property
    def tombstone_pk(self) -> str:
        """Partition key, in the table `files`, of the order to delete what lies under these keys."""
        return f"T#{self.key.owner.tenant}#{self.key.owner.user}#{self.key.file_id}#{self.ulid}"

    @classmethod
    def of_original(cls, key: str) -> Self | None:
        """Return the generation that an S3 key of an original belongs to; None for any other key."""
        found = _ORIGINAL.fullmatch(key)
        if found is None:
            return None
        file = FileKey(Owner(found["tenant"], found["user"]), found["file_id"])
        return cls(file, found["generation"] or "", found["lane"] or LANE)

    @property
    def _file(self) -> str:
        return f"{self.key.owner.tenant}/{self.key.owner.user}/{self.key.file_id}"


@dataclass(frozen=True, slots=True)
class Registration:
    """What a client promises to upload: SHA-256 as 64 hex digits, size in bytes, one of MEDIA_TYPES' values."""

    name: str
    size: int
    media_type: str
    sha256: str


@dataclass(frozen=True, slots=True)
class RenditionInfo:
    """A stored rendition: size in pixels and bytes."""

    name: str
    width: int
    height: int
    size: int


@dataclass(frozen=True, slots=True)
class Picture:
    """What ingest found out about a READY file; width and height in pixels, upright.

    `warnings` are the codes of what was tolerated: docs/reference/warnings.md.
    """

    width: int
    height: int
    placeholder: str
    renditions: tuple[RenditionInfo, ...]
    metadata: dict[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class File:
    """A file as it stands. Times are UTC; `upload_id` is set while a multipart upload is open.

    `register_until` is in epoch seconds; `revision` names the set of renditions that a READY file shows; `supersedes`
    is the generation that this one has replaced, until ingest has ordered its deletion.
    """

    generation: Generation
    registration: Registration
    state: State
    registered_at: datetime
    uploaded_at: datetime | None = None
    received_at: datetime | None = None
    finished_at: datetime | None = None
    register_until: int | None = None
    revision: str = FIRST_REVISION
    upload_id: str | None = None
    supersedes: Generation | None = None
    reason: str | None = None
    detail: str | None = None
    picture: Picture | None = None

    @property
    def key(self) -> FileKey:
        """Which file it is, whatever its registration."""
        return self.generation.key

    def rendition(self, name: str) -> str:
        """S3 key of a rendition as the file shows it."""
        return self.generation.rendition(self.revision, name)

    def expired(self, now: datetime) -> bool:
        """Whether its registration ended before its bytes came. The API hides it then; ingest still takes the bytes."""
        until = self.register_until
        return self.state is State.REGISTERED and until is not None and until <= now.timestamp()


def checksum_header(sha256: str) -> str:
    """SHA-256 in hex, as S3's `x-amz-checksum-sha256` wants it: base64 of the raw digest."""
    return base64.b64encode(bytes.fromhex(sha256)).decode()
