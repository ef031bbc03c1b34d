"""The personal bucket: originals as they were uploaded, and their renditions."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from shoebox.aws.errors import AwsRefused
from shoebox.aws.s3 import S3Client
from shoebox.files.model import FIRST_REVISION, RENDITIONS, Generation

_GONE = {"NoSuchKey", "404", "NotFound"}
_NO_UPLOAD = {"NoSuchUpload", "404"}


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
    """A part that S3 holds; `sha256` in hex, size in bytes."""

    number: int
    size: int
    etag: str
    sha256: str | None


class PhotoBytes:
    """Originals in, renditions out: what ingest does for every photo."""

    def __init__(self, store: S3Client) -> None:
        self._store = store

    async def fetch(self, generation: Generation, *, max_bytes: int) -> Original | None:
        """The original, not read when larger than `max_bytes`; None if there is none.

        Without s3:ListBucket AWS answers 403 for an object that is not there; that is raised, like any refusal.
        """
        try:
            return Original(*await self._store.get(generation.original, max_bytes=max_bytes))
        except AwsRefused as error:
            if error.code in _GONE:
                return None
            raise

    async def put_rendition(self, generation: Generation, name: str, jpeg: bytes) -> None:
        """Store a rendition of the first revision; the same bytes again do no harm."""
        headers = {"content-type": "image/jpeg", "cache-control": "private, max-age=31536000, immutable"}
        await self._store.put(generation.rendition(FIRST_REVISION, name), jpeg, headers)


class Pictures:
    """Multipart uploads and deletions in the personal bucket. `client` is an aiobotocore S3 client."""

    def __init__(self, client: Any, bucket: str) -> None:
        self._client = client
        self.bucket = bucket

    async def delete_all(self, generation: Generation, revisions: Iterable[str]) -> None:
        """Delete the original and every rendition of these revisions; what is gone already is no error."""
        renditions = {generation.rendition(revision, name) for revision in revisions for name in RENDITIONS}
        for key in (generation.original, *sorted(renditions)):
            await self._client.delete_object(Bucket=self.bucket, Key=key)

    async def create_multipart(self, generation: Generation, media_type: str) -> str:
        """Open a multipart upload whose parts carry SHA-256 checksums; returns its upload id."""
        answer = await self._client.create_multipart_upload(
            Bucket=self.bucket, Key=generation.original, ContentType=media_type, ChecksumAlgorithm="SHA256"
        )
        return str(answer["UploadId"])

    async def parts(self, generation: Generation, upload_id: str) -> list[Part] | None:
        """The parts that S3 holds, in order; None if there is no such upload."""
        parts: list[Part] = []
        marker = 0
        while True:
            try:
                answer = await self._client.list_parts(
                    Bucket=self.bucket, Key=generation.original, UploadId=upload_id, PartNumberMarker=marker
                )
            except ClientError as error:
                if error.response["Error"]["Code"] in _NO_UPLOAD:
                    return None
                raise
            parts += [_part(entry) for entry in answer.get("Parts", [])]
            if not answer.get("IsTruncated"):
                return parts
            marker = int(answer["NextPartNumberMarker"])

    async def complete_multipart(self, generation: Generation, upload_id: str, parts: list[Part]) -> bool:
        """Join the parts into the original; False if there is no such upload (any more).

        S3 then sends the same event as for a single PUT.
        """
        entries = [_completed(part) for part in parts]
        try:
            await self._client.complete_multipart_upload(
                Bucket=self.bucket, Key=generation.original, UploadId=upload_id, MultipartUpload={"Parts": entries}
            )
        except ClientError as error:
            if error.response["Error"]["Code"] in _NO_UPLOAD:
                return False
            raise
        return True

    async def has_original(self, generation: Generation) -> bool:
        """Whether the original is there.

        Without s3:ListBucket, AWS answers 403 instead of 404 for a missing object ("HeadObject", permissions).
        """
        try:
            await self._client.head_object(Bucket=self.bucket, Key=generation.original)
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] in (403, 404):
                return False
            raise
        return True

    async def abort_multipart(self, generation: Generation, upload_id: str) -> None:
        """Give up an upload and free its parts; one that is gone is no error."""
        try:
            await self._client.abort_multipart_upload(Bucket=self.bucket, Key=generation.original, UploadId=upload_id)
        except ClientError as error:
            if error.response["Error"]["Code"] not in _NO_UPLOAD:
                raise


def _part(entry: dict[str, Any]) -> Part:
    checksum = entry.get("ChecksumSHA256")
    return Part(
        number=int(entry["PartNumber"]),
        size=int(entry["Size"]),
        etag=str(entry["ETag"]),
        sha256=base64.b64decode(checksum).hex() if checksum else None,
    )


def _completed(part: Part) -> dict[str, Any]:
    entry: dict[str, Any] = {"PartNumber": part.number, "ETag": part.etag}
    if part.sha256:
        entry["ChecksumSHA256"] = base64.b64encode(bytes.fromhex(part.sha256)).decode()
    return entry
