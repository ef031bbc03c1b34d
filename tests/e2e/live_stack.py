"""A running Shoebox as its clients and operators use it: the same on the embedded emulator and on LocalStack."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import aiohttp

from fleet.queues.mapping_settings import MappingStatistics
from shoebox.aws.clients import Clients
from shoebox.aws.dynamodb import DynamoDBClient
from shoebox.config import AwsSettings
from shoebox.files.dynamodb import DynamoDBFileStore
from shoebox.files.model import Owner, Registration, State
from shoebox.stack.deployment import ResolvedStack
from shoebox.tenants.keys import KeyPair, jwks_document
from shoebox.tenants.tokens import mint_token
from shoebox_client.api import Api, open_api
from shoebox_client.records import Record
from shoebox_client.samples import jpeg_of_size
from shoebox_client.uploads import Uploader, UploadSettings
from standalone.stack import StandaloneStack

ROOT = Path(__file__).parents[2]
TENANT = "demo"


@dataclass(frozen=True, slots=True)
class Change:
    """A change to stack.yaml, by pattern; it must fit at least once."""

    pattern: str
    replacement: str


SHORT_VISIBILITY = (
    Change(r"uploads: \{visibility_timeout: 360,", "uploads: {visibility_timeout: 24,"),
    Change(r"(handler: workers\.ingest\.handler\n    memory: 2048\n    timeout:) 60", r"\1 4"),
)
"""Messages of a dead worker come back after 24 seconds instead of six minutes."""


def changed_stack(folder: Path, *changes: Change, name: str = "stack.yaml") -> Path:
    """Write stack.yaml with changes to `folder`, and return its path."""
    text = (ROOT / "stack.yaml").read_text()
    for change in changes:
        text, count = re.subn(change.pattern, change.replacement, text)
        assert count, f"{change.pattern} is not in stack.yaml any more"
    path = folder / name
    path.write_text(text)
    return path


def photo(folder: Path, name: str, seed: int = 1, size: int = 40_000) -> Path:
    """Return a photo made from a formula."""
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_bytes(jpeg_of_size(seed, 640, 480, size))
    return path


async def until(look: Callable[[], Awaitable[Any]], seconds: float) -> Any:
    """Return what `look` gives as soon as it is true."""
    async with asyncio.timeout(seconds):
        while not (found := await look()):  # noqa: ASYNC110 - the state is in other processes
            await asyncio.sleep(0.05)
        return found


@dataclass
class LiveStack:
    """A stack with the demo tenant's key; its parts by their physical names. `clients` may do anything."""

    gateway_url: str
    resolved: ResolvedStack
    clients: Clients
    key: KeyPair = field(default_factory=KeyPair.generate)

    async def publish_key(self) -> None:
        """Put the tenant's public key where the authorizer looks."""
        s3 = await self.client("s3")
        await s3.put_object(
            Bucket=self.name("bucket", "public"), Key=f"keys/{TENANT}.json", Body=jwks_document([self.key])
        )

    def name(self, kind: str, name: str) -> str:
        """Return a physical name."""
        return self.resolved.name_of(kind, name)

    def token(self, user: str = "anna") -> str:
        """Return a token for ten minutes."""
        return mint_token(self.key, tenant=TENANT, user=user, lifetime=600, now=time.time())

    @asynccontextmanager
    async def api(self, user: str = "anna") -> AsyncIterator[Api]:
        """Provide the HTTP API as a user of the shop."""
        async with open_api(self.gateway_url, self.token(user)) as api:
            yield api

    async def upload(self, *paths: Path, user: str = "anna", wait: bool = True) -> list[Record]:
        """Upload as `shoebox upload` does, and wait for the final states."""
        async with self.api(user) as api:
            return (await Uploader(api, await api.limits(), UploadSettings(wait=wait)).run(paths)).records

    async def client(self, service: str) -> Any:
        """Return an AWS client that may do anything."""
        return await self.clients.open(service)

    async def objects(self, prefix: str = "") -> list[str]:
        """Return the keys in the personal bucket."""
        s3 = await self.client("s3")
        answer = await s3.list_objects_v2(Bucket=self.name("bucket", "personal"), Prefix=prefix)
        return [item["Key"] for item in answer.get("Contents", [])]

    async def waiting(self, queue: str) -> tuple[int, int]:
        """Return how many messages of a queue are visible, and in flight."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        sqs = await self.client("sqs")
        url = self.resolved.queue_url(queue)
        found = (await sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names))["Attributes"]
        return int(found[names[0]]), int(found[names[1]])

    async def subscribe(self) -> Events:
        """Return a queue that gets every file event from now on."""
        sqs, sns = await self.client("sqs"), await self.client("sns")
        url: str = (await sqs.create_queue(QueueName=f"{self.resolved.deployment.prefix}-told"))["QueueUrl"]
        arn = (await sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"]))["Attributes"]["QueueArn"]
        allow = {"Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage"}
        policy = {"Version": "2012-10-17", "Statement": [allow | {"Resource": arn}]}
        await sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps(policy)})
        topic = self.resolved.arn_of("topic", "file-events")
        raw = {"RawMessageDelivery": "true"}
        await sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes=raw)
        return Events(sqs, url)

    async def files(self) -> DynamoDBFileStore:
        """Return the files' table, usable as long as the clients are open."""
        aws = AwsSettings(endpoint_url=self.resolved.deployment.endpoint_url)
        client = await self.clients._stack.enter_async_context(DynamoDBClient.open(aws, self.clients.credentials))
        return DynamoDBFileStore(client, self.name("table", "files"))


