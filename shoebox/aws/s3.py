"""S3 objects over plain HTTP with presigned requests: the hot path of ingest.

A photo is one GET and three PUTs. Through aiobotocore each costs about 1.5 ms of CPU, with a signature of ours over an
HTTP client 0.5, over connections of ours 0.2 (`./run bench s3`). What is not done for every photo goes through
aiobotocore.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import NamedTuple
from xml.etree import ElementTree as ET

from shoebox.aws.connections import MAX_CONNECTIONS, Connections, Response
from shoebox.aws.credentials import Credentials, CredentialsSource
from shoebox.aws.errors import AwsRefused, BodyTooLarge
from shoebox.aws.retry import RetryPolicy
from shoebox.aws.signing import Presigner

RETRY = RetryPolicy(attempts=4, max_seconds=20.0)

_SIGNED_SECONDS = 60  # a signature is used at once; the rest is for clocks that differ
_SKEW = timedelta(seconds=10)
_RESPONSE_SECONDS = 25.0
_BYTES_PER_SECOND = 4 * 1024 * 1024  # slower than this an object is given up
_MAX_ERROR_BYTES = 64 * 1024  # of S3's own words, where it has no object to give


class StoredObject(NamedTuple):
    """Bytes as they are stored, None where they are too many; size, time of storage, Content-Encoding or ""."""

    data: bytes | None
    size: int
    stored_at: datetime
    encoding: str


class S3Client:
    """Reads and writes whole objects of one bucket."""

    def __init__(
        self,
        connections: Connections,
        credentials: CredentialsSource,
        *,
        region: str,
        bucket: str,
        retry: RetryPolicy = RETRY,
    ) -> None:
        self.bucket = bucket
        self._connections = connections
        self._credentials = credentials
        self._region = region
        self._retry = retry
        self._keys: Credentials | None = None
        self._presigner: Presigner

    async def get(self, key: str, *, max_bytes: int) -> StoredObject:
        """Return an object, without its bytes if they are more than `max_bytes`: those are not even read.

        Raises:
            AwsError: after several attempts, where trying again helps.
        """
        return await self._retry.run(lambda: self._get(key, max_bytes))

    async def put(self, key: str, body: bytes, headers: Mapping[str, str]) -> None:
        """Store an object with these headers; raises as `get`."""
        await self._retry.run(lambda: self._exchange("PUT", key, headers, body))

    async def _get(self, key: str, max_bytes: int) -> StoredObject:
        try:
            response = await self._exchange("GET", key, {}, max_bytes=max(max_bytes, _MAX_ERROR_BYTES))
        except BodyTooLarge as large:
            if large.status >= 300:
                raise
            return _stored(large.headers, None)
        stored = _stored(response.headers, response.body)
        return stored if stored.size <= max_bytes else stored._replace(data=None)

    async def _exchange(
        self, method: str, key: str, headers: Mapping[str, str], body: bytes = b"", max_bytes: int = _MAX_ERROR_BYTES
    ) -> Response:
        keys = await self._credentials()
        if keys != self._keys:
            self._presigner = Presigner(keys, region=self._region, endpoint_url=self._connections.origin)
            self._keys = keys
        at = datetime.now(UTC) - _SKEW
        target = self._presigner.target(method, self.bucket, key, at=at, expires=_SIGNED_SECONDS, headers=headers)
        lines = [f"{method} {target} HTTP/1.1", f"host: {self._connections.host}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if method == "PUT":
            lines.append(f"content-length: {len(body)}")
        head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
        seconds = _RESPONSE_SECONDS + max(len(body), max_bytes) / _BYTES_PER_SECOND
        response = await self._connections.exchange(head, seconds, body=body, max_bytes=max_bytes)
        if response.status >= 300:
            raise _refusal(f"{method.capitalize()}Object", response)
        return response


def _stored(headers: Mapping[bytes, bytes], data: bytes | None) -> StoredObject:
    return StoredObject(
        data,
        int(headers[b"content-length"]),
        parsedate_to_datetime(headers[b"last-modified"].decode("latin-1")),
        headers.get(b"content-encoding", b"").decode("latin-1").strip(),
    )


def _refusal(operation: str, response: Response) -> AwsRefused:
    """Return S3's error ("Error responses", Amazon S3 API Reference)."""
    try:
        error = ET.fromstring(response.body)  # noqa: S314 - S3's own words, 64 KB at most
    except ET.ParseError:
        error = ET.Element("Error")
    code, message = error.findtext("Code") or "Unknown", error.findtext("Message") or ""
    return AwsRefused(code, message, response.status, operation=operation)


@asynccontextmanager
async def open_s3(
    url: str, credentials: CredentialsSource, *, region: str, bucket: str, max_connections: int = MAX_CONNECTIONS
) -> AsyncIterator[S3Client]:
    """Open a client of the S3 at `url`, and close its connections at the end."""
    connections = Connections(url, max_connections=max_connections)
    try:
        yield S3Client(connections, credentials, region=region, bucket=bucket)
    finally:
        connections.close()
