"""A file: who owns it, what was promised, where it stands, and where its bytes lie."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Self

OWNER_SHARDS = 8
RENDITIONS = ("2048", "1024", "320")
MEDIA_TYPES = {
    "image/jpeg": "image/jpeg",
    "image/png": "image/png",
    "image/webp": "image/webp",
    "image/gif": "image/gif",
    "image/heic": "image/heic",
    "image/heif": "image/heic",
}
FILE_ID = re.compile(r"^f[a-z2-7]{32}$")
TENANT = re.compile(r"^[a-z][a-z0-9-]{1,31}$")
USER = re.compile(r"^[A-Za-z0-9_-]{1,64}$")
_ORIGINAL = re.compile(r"^originals/([a-z][a-z0-9-]{1,31})/([A-Za-z0-9_-]{1,64})/(f[a-z2-7]{32})$")


class State(StrEnum):
    """Where a file stands; READY and REJECTED are final until it is deleted or registered anew."""

    REGISTERED = "REGISTERED"
    READY = "READY"
    REJECTED = "REJECTED"
    DELETING = "DELETING"


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose a file is: a user of a tenant. Every key begins with it, so nobody reaches beyond their own."""

    tenant: str
    user: str

    def file_id(self, sha256: str) -> str:
        """Id of the owner's file with this content (SHA-256 as 64 hex digits): the same bytes, the same id."""
        digest = hashlib.sha256(f"{self.tenant}\0{self.user}\0{sha256}".encode()).digest()
        return "f" + base64.b32encode(digest[:20]).decode().lower()

    def shard_keys(self) -> list[str]:
        """The partition keys of this owner's list: several, so that one busy owner is not one hot partition."""
        return [f"{self.tenant}#{self.user}#{n}" for n in range(OWNER_SHARDS)]


@dataclass(frozen=True, slots=True)
class FileKey:
    """A file of an owner, and its keys in DynamoDB and S3."""

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

    @property
    def original(self) -> str:
        """S3 key of the bytes as uploaded."""
        return f"originals/{self.owner.tenant}/{self.owner.user}/{self.file_id}"

    def rendition(self, name: str) -> str:
        """S3 key of a rendition, `name` being one of RENDITIONS."""
        return f"renditions/{self.owner.tenant}/{self.owner.user}/{self.file_id}/{name}.jpg"

    @classmethod
    def of_original(cls, key: str) -> Self | None:
        """The file that an S3 key of an original belongs to; None for any other key."""
        found = _ORIGINAL.fullmatch(key)
        return cls(Owner(found[1], found[2]), found[3]) if found else None


@dataclass(frozen=True, slots=True)
class Registration:
    """What a client promises to upload: SHA-256 as 64 hex digits, size in bytes, a value of MEDIA_TYPES."""

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
    """What ingest found out about a READY file; width and height in pixels, upright."""

    width: int
    height: int
    placeholder: str
    renditions: tuple[RenditionInfo, ...]
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class File:
    """A file as it stands. Times are UTC; `upload_id` is set while a multipart upload is open."""

    key: FileKey
    registration: Registration
    state: State
    registered_at: datetime
    uploaded_at: datetime | None = None
    received_at: datetime | None = None
    finished_at: datetime | None = None
    expires_at: int | None = None
    upload_id: str | None = None
    reason: str | None = None
    detail: str | None = None
    picture: Picture | None = None

    def expired(self, now: datetime) -> bool:
        """A registration whose time ran out before its bytes came; DynamoDB's TTL deletes it some time later."""
        return self.state is State.REGISTERED and self.expires_at is not None and self.expires_at <= now.timestamp()


def checksum_header(sha256: str) -> str:
    """SHA-256 in hex, as S3's `x-amz-checksum-sha256` wants it: base64 of the raw digest."""
    return base64.b64encode(bytes.fromhex(sha256)).decode()