class Events:
    """File events that a subscriber's queue received, by the file's id."""

    def __init__(self, sqs: Any, url: str) -> None:
        self._sqs = sqs
        self._url = url
        self.seen: list[dict[str, Any]] = []

    async def take(self) -> int:
        """Take what has come; return how many events there are so far in all."""
        answer = await self._sqs.receive_message(QueueUrl=self._url, MaxNumberOfMessages=10)
        for message in answer.get("Messages", []):
            self.seen.append(json.loads(message["Body"]))
            await self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=message["ReceiptHandle"])
        return len(self.seen)

    async def until(self, number: int, seconds: float = 60) -> list[dict[str, Any]]:
        """Return the events, when there are so many of different ids."""

        async def come() -> bool:
            await self.take()
            return len({event["event_id"] for event in self.seen}) >= number

        await until(come, seconds)
        return self.seen


@dataclass
class LocalLiveStack(LiveStack):
    """A stack that runs in this process, where its fleet can be looked into."""

    local: StandaloneStack = field(kw_only=True)

    def mapping(self, function: str) -> MappingStatistics:
        """Return what the function's event source mapping has done so far."""
        found = next(m for m in self.local.fleet.mappings if m.settings.function == function)
        return found.statistics()


@dataclass
class StoredPhotos:
    """Photos that were registered, and stored in S3 directly, many at once; and their states."""

    table: DynamoDBFileStore
    keys: Sequence[Any]

    @classmethod
    async def store(cls, live: LiveStack, number: int, size: int = 30_000) -> StoredPhotos:
        """Register and store photos of one owner."""
        photos = [jpeg_of_size(n, 640, 480, size) for n in range(number)]
        table, s3 = await live.files(), await live.client("s3")
        promised = [Registration("p.jpg", len(d), "image/jpeg", sha256(d).hexdigest()) for d in photos]
        files = (await table.register(Owner(TENANT, "batch"), promised)).files
        bucket = live.name("bucket", "personal")
        for file, data in zip(files, photos, strict=True):
            await s3.put_object(Bucket=bucket, Key=file.generation.original, Body=data)
        return cls(table, [file.key for file in files])

    async def states(self) -> Counter[State]:
        """Return how many are in which state."""
        return Counter(file.state for file in await self.table.get_many(self.keys))

    async def until_ready(self, number: int | None = None, seconds: float = 100) -> None:
        """Wait until so many, or all, are READY."""
        wanted = len(self.keys) if number is None else number

        async def enough() -> bool:
            return (await self.states())[State.READY] >= wanted

        await until(enough, seconds)


async def fetch(url: str) -> bytes:
    """Return the bytes at a presigned URL."""
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        assert answer.status == 200, await answer.text()
        return await answer.read()
