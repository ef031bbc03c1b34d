"""The personal bucket: a `PictureStore` in S3.

What happens for every photo goes over small signed requests (`shoebox.aws.s3`), the rest through aiobotocore.
"""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from shoebox.aws.botocore_errors import aws_errors
from shoebox.aws.clients import Clients
from shoebox.aws.credentials import CredentialsSource
from shoebox.aws.errors import AwsError
from shoebox.aws.s3 import S3Client, open_s3
from shoebox.aws.signing import Presigner
from shoebox.config import AwsSettings
from shoebox.files.faults import retryable_as_unavailable
from shoebox.files.links import LinkLifetimes, Links
from shoebox.files.model import FIRST_REVISION, Generation
from shoebox.files.pictures import RENDITION_HEADERS, Original, Part
from shoebox_client.renditions import RENDITIONS

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client as BotoS3Client
    from types_aiobotocore_s3.type_defs import CompletedPartTypeDef

_NO_OBJECT = ("NoSuchKey", "404", "NotFound")
_NO_UPLOAD = ("NoSuchUpload", "404")


@dataclass(frozen=True, slots=True)
class _BucketSigner:
    """A presigner for one bucket."""

    presigner: Presigner
    bucket: str

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
        return self.presigner.url(method, self.bucket, key, at=at, expires=expires, headers=headers, query=query)


class S3PictureStore:
    """A `PictureStore` in one bucket.

    `objects` reads and writes whole objects; `client` gives an aiobotocore client, opened when it is first needed.
    Links are signed with the `credentials` of the moment, for `public_url`, which clients reach S3 at.
    """

    def __init__(
        self,
        bucket: str,
        *,
        objects: S3Client,
        client: Callable[[], Awaitable[BotoS3Client]],
        credentials: CredentialsSource,
        region: str,
        public_url: str,
        lifetimes: LinkLifetimes | None = None,
    ) -> None:
        self.bucket = bucket
        self._objects = objects
        self._client = client
        self._credentials = credentials
        self._region = region
        self._public_url = public_url
        self._lifetimes = lifetimes or LinkLifetimes()

    async def open_client(self) -> None:
        """Open now what else is opened at the first call that needs it: that costs a tenth of a second."""
        await self._client()

    async def links(self, at: datetime) -> Links:
        """Return what signs links as of this moment."""
        credentials = await self._credentials()
        presigner = Presigner(credentials, region=self._region, endpoint_url=self._public_url)
        return Links(_BucketSigner(presigner, self.bucket), self._lifetimes, at=at)

    @retryable_as_unavailable
    async def fetch(self, generation: Generation, *, max_bytes: int) -> Original | None:
        """Return the original."""
        # Without s3:ListBucket S3 returns 403 for a missing object ("GetObject", permissions). That is raised: ingest
        # has the permission, and must not take a lost one for a missing object.
        try:
            return Original(*await self._objects.get(generation.original, max_bytes=max_bytes))
        except AwsError as error:
            if error.code in _NO_OBJECT:
                return None
            raise

    @retryable_as_unavailable
    async def has_original(self, generation: Generation) -> bool:
        """Return whether the original is there."""
        client = await self._client()
        try:
            with aws_errors():
                await client.head_object(Bucket=self.bucket, Key=generation.original)
        except AwsError as error:
            if error.status in (403, 404):  # 403: `api` has no s3:ListBucket ("HeadObject", permissions)
                return False
            raise
        return True

    @retryable_as_unavailable
    async def put_rendition(self, generation: Generation, name: str, jpeg: bytes) -> None:
        """Store a rendition of the first revision."""
        await self._objects.put(generation.rendition(FIRST_REVISION, name), jpeg, RENDITION_HEADERS)

    @retryable_as_unavailable
    async def delete_all(self, generation: Generation, revisions: Iterable[str]) -> None:
        """Delete the original and every rendition of these revisions."""
        client = await self._client()
        renditions = {generation.rendition(revision, name) for revision in revisions for name in RENDITIONS}
        with aws_errors():
            for key in (generation.original, *sorted(renditions)):
                await client.delete_object(Bucket=self.bucket, Key=key)

    @retryable_as_unavailable
    async def create_multipart(self, generation: Generation, media_type: str) -> str:
        """Open a multipart upload; return its upload id."""
        client = await self._client()
        with aws_errors():
            response = await client.create_multipart_upload(
                Bucket=self.bucket, Key=generation.original, ContentType=media_type, ChecksumAlgorithm="SHA256"
            )
        return response["UploadId"]

    @retryable_as_unavailable
    async def parts(self, generation: Generation, upload_id: str) -> list[Part] | None:
        """Return the parts that S3 holds, in order."""
        client = await self._client()
        parts: list[Part] = []
        marker = 0
        while True:
            try:
                with aws_errors():
                    response = await client.list_parts(
                        Bucket=self.bucket, Key=generation.original, UploadId=upload_id, PartNumberMarker=marker
                    )
            except AwsError as error:
                if error.code in _NO_UPLOAD:
                    return None
                raise
            for entry in response.get("Parts", []):
                checksum = entry.get("ChecksumSHA256")
                sha256 = base64.b64decode(checksum).hex() if checksum else None
                parts.append(Part(int(entry["PartNumber"]), int(entry["Size"]), entry["ETag"], sha256))
            if not response.get("IsTruncated"):
                return parts
            marker = int(response["NextPartNumberMarker"])

    @retryable_as_unavailable
    async def complete_multipart(self, generation: Generation, upload_id: str, parts: list[Part]) -> bool:
        """Join the parts into the original."""
        client = await self._client()
        entries: list[CompletedPartTypeDef] = []
        for part in parts:
            entry: CompletedPartTypeDef = {"PartNumber": part.number, "ETag": part.etag}
            if part.sha256:
                entry["ChecksumSHA256"] = base64.b64encode(bytes.fromhex(part.sha256)).decode()
            entries.append(entry)
        try:
            with aws_errors():
                await client.complete_multipart_upload(
                    Bucket=self.bucket, Key=generation.original, UploadId=upload_id, MultipartUpload={"Parts": entries}
                )
        except AwsError as error:
            if error.code in _NO_UPLOAD:
                return False
            raise
        return True

    @retryable_as_unavailable
    async def abort_multipart(self, generation: Generation, upload_id: str) -> None:
        """Give up an upload and free its parts."""
        client = await self._client()
        try:
            with aws_errors():
                await client.abort_multipart_upload(Bucket=self.bucket, Key=generation.original, UploadId=upload_id)
        except AwsError as error:
            if error.code not in _NO_UPLOAD:
                raise


@asynccontextmanager
async def open_pictures(
    aws: AwsSettings,
    clients: Clients,
    bucket: str,
    *,
    s3_url: str,
    s3_public_url: str | None = None,
    lifetimes: LinkLifetimes | None = None,
) -> AsyncIterator[S3PictureStore]:
    """Open the pictures of a bucket: `s3_url` is where S3 is, `s3_public_url` where clients reach it."""
    async with open_s3(s3_url, clients.credentials, region=aws.region, bucket=bucket) as objects:
        yield S3PictureStore(
            bucket,
            objects=objects,
            client=clients.when_needed("s3"),
            credentials=clients.credentials,
            region=aws.region,
            public_url=s3_public_url or s3_url,
            lifetimes=lifetimes,
        )
