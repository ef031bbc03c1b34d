"""The store of pictures: originals as they were uploaded, and their renditions.

`shoebox.files.s3` keeps them in a bucket, `shoebox.files.memory` in a dictionary; one suite of contract tests holds
both to what `PictureStore` says (tests/contract/stores).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from shoebox.files.links import Links
from shoebox.files.model import Generation

RENDITION_HEADERS = {"content-type": "image/jpeg", "cache-control": "private, max-age=31536000, immutable"}


@dataclass(frozen=True, slots=True)
class Original:
    """An original's bytes and the time S3 stored them; `data` is None where `size` exceeds what was allowed.

    `encoding` is its Content-Encoding. A presigned PUT does not sign that header, so whoever uploads may set it.
    """

    data: bytes | None
    size: int
    stored_at: datetime
    encoding: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a multipart upload that has arrived; `sha256` in hex, size in bytes."""

    number: int
    size: int
    etag: str
    sha256: str | None


class PictureStore(Protocol):
    """Keeps the bytes of originals and renditions. Clients send and get them by presigned links.

    Any call may raise `shoebox.errors.Unavailable`, which is retryable.
    """

    async def links(self, at: datetime) -> Links:
        """Return what signs links as of this moment; sign with it at once, for credentials are renewed."""
        ...

    async def fetch(self, generation: Generation, *, max_bytes: int) -> Original | None:
        """Return the original, not read when larger than `max_bytes`; None if there is none."""
        ...

    async def has_original(self, generation: Generation) -> bool:
        """Return whether the original is there."""
        ...

    async def put_rendition(self, generation: Generation, name: str, jpeg: bytes) -> None:
        """Store a rendition of the first revision; the same bytes again do no harm."""
        ...

    async def delete_all(self, generation: Generation, revisions: Iterable[str]) -> None:
        """Delete the original and every rendition of these revisions; what is gone already is no error."""
        ...

    async def create_multipart(self, generation: Generation, media_type: str) -> str:
        """Open a multipart upload whose parts carry SHA-256 checksums; return its upload id."""
        ...

    async def parts(self, generation: Generation, upload_id: str) -> list[Part] | None:
        """Return the parts that have arrived, in order; None if there is no such upload."""
        ...

    async def complete_multipart(self, generation: Generation, upload_id: str, parts: list[Part]) -> bool:
        """Join the parts into the original; False if there is no such upload.

        Joining a second time a moment later may return True or False. S3 sends the same event as for a single PUT.
        """
        ...

    async def abort_multipart(self, generation: Generation, upload_id: str) -> None:
        """Give up an upload and free its parts; one that is gone is no error."""
        ...
