"""Presigned URLs for a client: bytes travel between it and S3, and never through the API.

What a client may send is in the signature: an upload is bound to its length, type and SHA-256, a part to its length and
SHA-256. A URL for an upload never outlives the registration that it is for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol
from urllib.parse import quote

from shoebox.files.model import File, checksum_header
from shoebox_client.picture_types import ENDINGS


class UrlSigner(Protocol):
    """Signs URLs of the objects of one bucket."""

    def url(
        self,
        method: str,
        key: str,
        *,
        at: datetime,
        expires: int,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> str:
        """Return a URL valid for `expires` seconds from `at`; the client must send exactly `headers` with it."""
        ...


@dataclass(frozen=True, slots=True)
class LinkLifetimes:
    """How many seconds URLs for uploads and for downloads are valid."""

    upload: int = 3600
    download: int = 3600


@dataclass(frozen=True, slots=True)
class Link:
    """A presigned request: send exactly these headers, before `expires_at`."""

    method: str
    url: str
    headers: dict[str, str]
    expires_at: datetime


class Links:
    """The links to files at one moment, `at` in UTC."""

    def __init__(self, signer: UrlSigner, lifetimes: LinkLifetimes, *, at: datetime) -> None:
        self._signer = signer
        self._lifetimes = lifetimes
        self._at = at

    def upload(self, file: File) -> Link:
        """Return how to PUT the whole file."""
        promised = file.registration
        headers = {
            "content-length": str(promised.size),
            "content-type": promised.media_type,
            "x-amz-checksum-sha256": checksum_header(promised.sha256),
        }
        return self._put(file, headers)

    def part(self, file: File, upload_id: str, number: int, *, size: int, sha256: str) -> Link:
        """Return how to PUT one part of a multipart upload: `size` bytes with this SHA-256 (hex)."""
        headers = {"content-length": str(size), "x-amz-checksum-sha256": checksum_header(sha256)}
        return self._put(file, headers, {"partNumber": str(number), "uploadId": upload_id})

    def rendition(self, file: File, name: str) -> str:
        """Return the URL of a rendition, to be shown."""
        return self._get(file.rendition(name), "image/jpeg", "inline")

    def original(self, file: File) -> str:
        """Return the URL of the original, which a browser saves under the name it came with (RFC 6266, RFC 8187)."""
        name = download_name(file.registration.name, file.registration.media_type)
        disposition = f"attachment; filename*=UTF-8''{quote(name, safe='')}"
        return self._get(file.generation.original, file.registration.media_type, disposition)

    def _put(self, file: File, headers: dict[str, str], query: dict[str, str] | None = None) -> Link:
        expires = self._lifetimes.upload
        if file.register_until is not None:
            expires = max(1, min(expires, file.register_until - int(self._at.timestamp())))
        key = file.generation.original
        url = self._signer.url("PUT", key, at=self._at, expires=expires, headers=headers, query=query)
        return Link("PUT", url, headers, self._at + timedelta(seconds=expires))

    def _get(self, key: str, media_type: str, disposition: str) -> str:
        lifetime = self._lifetimes.download
        # Signed as of the last quarter of a lifetime: the URL stays the same for that long, and browsers keep what it
        # gave.
        step = lifetime // 4
        since = datetime.fromtimestamp(int(self._at.timestamp()) // step * step, UTC)
        # The link fixes the headers of S3's response ("GetObject", response-* parameters). S3 stores whatever unsigned
        # headers came with a PUT, also with one that is sent again while its URL lives, after ingest has looked. A
        # signed `If-None-Match: *` would refuse that one, but also the client's own retry after a lost response, and
        # the new upload of a photo whose message became a dead letter.
        query = {
            "response-cache-control": f"private, max-age={lifetime}, immutable",
            "response-content-disposition": disposition,
            "response-content-encoding": "identity",
            "response-content-type": media_type,
        }
        return self._signer.url("GET", key, at=since, expires=lifetime, query=query)


def download_name(name: str, media_type: str) -> str:
    """Return `name` with a suffix of its type: page.html becomes page.html.jpg, and opens as the picture that it is."""
    suffixes = tuple(f".{ending}" for ending in ENDINGS[media_type])
    return name if name.lower().endswith(suffixes) else name + suffixes[0]
